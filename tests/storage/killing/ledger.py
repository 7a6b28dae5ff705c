"""What clients were told, and what may therefore be read afterwards.  Pure.

Contents are made from the seed and a number, so that a whole value is told from a torn
one by making it again.
"""

from __future__ import annotations

import threading
from collections import Counter
from random import Random

from attrs import define, field


def content(name: str, size: int) -> bytes:
    """The *size* bytes that *name* stands for."""
    return Random(name).randbytes(size)


@define(frozen=True)
class Stored:
    """An immutable file that a client was told is stored."""

    cap: str
    name: str
    size: int

    def data(self) -> bytes:
        return content(self.name, self.size)


@define
class Mutable:
    """A mutable file, and every content that it may have now.

    A write that was acknowledged leaves one; one that was not, may have happened.
    """

    cap: str
    possible: list[bytes] = field(repr=False)
    _tried: list[bytes] = field(factory=list, init=False, repr=False)

    def begin(self, offset: int | None, data: bytes) -> None:
        """A write is sent: of all (no *offset*), or of a part."""
        if offset is None:
            self._tried = [data]
        else:
            self._tried = [
                old[:offset] + data + old[offset + len(data) :] for old in self.possible
            ]
        self.possible = self.possible + self._tried

    def acknowledged(self) -> None:
        """It was done: what was before is no more."""
        self.possible = self._tried


@define
class Ledger:
    """All of it, written by many threads."""

    stored: list[Stored] = field(factory=list)
    mutable: list[Mutable] = field(factory=list)
    #: Storage index and renew secret of leases that were acknowledged.
    leases: list[tuple[bytes, bytes]] = field(factory=list)
    counts: Counter[str] = field(factory=Counter)
    written: int = 0
    wrong: list[str] = field(factory=list)
    _lock: threading.Lock = field(factory=threading.Lock)

    def count(self, what: str, size: int = 0) -> None:
        """One operation more."""
        with self._lock:
            self.counts[what] += 1
            self.written += size

    def acknowledged(self, protocol: str = "") -> int:
        """Operations that clients were told are done, of one protocol or of all."""
        return sum(
            number
            for what, number in self.counts.items()
            if what.startswith(protocol) and not what.endswith("refused")
        )
