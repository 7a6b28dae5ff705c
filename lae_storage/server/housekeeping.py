"""What a node does behind its clients' backs, one thing after the other.

1. When everything that an earlier node may have acknowledged is in the bucket, see it:
   until then the slots' memory is not believed, and from then on it is.
2. Each day, delete the chunks that no slot names.

Nothing here is in a hurry, and all of it ends with the node.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from attrs import define, field
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure

from lae_storage.s3.interface import StoreError
from lae_storage.server.bucket import OpenBucket
from lae_storage.server.fence import SETTLED, Superseded
from lae_storage.server.index import read_again
from lae_storage.server.orphans import sweep_orphans
from lae_storage.server.share_leases import ShareLeases
from lae_storage.server.slots import Slots

_log = Logger()
#: Seconds before what S3 refused is tried again.
AGAIN = 20.0
DAY = 24 * 60 * 60


@define(eq=False)
class Housekeeping:
    """Begins with :meth:`start`, ends with :meth:`stop`."""

    bucket: OpenBucket
    slots: Slots
    leases: ShareLeases
    _running: Deferred[None] | None = field(default=None, init=False)

    def start(self) -> None:
        """Begin."""
        self._running = Deferred.fromCoroutine(self._run())
        self._running.addErrback(_ended)

    def stop(self) -> None:
        """Leave it."""
        if self._running is not None:
            self._running.cancel()

    async def _run(self) -> None:
        await self._until_done(self._settle)
        while True:
            await self._until_done(self._sweep)
            await deferLater(self.bucket.fence.reactor, DAY)

    async def _until_done(self, work: Callable[[], Awaitable[None]]) -> None:
        while True:
            try:
                return await work()
            except Superseded:
                raise
            except StoreError as e:
                _log.warn("housekeeping waits for S3: {why}", why=str(e))
            await deferLater(self.bucket.fence.reactor, AGAIN)

    async def _settle(self) -> None:
        fence = self.bucket.fence
        if fence.settled:
            return
        left = fence.taken + SETTLED - fence.reactor.seconds()
        await deferLater(fence.reactor, max(0.0, left))
        await read_again(self.bucket.store, self.bucket.index)
        self.slots.forget()
        self.leases.forget()
        fence.settled = True
        _log.info("all that earlier nodes acknowledged is seen")

    async def _sweep(self) -> None:
        await sweep_orphans(self.bucket, self.slots)


def _ended(failure: Failure) -> None:
    if failure.check(CancelledError, Superseded) is None:  # type: ignore[no-untyped-call]
        _log.failure("housekeeping ended", failure)
