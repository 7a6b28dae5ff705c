"""The bytes of an upload on their way: any order, repeats, holes of zeros.

A small share stays in memory.  A larger one goes to a file without a name in the
cache folder: the file vanishes with the process, as an unfinished upload must.  Each
write and read is of at most one network message and goes to the page cache.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from attrs import define, field
from collections_extended import RangeMap

from lae_storage.s3.interface import Withdrawn

#: Shares up to this size are spooled in memory: that of a file of one megabyte.
IN_MEMORY = 1024 * 1024 + 64 * 1024  # bytes
#: Compared at once where a write repeats another.
COMPARE_PIECE = 64 * 1024  # bytes
#: The sender is told of so many new bytes at once.
SEND_GRAIN = 128 * 1024  # bytes


class Conflict(Exception):
    """A write differs from what was written at the same place before."""


class PastEnd(Exception):
    """A write goes past the share's end."""


@define(eq=False)
class Spool:
    """*length* bytes, zero until they are written."""

    length: int
    folder: Path
    _memory: bytearray | None = None
    _file: int = -1
    #: What is written after the front; empty where a share is written in order.
    _beyond: RangeMap = field(factory=RangeMap)
    _front: int = 0
    _highest: int = 0

    def __attrs_post_init__(self) -> None:
        if self.length <= IN_MEMORY:
            self._memory = bytearray(self.length)
            return
        self._file, name = tempfile.mkstemp(dir=self.folder, prefix="upload-")
        Path(name).unlink()
        os.truncate(self._file, self.length)

    # -- writing ---------------------------------------------------------------

    def write(self, offset: int, data: bytes) -> None:
        """Write; raises :class:`Conflict` or :class:`PastEnd`, and changes nothing."""
        end = offset + len(data)
        if offset < 0:
            raise PastEnd
        # The usual case is the next bytes of a share written in order.
        in_order = offset == self._front == self._highest
        if not in_order:
            for start, stop in self._written(offset, end):
                self._compare(start, stop, offset, data)
        if end > self.length:
            raise PastEnd
        self._store(offset, data)
        if in_order:
            self._front = self._highest = end
        elif data:
            self._mark(offset, end)

    def _written(self, start: int, stop: int) -> Iterator[tuple[int, int]]:
        """What is written between these."""
        if start < self._front:
            yield start, min(stop, self._front)
        for begin, end, _ in self._beyond.ranges(start, stop):
            yield max(begin, start), min(end, stop)

    def _mark(self, start: int, stop: int) -> None:
        self._highest = max(self._highest, stop)
        self._beyond.set(value=True, start=start, stop=stop)
        for begin, end, _ in list(self._beyond.ranges()):
            if begin > self._front:
                break
            self._front = max(self._front, int(end))
            self._beyond.delete(begin, end)

    def _compare(self, start: int, stop: int, offset: int, data: bytes) -> None:
        for at in range(start, stop, COMPARE_PIECE):
            end = min(at + COMPARE_PIECE, stop)
            if self.read(at, end - at) != data[at - offset : end - offset]:
                raise Conflict

    def _store(self, offset: int, data: bytes) -> None:
        if self._memory is not None:
            self._memory[offset : offset + len(data)] = data
        else:
            view, at = memoryview(data), offset
            while view:
                done = os.pwrite(self._file, view, at)
                view, at = view[done:], at + done

    def fill_holes(self) -> None:
        """Count the holes as written, with zeros."""
        self._front = self.length

    # -- what is there ---------------------------------------------------------

    @property
    def front(self) -> int:
        """How many bytes from the beginning are written without a gap."""
        return self._front

    def complete(self) -> bool:
        """Whether every byte is written."""
        return self._front == self.length and self.length > 0

    def required(self) -> RangeMap:
        """The ranges that are yet to be written, as upstream's clients get them."""
        missing = RangeMap()
        if self._front < self.length:
            missing.set(value=True, start=self._front, stop=self.length)
        for start, stop, _ in self._beyond.ranges():
            missing.delete(start, stop)
        return missing

    def read(self, start: int, length: int) -> bytes:
        """Some bytes; holes are zeros."""
        length = max(0, min(length, self.length - start))
        if self._memory is not None:
            return bytes(self._memory[start : start + length])
        return os.pread(self._file, length, start)

    def in_memory(self) -> bytes | None:
        """All bytes; None where they are in a file."""
        return None if self._memory is None else bytes(self._memory)

    def dup_file(self) -> int:
        """A file descriptor of the bytes' file, for the caller to close."""
        return os.dup(self._file)

    def close(self) -> None:
        """Give memory or disk back; a second time this does nothing."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1
        self._memory = bytearray() if self._memory is not None else None


def _nobody() -> None:
    return


@define(eq=False)
class SpoolBody:
    """*length* bytes of a spool from *start*, sent perhaps while they are received.

    While *held* the last byte is kept back: what no client closed is never an object.
    """

    spool: Spool
    start: int
    length: int
    held: bool = False
    _withdrawn: bool = False
    _told: int = 0
    _listener: Callable[[], None] = _nobody

    def size(self) -> int:
        """How many bytes the body has."""
        return self.length

    def here(self) -> int:
        """How many of its bytes can be sent now."""
        if self._withdrawn:
            raise Withdrawn("Withdrawn")
        return max(0, min(self.spool.front - self.start, self.length - self.held))

    def whole(self) -> bool:
        """Whether all of its bytes were received."""
        return self.spool.front >= self.start + self.length

    def tell(self, listener: Callable[[], None]) -> None:
        """Call *listener* whenever more bytes are here."""
        self._listener = listener

    def withdraw(self) -> None:
        """Send no more: as not all bytes are sent, S3 writes nothing."""
        self._withdrawn = True
        self._listener()

    def tell_growth(self) -> None:
        """Tell the listener where the spool has enough new bytes."""
        if self._withdrawn:
            return
        here = self.here()
        if here - self._told >= SEND_GRAIN or (here > self._told and self.whole()):
            self._told = here
            self._listener()

    def read(self, start: int, length: int) -> bytes:
        """Some of the bytes that are here."""
        length = max(0, min(length, self.length - start))
        return self.spool.read(self.start + start, length)
