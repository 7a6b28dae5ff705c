"""Furls that the daemon writes for others: the site's, and the first operator's."""

from __future__ import annotations

import os
from pathlib import Path

from lae_protocol.furl import Furl


def write_furl(path: Path, furl: Furl) -> None:
    """Write it whole, for its owner alone; nothing changes if it is there already."""
    text = furl.reveal() + "\n"
    if path.exists() and path.read_text("ascii") == text:
        return
    partial = path.with_name(path.name + ".new")
    partial.unlink(missing_ok=True)
    made = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(made, "w", encoding="ascii") as out:
        out.write(text)
    partial.rename(path)


def kept_name(path: Path, new: str) -> str:
    """The last part of the furl that *path* has, or *new* where there is none."""
    if path.exists():
        return Furl.parse(path.read_text("ascii")).swissnum
    return new
