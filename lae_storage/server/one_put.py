"""A share of some megabytes as one request, which is open while the share arrives."""

from __future__ import annotations

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
from lae_storage.server.beginning import marked
from lae_storage.server.bucket import OpenBucket
from lae_storage.server.concurrency import Promise
from lae_storage.server.spool import Spool
from lae_storage.server.stretch import Stretch

_log = Logger()
#: Shares up to this size are here in one message: nothing is gained by opening early.
EARLY = 64 * 1024


@define(eq=False)
class OnePut:
    """One conditional PUT of the whole spool."""

    bucket: OpenBucket
    key: str
    spool: Spool
    metadata: Mapping[str, str]
    _stretch: Stretch = field(init=False)
    _written: Promise[Written] | None = None
    _patience: IDelayedCall | None = None

    def __attrs_post_init__(self) -> None:
        self._stretch = self._whole(held=True)

    def _whole(self, *, held: bool) -> Stretch:
        return Stretch(self.spool, 0, self.spool.length, held)

    def advance(self) -> None:
        """Open the request with the first bytes, and send what came since."""
        if self._written is None and self.spool.length > EARLY and self.spool.front:
            self._open()
        self._stretch.grown()

    async def keep_up(self) -> None:
        """Nobody has to wait: the spool has room for all of it."""

    def _open(self) -> None:
        written: Promise[Written] = Promise()
        self._written = written
        self._put().addCallbacks(written.succeed, lambda f: written.fail(f.value))
        self._patience = self.bucket.reactor.callLater(GROWS_WITHIN, self._take_back)

    def _put(self) -> Deferred[Written]:
        writer = self.bucket.writer
        return Deferred.fromCoroutine(
            writer.put(self.key, self._stretch, None, marked(self.metadata, self.spool))
        )

    def _take_back(self) -> None:
        """The client is slow: S3 would not wait; it gets all in the end."""
        if self._written is not None and self._stretch.held:
            self._stretch.withdraw()

    async def finish(self) -> None:
        """Send what is missing; raises ConditionFailed and other StoreErrors."""
        opened = self._written
        failed_before = opened is not None and opened.error is not None
        self._let_go()
        self.spool.fill()
        if opened is not None and not failed_before:
            self._stretch.grown()
            try:
                await opened.wait()
            except Withdrawn:
                _log.debug("a slow client's request ends only now; all is sent again")
            else:
                return
        if opened is not None and isinstance(opened.error, ConditionFailed):
            raise opened.error
        # What failed while the client was writing may do better now.
        self._stretch = self._whole(held=False)
        await self._put()

    def _let_go(self) -> None:
        self._stretch.held = False
        if self._patience is not None and self._patience.active():
            self._patience.cancel()

    async def abandon(self) -> None:
        """Take the request back: without its last byte it has no effect."""
        self._take_back()
        self._let_go()
        if self._written is not None:
            try:
                await self._written.wait()
            except StoreError:
                return
