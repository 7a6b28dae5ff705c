"""A share on its way into the bucket: seen by nobody until the object is whole there.

Requests are opened with the first bytes and go along with what the client sends, so
that S3 has nearly all of a share when its last byte arrives.  Where a client is slow
its requests are withdrawn, and what they were to send goes when it is whole.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from attrs import define, field
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger

from lae_storage.s3.conditional import Written
from lae_storage.s3.interface import (
    GROWS_WITHIN,
    ConditionFailed,
    StoreError,
    Withdrawn,
)
from lae_storage.server.beginning import add_beginning
from lae_storage.server.bucket import OpenBucket
from lae_storage.server.concurrency import Promise
from lae_storage.server.multipart import Multipart
from lae_storage.server.spool import Spool, SpoolBody

_log = Logger()
#: A larger share's request is opened early; a smaller share is here in one message.
OPEN_EARLY = 64 * 1024  # bytes
#: Shares up to this size are sent in one request, larger ones in parts.
SINGLE_PUT = 16 * 1024 * 1024  # bytes
#: Compared at once with another writer's share.
COMPARE_PIECE = 4 * 1024 * 1024  # bytes


@define(eq=False)
class SinglePut:
    """One conditional PUT of a whole share, open while the share arrives."""

    bucket: OpenBucket
    key: str
    spool: Spool
    metadata: Mapping[str, str]
    _body: SpoolBody = field(init=False)
    _written: Promise[Written] | None = None
    _timeout: IDelayedCall | None = None

    def __attrs_post_init__(self) -> None:
        self._body = self._whole(held=True)

    def _whole(self, *, held: bool) -> SpoolBody:
        return SpoolBody(self.spool, 0, self.spool.length, held)

    def send_received(self) -> None:
        """Open the request with the first bytes, and send those that came since."""
        early = self.spool.front > 0 and self.spool.length > OPEN_EARLY
        if self._written is None and early:
            self._open()
        self._body.tell_growth()

    async def wait_for_s3(self) -> None:
        """Return at once: the spool has room for the whole share."""

    def _open(self) -> None:
        written: Promise[Written] = Promise()
        self._written = written
        self._put().addCallbacks(written.succeed, lambda f: written.fail(f.value))
        self._timeout = self.bucket.reactor.callLater(GROWS_WITHIN, self._withdraw)

    def _put(self) -> Deferred[Written]:
        writer = self.bucket.writer
        return Deferred.fromCoroutine(
            writer.put(
                self.key, self._body, None, add_beginning(self.metadata, self.spool)
            )
        )

    def _withdraw(self) -> None:
        """S3 would not wait for a slow client: it gets all bytes at the end."""
        if self._written is not None and self._body.held:
            self._body.withdraw()

    async def finish(self) -> None:
        """Send what is missing; raises ConditionFailed and other StoreErrors."""
        opened = self._written
        failed_before = opened is not None and opened.error is not None
        self._release_last_byte()
        self.spool.fill_holes()
        if opened is not None and not failed_before:
            self._body.tell_growth()
            try:
                await opened.wait()
            except Withdrawn:
                _log.debug("a slow client's request was withdrawn: all is sent now")
            else:
                return
        if opened is not None and isinstance(opened.error, ConditionFailed):
            raise opened.error
        # What failed while the client was writing may succeed now.
        self._body = self._whole(held=False)
        await self._put()

    def _release_last_byte(self) -> None:
        self._body.held = False
        if self._timeout is not None and self._timeout.active():
            self._timeout.cancel()

    async def abandon(self) -> None:
        """Withdraw the request: without its last byte it has no effect."""
        self._withdraw()
        self._release_last_byte()
        if self._written is not None:
            try:
                await self._written.wait()
            except StoreError:
                return


class SomebodyElses(Exception):
    """Another writer stored other data under this share's name first."""


@define(eq=False)
class Upload:
    """Stores a spool as one object, which appears whole and where there is none."""

    bucket: OpenBucket
    key: str
    spool: Spool
    metadata: Mapping[str, str]
    _sending: SinglePut | Multipart = field(init=False)

    def __attrs_post_init__(self) -> None:
        kind = SinglePut if self.spool.length <= SINGLE_PUT else Multipart
        self._sending = kind(self.bucket, self.key, self.spool, self.metadata)

    def send_received(self) -> None:
        """Send what was received since."""
        self._sending.send_received()

    async def wait_for_s3(self) -> None:
        """Wait while the client is far ahead of S3.

        Raises what makes sending fail: the upload is lost then.
        """
        await self._sending.wait_for_s3()

    async def finish(self) -> None:
        """Make the object; raises :class:`SomebodyElses` or a StoreError.

        The same bytes stored by another writer before are as good as ours.
        """
        try:
            await self._sending.finish()
        except ConditionFailed:
            if not await self._is_same_stored():
                raise SomebodyElses(self.key) from None
        except Exception:
            # Whatever failed: the spool is closed next, and nothing may read it then.
            await self._sending.abandon()
            raise

    async def _is_same_stored(self) -> bool:
        await self._sending.abandon()
        ours, theirs = hashlib.sha256(), hashlib.sha256()
        for at in range(0, max(self.spool.length, 1), COMPARE_PIECE):
            got = await self.bucket.store.get(self.key, at, COMPARE_PIECE)
            if got.head.size != self.spool.length:
                return False
            theirs.update(got.data)
            ours.update(self.spool.read(at, COMPARE_PIECE))
        return ours.digest() == theirs.digest()

    def stop(self) -> Deferred[None]:
        """Send no more, since the client gave up, and throw away what was sent."""
        return Deferred.fromCoroutine(self._sending.abandon())
