"""The body of a PATCH, taken into its upload while it is received.

So S3 gets a share's bytes while the client is still sending them.  What a request that
is cut off in the middle had brought is kept: the client sends the same bytes again.
"""

from __future__ import annotations

from io import RawIOBase
from typing import Any

from attrs import define, field

from lae_storage.server.immutable import BucketWriter

#: Bytes taken at once; TLS brings them by 16 KiB.
GRAIN = 128 * 1024


class TooShort(Exception):
    """The body has fewer bytes than its range."""


@define(eq=False)
class Incoming:
    """Bytes for *writer* from *start* to *stop*; more are dropped."""

    writer: BucketWriter
    start: int
    stop: int
    _received: int = 0
    _error: Exception | None = None
    _held: bytearray = field(factory=bytearray, repr=False)
    _at: int = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._at = self.start

    def take(self, data: bytes) -> None:
        """The next bytes; what is wrong with them is told at the end."""
        room = self.stop - self.start - self._received
        self._received += min(len(data), room)
        self._held += data[:room]
        if len(self._held) >= GRAIN:
            self._flush()

    def _flush(self) -> None:
        if self._held and self._error is None:
            data = bytes(self._held)
            try:
                self.writer.accept(self._at, data)
            except Exception as e:  # noqa: BLE001  (raised at the end)
                self._error = e
            self._at += len(data)
        self._held.clear()

    async def end(self) -> bool:
        """The body ended; whether the share is complete.

        Raises what its bytes were refused for, and :class:`TooShort`.
        """
        self._flush()
        if self._error is not None:
            raise self._error
        if self._received < self.stop - self.start:
            raise TooShort
        complete = self.writer.spool.complete()
        await self.writer.wait_to_answer()
        return complete


class IncomingFile(RawIOBase):
    """A request's content that goes on to an upload, as Twisted wants one."""

    def __init__(self, incoming: Incoming) -> None:
        self.incoming = incoming
        self._size = 0

    def write(self, data: Any) -> int:
        """Hand it on."""
        self.incoming.take(data)
        self._size += len(data)
        return len(data)

    def tell(self) -> int:
        """How much came."""
        return self._size

    def seek(self, offset: int, whence: int = 0) -> int:
        """There is nothing to go back to."""
        del whence
        return offset
