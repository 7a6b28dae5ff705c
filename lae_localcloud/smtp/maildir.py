"""Delivery into a Maildir: a message is there whole, or not at all."""

from __future__ import annotations

import itertools
import os
import time
from pathlib import Path

from attrs import define, field


@define(frozen=True)
class Maildir:
    """One Maildir for all addresses; who it was for stands in ``Delivered-To``."""

    folder: Path
    _count: itertools.count[int] = field(factory=itertools.count, repr=False)

    def make(self) -> None:
        """Make its three folders."""
        for name in ("tmp", "new", "cur"):
            (self.folder / name).mkdir(mode=0o700, parents=True)

    def deliver(self, sender: str, recipients: list[str], message: bytes) -> Path:
        """Put a message into ``new``; where it is."""
        name = f"{time.time_ns()}.P{os.getpid()}Q{next(self._count)}.localhost"
        head = f"Return-Path: <{sender}>\n"
        head += "".join(f"Delivered-To: {address}\n" for address in recipients)
        written = self.folder / "tmp" / name
        text = head.encode("utf-8", "surrogateescape") + message.replace(b"\r\n", b"\n")
        written.touch(0o600)
        written.write_bytes(text)
        return written.rename(self.folder / "new" / name)
