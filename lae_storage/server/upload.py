"""A share on its way into the bucket: seen by nobody until it is whole there."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from attrs import define, field
from twisted.internet.defer import Deferred, DeferredLock
from twisted.logger import Logger

from lae_storage.s3.conditional import WRITER
from lae_storage.s3.interface import (
    ConditionFailed,
    Contended,
    NotThere,
    StoreError,
    Unclear,
)
from lae_storage.server.bucket import OpenBucket
from lae_storage.server.spool import Spool

_log = Logger()
#: Shares up to this size are sent in one request when they are whole; larger ones in
#: parts while they are received.
ONE_PUT = 16 * 1024 * 1024
PART = 8 * 1024 * 1024
#: S3's limit is 10,000 parts.
MOST_PARTS = 9000
#: Parts of one upload under way at once, and how far a client may run ahead.
AT_ONCE, AHEAD = 2, 3
#: Times that a whole upload is begun anew, when S3 asks for that.
RACES = 3
#: Bytes compared at once with somebody else's share.
PIECE = 4 * 1024 * 1024


class SomebodyElses(Exception):
    """Another writer stored other data under this share's name first."""


def part_size(length: int) -> int:
    """The bytes of every part, but the last, of a share that is sent in parts."""
    return max(PART, -(-length // MOST_PARTS))


@define(eq=False)
class Upload:
    """Carries a spool into one object.

    The object appears at once and whole, on the condition that there is none.
    """

    bucket: OpenBucket
    key: str
    spool: Spool
    metadata: Mapping[str, str]
    _token: str = field(init=False)
    _upload_id: str | None = None
    _beginning: DeferredLock = field(factory=DeferredLock)
    _etags: dict[int, str] = field(factory=dict)
    _sent: int = 0
    _under_way: int = 0
    _failure: Exception | None = None
    _waiting: list[Deferred[None]] = field(factory=list)
    _over: bool = False

    def __attrs_post_init__(self) -> None:
        self._token = self.bucket.token()

    @property
    def part_size(self) -> int:
        """Every part's bytes, but the last's."""
        return part_size(self.spool.length)

    # -- while it is received --------------------------------------------------

    async def advance(self) -> None:
        """Send the parts that are ready; wait while the client is far ahead.

        Raises what made a part fail: the upload is lost then.
        """
        if self.spool.length <= ONE_PUT:
            return
        self._pump()
        while self._failure is None and self._behind() and not self._over:
            await self._next_part()
        if self._failure is not None:
            raise self._failure

    def _behind(self) -> bool:
        acknowledged = (self._sent - self._under_way) * self.part_size
        return self.spool.front - acknowledged >= AHEAD * self.part_size

    def _next_part(self) -> Deferred[None]:
        waiter: Deferred[None] = Deferred()
        self._waiting.append(waiter)
        return waiter

    def _pump(self) -> None:
        while self._under_way < AT_ONCE and self._failure is None and not self._over:
            start = self._sent * self.part_size
            ready = min(self.spool.front, self.spool.length) - start
            last = start + ready == self.spool.length
            if ready <= 0 or (ready < self.part_size and not last):
                return
            self._sent += 1
            self._under_way += 1
            Deferred.fromCoroutine(self._send_part(self._sent, start))

    async def _send_part(self, number: int, start: int) -> None:
        try:
            upload_id = await self._id()
            if not self._over:
                part = self.spool.part(start, self.part_size)
                self._etags[number] = await self.bucket.store.put_part(
                    self.key, upload_id, number, part
                )
        except Exception as e:  # noqa: BLE001  (told to whoever writes or closes next)
            self._failure = e
        finally:
            self._under_way -= 1
            waiting, self._waiting = self._waiting, []
            for waiter in waiting:
                waiter.callback(None)
            self._pump()

    async def _id(self) -> str:
        await self._beginning.acquire()
        try:
            if self._upload_id is None:
                marked = {**self.metadata, WRITER: self._token}
                self._upload_id = await self.bucket.store.begin_upload(self.key, marked)
            return self._upload_id
        finally:
            self._beginning.release()

    # -- at its end ------------------------------------------------------------

    async def finish(self) -> None:
        """Make it an object; raises :class:`SomebodyElses` or a StoreError.

        The same bytes stored by another writer before are as good as ours.
        """
        try:
            if self.spool.length <= ONE_PUT:
                await self.bucket.writer.put(
                    self.key, self.spool, None, dict(self.metadata)
                )
            else:
                await self._finish_parts()
        except ConditionFailed:
            if not await self._same_is_there():
                raise SomebodyElses(self.key) from None
        except StoreError:
            await self.abandon()
            raise
        finally:
            self._over = True

    async def _finish_parts(self) -> None:
        for _ in range(RACES):
            await self._send_rest()
            if await self._completed():
                return
            await self._begin_anew()
        raise Contended("ConditionalRequestConflict", self.key)

    async def _send_rest(self) -> None:
        # What a client of old leaves out reads as zeros: everything is ready now.
        self.spool.fill()
        self._pump()
        while self._under_way and self._failure is None:
            await self._next_part()
        if self._failure is not None:
            raise self._failure

    async def _completed(self) -> bool:
        """Whether the object is there; False when S3 wants the upload anew."""
        upload_id = await self._id()
        etags = tuple(self._etags[n + 1] for n in range(len(self._etags)))
        try:
            await self.bucket.store.complete_upload(
                self.key, upload_id, etags, if_absent=True
            )
        except Contended:
            return False
        except (ConditionFailed, NotThere, Unclear):
            if not await self._is_ours():
                raise
        return True

    async def _is_ours(self) -> bool:
        head = await self.bucket.store.head(self.key)
        return head is not None and head.metadata.get(WRITER) == self._token

    async def _begin_anew(self) -> None:
        await self.abandon()
        self._upload_id, self._etags, self._sent = None, {}, 0

    async def _same_is_there(self) -> bool:
        await self.abandon()
        ours, theirs = hashlib.sha256(), hashlib.sha256()
        for at in range(0, max(self.spool.length, 1), PIECE):
            got = await self.bucket.store.get(self.key, at, PIECE)
            if got.head.size != self.spool.length:
                return False
            theirs.update(got.data)
            ours.update(self.spool.read(at, PIECE))
        return ours.digest() == theirs.digest()

    async def abandon(self) -> None:
        """Throw away what was sent; what cannot be is swept by the bucket's rule."""
        while self._under_way:
            await self._next_part()
        if self._upload_id is None:
            return
        try:
            await self.bucket.store.abort_upload(self.key, self._upload_id)
        except StoreError as e:
            _log.warn("an unfinished upload is left: {error}", error=e.code)

    def stop(self) -> None:
        """Send no more (the client gave up); clean up behind its back."""
        self._over = True
        Deferred.fromCoroutine(self.abandon())
