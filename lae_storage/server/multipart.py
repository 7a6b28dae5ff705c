"""A large share in parts, each of which is sent while its bytes arrive."""

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
from lae_storage.server.beginning import add_beginning
from lae_storage.server.bucket import OpenBucket
from lae_storage.server.spool import Spool, SpoolBody

_log = Logger()
PART_SIZE = 8 * 1024 * 1024  # bytes
#: S3's limit is 10,000 parts.
MOST_PARTS = 9000
#: Parts of one upload that are being sent at once.
PARTS_AT_ONCE = 2
#: Parts that a client may have written and S3 not yet acknowledged.
PARTS_AHEAD = 3
#: Times that a whole upload is begun, where S3 asks for a new one.
MOST_ATTEMPTS = 3


def part_size(length: int) -> int:
    """The bytes of every part but the last of a share that is sent in parts."""
    return max(PART_SIZE, -(-length // MOST_PARTS))


@define(eq=False)
class Part:
    """A part that is being sent; *timeout* withdraws it where the client is slow."""

    body: SpoolBody
    timeout: IDelayedCall | None = None

    def withdraw(self) -> None:
        """Send the part no further, if its bytes are not all here."""
        if not self.body.whole():
            self.body.withdraw()

    def end(self) -> None:
        """Stop the timeout: the part is stored, or failed."""
        if self.timeout is not None and self.timeout.active():
            self.timeout.cancel()


@define(eq=False)
class Multipart:
    """A multipart upload of a spool."""

    bucket: OpenBucket
    key: str
    spool: Spool
    metadata: Mapping[str, str]
    part_size: int = field(init=False)
    _token: str = field(init=False)
    _upload_id: str | None = None
    _begin_lock: DeferredLock = field(factory=DeferredLock)
    _etags: dict[int, str] = field(factory=dict)
    _open: dict[int, Part] = field(factory=dict)
    _failure: Exception | None = None
    _waiting: list[Deferred[None]] = field(factory=list)
    #: Whether parts are opened before they are whole.
    _open_early: bool = True
    _ended: bool = False

    def __attrs_post_init__(self) -> None:
        self._token = self.bucket.token()
        self.part_size = part_size(self.spool.length)

    # -- while it is received --------------------------------------------------

    def send_received(self) -> None:
        """Send what was received since."""
        for part in list(self._open.values()):
            part.body.tell_growth()
        self._open_parts()

    async def wait_for_s3(self) -> None:
        """Wait while the client is far ahead of S3.

        Raises what made a part fail: the upload is lost then.
        """
        while self._failure is None and self._behind() and not self._ended:
            await self._wait_for_part()
        if self._failure is not None:
            raise self._failure

    def _behind(self) -> bool:
        acknowledged = len(self._etags) * self.part_size
        return self.spool.front - acknowledged >= PARTS_AHEAD * self.part_size

    def _wait_for_part(self) -> Deferred[None]:
        waiter: Deferred[None] = Deferred()
        self._waiting.append(waiter)
        return waiter

    def _open_parts(self) -> None:
        while self._failure is None and not self._ended:
            number = self._next_to_open()
            if number is None:
                return
            self._start(number)

    def _next_to_open(self) -> int | None:
        """The next part that can be sent, if there is one."""
        if len(self._open) >= PARTS_AT_ONCE:
            return None
        number = len(self._etags) + 1
        while number in self._etags or number in self._open:
            number += 1
        body = self._body(number)
        ready = body.length > 0 and (
            body.whole() or (self._open_early and body.here() > 0)
        )
        return number if ready else None

    def _body(self, number: int) -> SpoolBody:
        start = (number - 1) * self.part_size
        return SpoolBody(
            self.spool, start, min(self.part_size, self.spool.length - start)
        )

    def _start(self, number: int) -> None:
        part = self._open[number] = Part(self._body(number))
        if not part.body.whole():
            part.timeout = self.bucket.reactor.callLater(
                GROWS_WITHIN, self._too_slow, part
            )
        Deferred.fromCoroutine(self._send(number, part))

    def _too_slow(self, part: Part) -> None:
        """S3 would not wait for this client: from now on parts are sent when whole."""
        self._open_early = self._open_early and part.body.whole()
        part.withdraw()

    async def _send(self, number: int, part: Part) -> None:
        try:
            upload_id = await self._get_upload_id()
            if not self._ended:
                self._etags[number] = await self.bucket.store.put_part(
                    self.key, upload_id, number, part.body
                )
        except Withdrawn:
            _log.debug("a slow client's part is sent when it is whole")
        except Exception as e:  # noqa: BLE001  (raised in the next write or close)
            self._failure = e
        finally:
            part.end()
            del self._open[number]
            # First: waiters must see what is yet to be sent, as after a withdrawal.
            self._open_parts()
            waiting, self._waiting = self._waiting, []
            for waiter in waiting:
                waiter.callback(None)

    async def _get_upload_id(self) -> str:
        await self._begin_lock.acquire()
        try:
            if self._upload_id is None:
                metadata = {
                    **add_beginning(self.metadata, self.spool),
                    WRITER: self._token,
                }
                self._upload_id = await self.bucket.store.begin_upload(
                    self.key, metadata
                )
            return self._upload_id
        finally:
            self._begin_lock.release()

    # -- at its end ------------------------------------------------------------

    async def finish(self) -> None:
        """Send the rest and make the object; raises StoreErrors."""
        for _ in range(MOST_ATTEMPTS):
            await self._send_rest()
            if await self._completed():
                return
            await self._begin_anew()
        raise Contended("ConditionalRequestConflict", self.key)

    async def _send_rest(self) -> None:
        # What an old client leaves out reads as zeros: everything is here now.
        self.spool.fill_holes()
        self.send_received()
        while self._open and self._failure is None:
            await self._wait_for_part()
        if self._failure is not None:
            raise self._failure

    async def _completed(self) -> bool:
        """Whether the object is stored; False where S3 wants a new upload."""
        upload_id = await self._get_upload_id()
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
        self._upload_id, self._etags, self._ended = None, {}, False

    async def abandon(self) -> None:
        """Throw away what was sent; the bucket's rule deletes what is left."""
        self._ended = True
        for part in list(self._open.values()):
            part.withdraw()
        while self._open:
            await self._wait_for_part()
        if self._upload_id is None:
            return
        try:
            await self.bucket.store.abort_upload(self.key, self._upload_id)
        except StoreError as e:
            _log.warn("an unfinished upload is left: {error}", error=e.code)
