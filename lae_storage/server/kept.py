"""Shares that were just stored, still on the host's disk for who reads them next.

What one device of a customer stores another fetches soon after.  The file that a large
share was received in has its bytes: as long as there is room it stays, without a name,
and reading it asks S3 nothing.  What is lost with the process was in S3 before it was
acknowledged.
"""

from __future__ import annotations

import errno
import os
from collections import OrderedDict

from attrs import define, field
from twisted.internet.threads import deferToThread
from twisted.logger import Logger

_log = Logger()
#: Files that are open for this at most.
FILES = 128
#: Bytes read at once into a buffer that stays.
PIECE = 1024 * 1024


@define(eq=False)
class _File:
    """An open file of a share's bytes; closed when nobody reads it any more."""

    number: int
    size: int
    readers: int = 0
    over: bool = False

    def end(self) -> None:
        """Keep it no longer."""
        self.over = True
        self._close_if_unread()

    def _close_if_unread(self) -> None:
        # A number that is closed may be another file's a moment later.
        if self.over and not self.readers:
            os.close(self.number)

    async def wait_for(self, offset: int, size: int) -> bytes:
        """Bytes that the system must fetch from the disk first."""
        self.readers += 1
        try:
            return await deferToThread(os.pread, self.number, size, offset)
        finally:
            self.readers -= 1
            self._close_if_unread()


@define(eq=False)
class Kept:
    """At most *limit* bytes in files; what was read longest ago goes first."""

    limit: int
    _files: OrderedDict[str, _File] = field(factory=OrderedDict)
    _held: int = 0
    _buffer: bytearray = field(factory=lambda: bytearray(PIECE), repr=False)

    def keep(self, key: str, number: int, size: int) -> None:
        """Take over an open file of a share's *size* bytes."""
        self.forget(key)
        file = _File(number, size)
        if size > self.limit:
            file.end()
            return
        self._files[key] = file
        self._held += size
        while self._held > self.limit or len(self._files) > FILES:
            self.forget(next(iter(self._files)))

    def has(self, key: str) -> bool:
        """Whether the share is here."""
        return key in self._files

    def forget(self, key: str) -> None:
        """The share is gone, or must be read from S3."""
        file = self._files.pop(key, None)
        if file is not None:
            self._held -= file.size
            file.end()

    def close(self) -> None:
        """Keep nothing."""
        for key in list(self._files):
            self.forget(key)

    async def read(self, key: str, offset: int, size: int) -> bytes | None:
        """*size* bytes from *offset*, cut at the share's end; None where it is not here
        or its file cannot be read.
        """
        file = self._files.get(key)
        if file is None:
            return None
        self._files.move_to_end(key)
        size = min(size, file.size - offset)
        if size <= 0:
            return b""
        try:
            data = self._at_once(file, offset, size)
            if data is None:
                data = await file.wait_for(offset, size)
        except OSError as e:
            _log.warn("a kept share is read from S3: {error}", error=e.strerror)
            data = b""
        if len(data) == size:
            return data
        self.forget(key)
        return None

    def _at_once(self, file: _File, offset: int, size: int) -> bytes | None:
        """Bytes that the system has in memory; None where the reactor would wait."""
        pieces = []
        for at in range(offset, offset + size, PIECE):
            piece = memoryview(self._buffer)[: min(PIECE, offset + size - at)]
            if _read_into(file.number, piece, at) < len(piece):
                return None
            pieces.append(bytes(piece))
        return b"".join(pieces)


def _read_into(number: int, piece: memoryview, at: int) -> int:
    """How many bytes could be read without waiting for the disk."""
    try:
        return os.preadv(number, [piece], at, os.RWF_NOWAIT)
    except BlockingIOError:
        return 0
    except OSError as e:
        # A file system in memory may not know the question; it never waits.
        if e.errno != errno.EOPNOTSUPP:
            raise
        return os.preadv(number, [piece], at)
