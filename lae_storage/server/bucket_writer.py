"""What a client writes a new immutable share to."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from allmydata.interfaces import ConflictingWriteError, DataTooLargeError
from attrs import define, field
from twisted.internet.interfaces import IDelayedCall, IReactorTime

from lae_storage.server.concurrency import Promise
from lae_storage.server.keys import ShareName
from lae_storage.server.spool import Beyond, Conflict, Spool
from lae_storage.server.upload import Upload

#: Seconds without a write after which an upload is thrown away, as upstream's are.
IDLE = 30 * 60


class UploadOver(Exception):
    """The upload was closed, aborted, or timed out.  Begin a new one."""


@define(eq=False)
class BucketWriter:
    """One share's upload.  *closed_as* is told once: the share's length, or None
    when nothing was stored; *done* of each write and close, and when it began.
    """

    name: ShareName
    spool: Spool
    upload: Upload
    clock: IReactorTime
    closed_as: Callable[[BucketWriter, int | None], None]
    done: Callable[[str, float], None]
    _closing: Promise[None] | None = None
    _over: bool = False
    _unanswered: int = 0
    _began: float = 0.0
    _timeout: IDelayedCall = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._timeout = self.clock.callLater(IDLE, self.abort)

    def allocated_size(self) -> int:
        """The share's length."""
        return self.spool.length

    def required_ranges(self) -> Any:
        """What is yet to be written, as a RangeMap."""
        return self.spool.required()

    async def write(self, offset: int, data: bytes) -> bool:
        """Take some bytes; whether all are there now.

        Raises what :meth:`take` and :meth:`go_on` do.
        """
        self.take(offset, data)
        complete = self.spool.complete()
        await self.go_on()
        return complete

    def take(self, offset: int, data: bytes) -> None:
        """Take some bytes.

        Raises ConflictingWriteError, DataTooLargeError, :class:`UploadOver`.
        """
        if self._over or self._closing is not None:
            raise UploadOver
        self._timeout.reset(IDLE)
        try:
            self.spool.write(offset, data)
        except Conflict:
            raise ConflictingWriteError(f"at {offset}") from None
        except Beyond:
            length = self.spool.length
            raise DataTooLargeError(length, offset, len(data)) from None
        self.upload.bucket.meter.now().received += len(data)
        if not self._unanswered:
            self._began = self.clock.seconds()
        self._unanswered += len(data)
        self.upload.advance()

    async def go_on(self) -> None:
        """Wait while S3 is far behind, or it is too early for so many bytes.

        Raises what makes sending fail.
        """
        await self.upload.keep_up()
        size, self._unanswered = self._unanswered, 0
        pace = self.upload.bucket.pace
        if pace.slowed:
            # The answer waits, not the bytes: a client may close right behind them.
            await pace.from_clients.wait(size)
        self.done("write", self._began)

    async def close(self) -> None:
        """Store the share; when this is done it is in S3, and others see it.

        Closing a second time answers as the first.
        """
        if self._closing is None:
            if self._over:
                raise UploadOver
            began = self.clock.seconds()
            self._closing = Promise()
            await self._close(self._closing)
            self.done("close", began)
        await self._closing.wait()

    async def _close(self, closing: Promise[None]) -> None:
        self._timeout.cancel()
        try:
            await self.upload.finish()
            # S3 has it, and yet a node that took the bucket meanwhile may not see it.
            self.upload.bucket.fence.check()
        except Exception as e:  # noqa: BLE001  (raised to whoever waits)
            self._end(None)
            self.spool.close()
            closing.fail(e)
        else:
            self._end(self.spool.length)
            self.spool.close()
            closing.succeed(None)

    def disconnected(self) -> None:
        """The client is gone; a share that is being stored is stored all the same."""
        self.abort()

    def abort(self) -> None:
        """Throw away what was written, unless it is being stored already."""
        if self._over or self._closing is not None:
            return
        if self._timeout.active():
            self._timeout.cancel()
        stopping = self.upload.stop()
        self._end(None)
        # What is whole is sent to its end: its bytes are needed until then.
        stopping.addBoth(lambda _: self.spool.close())

    def _end(self, stored: int | None) -> None:
        self._over = True
        self.closed_as(self, stored)
