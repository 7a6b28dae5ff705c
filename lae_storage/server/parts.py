"""A large share in parts, each of which is open while its bytes arrive."""

from __future__ import annotations

from collections.abc import Mapping

from attrs import define, field
from twisted.internet.defer import Deferred, DeferredLock
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger

from lae_storage.s3.conditional import WRITER
from lae_storage.s3.interface import (
    GROWS_WITHIN,
    ConditionFailed,
    Contended,
    NotThere,
    StoreError,
    Unclear,
    Withdrawn,
)
from lae_storage.server.beginning import marked
from lae_storage.server.bucket import OpenBucket
from lae_storage.server.spool import Spool
from lae_storage.server.stretch import Stretch

_log = Logger()
PART = 8 * 1024 * 1024
#: S3's limit is 10,000 parts.
MOST_PARTS = 9000
#: Parts of one upload under way at once, and how far a client may run ahead.
AT_ONCE, AHEAD = 2, 3
#: Times that a whole upload is begun anew, when S3 asks for that.
RACES = 3


def part_size(length: int) -> int:
    """The bytes of every part, but the last, of a share that is sent in parts."""
    return max(PART, -(-length // MOST_PARTS))


@define(eq=False)
class Part:
    """A part under way; *patience* is for the client, where it is not all here."""

    stretch: Stretch
    patience: IDelayedCall | None = None

    def take_back(self) -> None:
        """Send it no further, if it is not all here."""
        if not self.stretch.whole():
            self.stretch.withdraw()

    def over(self) -> None:
        """It is there, or failed."""
        if self.patience is not None and self.patience.active():
            self.patience.cancel()


@define(eq=False)
class Parts:
    """A multipart upload of the spool."""

    bucket: OpenBucket
    key: str
    spool: Spool
    metadata: Mapping[str, str]
    part_size: int = field(init=False)
    _token: str = field(init=False)
    _upload_id: str | None = None
    _beginning: DeferredLock = field(factory=DeferredLock)
    _etags: dict[int, str] = field(factory=dict)
    _open: dict[int, Part] = field(factory=dict)
    _failure: Exception | None = None
    _waiting: list[Deferred[None]] = field(factory=list)
    #: Whether parts are opened before they are whole.
    _early: bool = True
    _over: bool = False

    def __attrs_post_init__(self) -> None:
        self._token = self.bucket.token()
        self.part_size = part_size(self.spool.length)

    # -- while it is received --------------------------------------------------

    def advance(self) -> None:
        """Send what is here."""
        for part in list(self._open.values()):
            part.stretch.grown()
        self._pump()

    async def keep_up(self) -> None:
        """Wait while the client is far ahead.

        Raises what made a part fail: the upload is lost then.
        """
        while self._failure is None and self._behind() and not self._over:
            await self._next_part()
        if self._failure is not None:
            raise self._failure

    def _behind(self) -> bool:
        acknowledged = len(self._etags) * self.part_size
        return self.spool.front - acknowledged >= AHEAD * self.part_size

    def _next_part(self) -> Deferred[None]:
        waiter: Deferred[None] = Deferred()
        self._waiting.append(waiter)
        return waiter

    def _pump(self) -> None:
        while self._failure is None and not self._over:
            number = self._next()
            if number is None:
                return
            self._start(number)

    def _next(self) -> int | None:
        """The next part to open, if there is one and it may be."""
        if len(self._open) >= AT_ONCE:
            return None
        number = len(self._etags) + 1
        while number in self._etags or number in self._open:
            number += 1
        stretch = self._stretch(number)
        ready = stretch.length > 0 and (
            stretch.whole() or (self._early and stretch.here() > 0)
        )
        return number if ready else None

    def _stretch(self, number: int) -> Stretch:
        start = (number - 1) * self.part_size
        return Stretch(
            self.spool, start, min(self.part_size, self.spool.length - start)
        )

    def _start(self, number: int) -> None:
        part = self._open[number] = Part(self._stretch(number))
        if not part.stretch.whole():
            part.patience = self.bucket.reactor.callLater(
                GROWS_WITHIN, self._too_slow, part
            )
        Deferred.fromCoroutine(self._send(number, part))

    def _too_slow(self, part: Part) -> None:
        """S3 would not wait for this client: from now on parts go when whole."""
        self._early = self._early and part.stretch.whole()
        part.take_back()

    async def _send(self, number: int, part: Part) -> None:
        try:
            upload_id = await self._id()
            if not self._over:
                self._etags[number] = await self.bucket.store.put_part(
                    self.key, upload_id, number, part.stretch
                )
        except Withdrawn:
            _log.debug("a slow client's part goes when it is whole")
        except Exception as e:  # noqa: BLE001  (told to whoever writes or closes next)
            self._failure = e
        finally:
            part.over()
            del self._open[number]
            # First: who waits must see what is yet to be sent, as after a withdrawal.
            self._pump()
            waiting, self._waiting = self._waiting, []
            for waiter in waiting:
                waiter.callback(None)

    async def _id(self) -> str:
        await self._beginning.acquire()
        try:
            if self._upload_id is None:
                metadata = {**marked(self.metadata, self.spool), WRITER: self._token}
                self._upload_id = await self.bucket.store.begin_upload(
                    self.key, metadata
                )
            return self._upload_id
        finally:
            self._beginning.release()

    # -- at its end ------------------------------------------------------------

    async def finish(self) -> None:
        """Send the rest and make it an object; raises StoreErrors."""
        for _ in range(RACES):
            await self._send_rest()
            if await self._completed():
                return
            await self._begin_anew()
        raise Contended("ConditionalRequestConflict", self.key)

    async def _send_rest(self) -> None:
        # What a client of old leaves out reads as zeros: everything is ready now.
        self.spool.fill()
        self.advance()
        while self._open and self._failure is None:
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
        self._upload_id, self._etags, self._over = None, {}, False

    async def abandon(self) -> None:
        """Throw away what was sent; what cannot be is swept by the bucket's rule."""
        self._over = True
        for part in list(self._open.values()):
            part.take_back()
        while self._open:
            await self._next_part()
        if self._upload_id is None:
            return
        try:
            await self.bucket.store.abort_upload(self.key, self._upload_id)
        except StoreError as e:
            _log.warn("an unfinished upload is left: {error}", error=e.code)
