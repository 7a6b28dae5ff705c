"""Immutable shares as clients hold them: readers and, while they are new, writers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from allmydata.interfaces import ConflictingWriteError, DataTooLargeError
from attrs import define, field
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime

from lae_storage.server import keys
from lae_storage.server.bucket import OpenBucket
from lae_storage.server.concurrency import Promise
from lae_storage.server.keys import ShareName
from lae_storage.server.lease import Lease
from lae_storage.server.leases import ImmutableLeases
from lae_storage.server.reader import Reader
from lae_storage.server.spool import Conflict, PastEnd, Spool
from lae_storage.server.upload import Upload


class ReadsShares(Protocol):
    """The part of the storage server that a reader needs."""

    def read_immutable(
        self, name: ShareName, length: int, offset: int, size: int
    ) -> Deferred[bytes]:
        """A range of a share."""

    def prefetch_immutable(
        self, name: ShareName, length: int, offset: int, size: int
    ) -> None:
        """Begin to fetch a range."""

    def advise_corrupt_share(
        self, share_type: bytes, storage_index: bytes, shnum: int, reason: bytes
    ) -> Deferred[None]:
        """Keep a client's report of a corrupt share."""


@define(frozen=True, eq=False, repr=False)
class BucketReader:
    """A stored share, to be read in ranges."""

    server: ReadsShares
    name: ShareName
    length: int

    def __repr__(self) -> str:
        # As upstream's: enough to tell shares apart in a log, and no more.
        start = keys.si_text(self.name.storage_index)[:12]
        return f"<BucketReader {start} {self.name.share_number}>"

    def read(self, offset: int, length: int) -> Deferred[bytes]:
        """The bytes of a range, cut at the share's end."""
        if offset < 0 or length < 0:
            raise ValueError("a range before the beginning")
        return self.server.read_immutable(self.name, self.length, offset, length)

    def prefetch(self, offset: int, length: int) -> None:
        """Begin to fetch a range that is about to be read piece by piece."""
        self.server.prefetch_immutable(self.name, self.length, offset, length)

    def get_length(self) -> int:
        """The share's length."""
        return self.length

    def advise_corrupt_share(self, reason: bytes) -> Deferred[None]:
        """Keep a client's report that this share is corrupt."""
        name = self.name
        return self.server.advise_corrupt_share(
            b"immutable", name.storage_index, name.share_number, reason
        )


#: Without a write for so long an upload is thrown away, as upstream's are.
IDLE_TIMEOUT = 30 * 60  # s


class UploadOver(Exception):
    """The upload was closed, aborted, or timed out.  Begin a new one."""


@define(eq=False)
class BucketWriter:
    """One share's upload.

    *closed_as* is called once, with the share's length, or None when nothing was
    stored; *done* for each write and close, with the time at which it began.
    """

    name: ShareName
    spool: Spool
    upload: Upload
    clock: IReactorTime
    closed_as: Callable[[BucketWriter, int | None], None]
    done: Callable[[str, float], None]
    _closing: Promise[None] | None = None
    _ended: bool = False
    _unanswered: int = 0
    _began: float = 0.0
    _timeout: IDelayedCall = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._timeout = self.clock.callLater(IDLE_TIMEOUT, self.abort)

    def allocated_size(self) -> int:
        """The share's length."""
        return self.spool.length

    def required_ranges(self) -> Any:
        """The ranges that are yet to be written, as a RangeMap."""
        return self.spool.required()

    async def write(self, offset: int, data: bytes) -> bool:
        """Accept some bytes; whether the share is complete now.

        Raises what :meth:`accept` and :meth:`wait_to_answer` do.
        """
        self.accept(offset, data)
        complete = self.spool.complete()
        await self.wait_to_answer()
        return complete

    def accept(self, offset: int, data: bytes) -> None:
        """Accept some bytes.

        Raises ConflictingWriteError, DataTooLargeError, :class:`UploadOver`.
        """
        if self._ended or self._closing is not None:
            raise UploadOver
        self._timeout.reset(IDLE_TIMEOUT)
        try:
            self.spool.write(offset, data)
        except Conflict:
            raise ConflictingWriteError(f"at {offset}") from None
        except PastEnd:
            length = self.spool.length
            raise DataTooLargeError(length, offset, len(data)) from None
        self.upload.bucket.meter.now().received += len(data)
        if not self._unanswered:
            self._began = self.clock.seconds()
        self._unanswered += len(data)
        self.upload.send_received()

    async def wait_to_answer(self) -> None:
        """Wait until a write may be answered: S3 is not far behind, and the client may
        send so many bytes already.  Raises what makes sending fail.
        """
        await self.upload.wait_for_s3()
        size, self._unanswered = self._unanswered, 0
        pace = self.upload.bucket.pace
        if pace.slowed:
            # The answer waits, not the bytes: a client may close the share right away.
            await pace.from_clients.wait(size)
        self.done("write", self._began)

    async def close(self) -> None:
        """Store the share; when this is done it is in S3, and others see it.

        Closing it a second time answers as the first time.
        """
        if self._closing is None:
            if self._ended:
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
            # S3 has it, yet a node that took the bucket meanwhile may not see it.
            self.upload.bucket.fence.check()
        except Exception as e:  # noqa: BLE001  (raised in all waiters)
            self._end(None)
            self.spool.close()
            closing.fail(e)
        else:
            self._end(self.spool.length)
            self.spool.close()
            closing.succeed(None)

    def disconnected(self) -> None:
        """Abort, since the client is gone; a share that is being stored is stored."""
        self.abort()

    def abort(self) -> None:
        """Throw away what was written, unless the share is being stored already."""
        if self._ended or self._closing is not None:
            return
        if self._timeout.active():
            self._timeout.cancel()
        stopping = self.upload.stop()
        self._end(None)
        # A request whose bytes are all here is sent to its end, and needs them.
        stopping.addBoth(lambda _: self.spool.close())

    def _end(self, stored: int | None) -> None:
        self._ended = True
        self.closed_as(self, stored)


@define(frozen=True, eq=False)
class Uploads:
    """Makes writers of new shares, and makes what they stored known.

    *folder* is for their bytes; *ended* is called with each writer that has ended and
    the number of bytes that it stored; *done* for each write and close.
    """

    bucket: OpenBucket
    folder: Path
    leases: ImmutableLeases
    reader: Reader
    clock: IReactorTime
    ended: Callable[[BucketWriter, int], None]
    done: Callable[[str, float], None]

    def open(self, name: ShareName, size: int, lease: Lease) -> BucketWriter:
        """A writer of a new share of *size* bytes, which will have this lease."""
        spool = Spool(size, self.folder)
        key = keys.immutable_key(name.storage_index, name.share_number)
        upload = Upload(self.bucket, key, spool, lease.to_metadata())

        def closed(writer: BucketWriter, stored: int | None) -> None:
            if stored is not None:
                self._stored(name, spool, lease)
            self.ended(writer, stored or 0)

        return BucketWriter(name, spool, upload, self.clock, closed, self.done)

    def _stored(self, name: ShareName, spool: Spool, lease: Lease) -> None:
        storage_index, number = name.storage_index, name.share_number
        self.bucket.index.add_immutable(storage_index, number, spool.length)
        self.leases.add_first(storage_index, number, lease)
        key = keys.immutable_key(storage_index, number)
        # There may have been another share of this name, which is gone.
        self.reader.forget(key)
        whole = spool.in_memory()
        if whole is None:
            self.reader.disk.add(key, spool.dup_file(), spool.length)
        else:
            self.reader.add(key, whole)
