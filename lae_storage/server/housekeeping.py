"""What a node does behind its clients' backs, one thing after the other.

1. When everything that an earlier node may have acknowledged is in the bucket, see it:
   until then the slots' memory is not believed, and from then on it is.
2. Each day, delete the chunks that no slot names.
3. Each day, an hour after the start at first, collect what no lease holds any more.
Beside these, every ten minutes and at the end, keep what was counted; and each day,
some minutes after the start at first, find out what noncurrent versions take; and every
ten seconds look whether the month's traffic is used up, and give memory back that a
node at rest has no use for.

Nothing here is in a hurry, and all of it ends with the node.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from attrs import define, field
from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure

from lae_protocol.process.deadline import DeadlinePassed, with_deadline
from lae_storage.allocator import Rests
from lae_storage.s3.interface import StoreError
from lae_storage.server.bucket import OpenBucket
from lae_storage.server.expiry import DAY, OFFICE, Expiry
from lae_storage.server.fence import SETTLED_AFTER, Superseded
from lae_storage.server.index import read_again
from lae_storage.server.leases import ImmutableLeases
from lae_storage.server.orphans import sweep_orphans
from lae_storage.server.pace import LOOK
from lae_storage.server.slots import Slots
from lae_storage.server.weighing import noncurrent_bytes

_log = Logger()
#: Seconds before what S3 refused is tried again.
AGAIN = 20.0
#: Seconds between two writings of what was counted, and for the last one.
COUNTED, LAST = 10 * 60.0, 2.0
#: Seconds after the start in which clients come back and have S3 to themselves.
RETURN = 5 * 60.0


@define(eq=False)
class Housekeeping:
    """Begins with :meth:`start`, ends with :meth:`stop`."""

    bucket: OpenBucket
    slots: Slots
    leases: ImmutableLeases
    expiry: Expiry
    _running: list[Deferred[None]] = field(factory=list, init=False)
    _rests: Rests = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._rests = Rests(self.bucket.meter.moved)

    def start(self) -> None:
        """Begin."""
        self._running = [
            Deferred.fromCoroutine(work()).addErrback(_ended)
            for work in (self._run, self._count, self._weigh, self._watch_traffic)
        ]

    def stop(self) -> Deferred[None]:
        """Leave it, but keep what was counted, if S3 takes it at once."""
        running, self._running = self._running, []
        if not running:
            return succeed(None)
        for work in running:
            work.cancel()
        kept = Deferred.fromCoroutine(self._keep_counts())
        reactor = self.bucket.fence.reactor
        return with_deadline(reactor, LAST, "the counts", kept).addErrback(_ended)

    async def _run(self) -> None:
        await self._until_done(self._settle)
        reactor = self.bucket.fence.reactor
        while True:
            await self._until_done(self._sweep)
            # A share that a dead node was deleting may be looked at when no request of
            # that node can arrive any more.
            await deferLater(reactor, OFFICE)
            await self._collect()
            await deferLater(reactor, DAY - OFFICE)

    async def _collect(self) -> None:
        try:
            await self.expiry.collect()
        except Superseded:
            raise
        except StoreError as e:
            # Not at once: a DELETE whose answer was lost may be on its way.
            _log.warn("collecting goes on tomorrow: {why}", why=str(e))

    async def _count(self) -> None:
        bucket = self.bucket
        await self._until_done(lambda: bucket.meter.open(bucket.store))
        while True:
            await deferLater(bucket.fence.reactor, COUNTED)
            await self._until_done(self._keep_counts)

    async def _watch_traffic(self) -> None:
        while True:
            self.bucket.pace.look()
            self._rests.look()
            await deferLater(self.bucket.fence.reactor, LOOK)

    async def _weigh(self) -> None:
        reactor = self.bucket.fence.reactor
        await deferLater(reactor, RETURN)
        while True:
            await self._weigh_once()
            await deferLater(reactor, DAY)

    async def _weigh_once(self) -> None:
        bucket = self.bucket
        try:
            found = await noncurrent_bytes(bucket.store, bucket.fence.reactor)
        except StoreError as e:
            # A role of an earlier release may not list versions: it is not known then.
            _log.warn("what noncurrent versions take is not known: {why}", why=str(e))
        else:
            bucket.meter.noncurrent = found

    async def _keep_counts(self) -> None:
        # Superseded or not: the object is of our own epoch.
        bucket = self.bucket
        stored = bucket.index.stored
        await bucket.meter.keep(bucket.writer, bucket.fence.epoch, stored)

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
        left = fence.taken + SETTLED_AFTER - fence.reactor.seconds()
        await deferLater(fence.reactor, max(0.0, left))
        await read_again(self.bucket.store, self.bucket.index)
        self.slots.forget()
        self.leases.forget()
        fence.settled = True
        _log.info("all that earlier nodes acknowledged is seen")

    async def _sweep(self) -> None:
        await sweep_orphans(self.bucket, self.slots)


#: How housekeeping ends: told to, by another node, or with an S3 that is away.
EXPECTED = (CancelledError, StoreError, DeadlinePassed)


def _ended(failure: Failure) -> None:
    if failure.check(*EXPECTED) is None:  # type: ignore[no-untyped-call]
        _log.failure("housekeeping ended", failure)
