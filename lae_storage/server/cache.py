"""Caches: values in memory, and files of shares on the host's disk.

What one device of a customer stores another fetches soon after.  The file that a large
share was received in has the share's bytes: while there is room the file stays open,
without a name, and reading it asks S3 nothing.  What is lost with the process was in S3
before it was acknowledged.
"""

from __future__ import annotations

import errno
import os
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

from attrs import define, field
from twisted.internet.threads import deferToThread
from twisted.logger import Logger

_log = Logger()
V = TypeVar("V")
#: Share files that are open at most.
MOST_FILES = 128
#: Bytes that are read from a file at once, into a buffer that stays.
READ_PIECE = 1024 * 1024


@define
class MemoryCache(Generic[V]):
    """Values by key, at most *limit* bytes of them; the longest unused goes first.

    *size* tells the bytes of a value.
    """

    limit: int
    size: Callable[[V], int]
    held: int = 0
    _values: OrderedDict[Hashable, V] = field(factory=OrderedDict)

    def get(self, key: Hashable) -> V | None:
        """The value, which counts as used now."""
        value = self._values.get(key)
        if value is not None:
            self._values.move_to_end(key)
        return value

    def add(self, key: Hashable, value: V) -> None:
        """Keep the value, unless it alone is larger than a quarter of the limit."""
        self.drop(key)
        size = self.size(value)
        if size > self.limit // 4:
            return
        self._values[key] = value
        self.held += size
        while self.held > self.limit:
            _, oldest = self._values.popitem(last=False)
            self.held -= self.size(oldest)

    def clear(self) -> None:
        """Forget all values."""
        self._values.clear()
        self.held = 0

    def drop(self, key: Hashable) -> None:
        """Forget the value of this key."""
        value = self._values.pop(key, None)
        if value is not None:
            self.held -= self.size(value)


@define(eq=False)
class _File:
    """An open file of a share's bytes; closed when nobody reads it any more."""

    descriptor: int
    size: int
    readers: int = 0
    ended: bool = False

    def end(self) -> None:
        """Close the file, now or when its last reader is done."""
        self.ended = True
        self._close_if_unread()

    def _close_if_unread(self) -> None:
        # A descriptor that is closed may be another file's a moment later.
        if self.ended and not self.readers:
            os.close(self.descriptor)

    async def read_in_thread(self, offset: int, size: int) -> bytes:
        """Bytes that the system must fetch from the disk first."""
        self.readers += 1
        try:
            return await deferToThread(os.pread, self.descriptor, size, offset)
        finally:
            self.readers -= 1
            self._close_if_unread()


@define(eq=False)
class DiskCache:
    """Shares that were just stored: files with at most *limit* bytes together.

    The file that was read longest ago goes first.
    """

    limit: int
    _files: OrderedDict[str, _File] = field(factory=OrderedDict)
    _held: int = 0
    _buffer: bytearray = field(factory=lambda: bytearray(READ_PIECE), repr=False)

    def add(self, key: str, descriptor: int, size: int) -> None:
        """Take over an open file of a share's *size* bytes."""
        self.drop(key)
        file = _File(descriptor, size)
        if size > self.limit:
            file.end()
            return
        self._files[key] = file
        self._held += size
        while self._held > self.limit or len(self._files) > MOST_FILES:
            self.drop(next(iter(self._files)))

    def has(self, key: str) -> bool:
        """Whether the share is here."""
        return key in self._files

    def drop(self, key: str) -> None:
        """Forget the share: it is gone, or must be read from S3."""
        file = self._files.pop(key, None)
        if file is not None:
            self._held -= file.size
            file.end()

    def close(self) -> None:
        """Forget all shares."""
        for key in list(self._files):
            self.drop(key)

    async def read(self, key: str, offset: int, size: int) -> bytes | None:
        """*size* bytes from *offset*, cut at the share's end.

        None where the share is not here or its file cannot be read.
        """
        file = self._files.get(key)
        if file is None:
            return None
        self._files.move_to_end(key)
        size = min(size, file.size - offset)
        if size <= 0:
            return b""
        try:
            data = self._read_from_memory(file, offset, size)
            if data is None:
                data = await file.read_in_thread(offset, size)
        except OSError as e:
            _log.warn("a cached share is read from S3: {error}", error=e.strerror)
            data = b""
        if len(data) == size:
            return data
        self.drop(key)
        return None

    def _read_from_memory(self, file: _File, offset: int, size: int) -> bytes | None:
        """Bytes that the system has in memory; None where reading would block."""
        pieces = []
        for at in range(offset, offset + size, READ_PIECE):
            piece = memoryview(self._buffer)[: min(READ_PIECE, offset + size - at)]
            if _read_into(file.descriptor, piece, at) < len(piece):
                return None
            pieces.append(bytes(piece))
        return b"".join(pieces)


def _read_into(descriptor: int, piece: memoryview, at: int) -> int:
    """How many bytes could be read without waiting for the disk."""
    try:
        return os.preadv(descriptor, [piece], at, os.RWF_NOWAIT)
    except BlockingIOError:
        return 0
    except OSError as e:
        # A file system in memory may not know the flag; it never waits.
        if e.errno != errno.EOPNOTSUPP:
            raise
        return os.preadv(descriptor, [piece], at)
