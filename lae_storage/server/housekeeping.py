"""What a node does beside serving clients.

1. When everything that an earlier node may have acknowledged is in the bucket, see it:
   until then what is held of slots in memory is not believed, from then on it is.
2. Each day, delete the chunks that no slot names.
3. Each day, first an hour after the start, delete the shares whose leases have ended.

At the same time: every ten minutes and at the end, what was counted is written; each
day, first some minutes after the start, the noncurrent versions are measured; and every
ten seconds the node looks whether the month's traffic is used up, and gives memory back
that it has no use for at rest.

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
from lae_storage.server.fence import SETTLED_AFTER, Superseded
from lae_storage.server.garbage import DAY, Expiry, sweep_orphans
from lae_storage.server.index import read_again
from lae_storage.server.leases import ImmutableLeases
from lae_storage.server.meter import measure_noncurrent
from lae_storage.server.slots import Slots

_log = Logger()
#: After what S3 refused.
RETRY_AFTER = 20.0  # s
#: Between two writings of what was counted.
COUNTS_EVERY = 10 * 60.0  # s
#: For the last writing.
LAST_COUNTS_TIMEOUT = 2.0  # s
#: After the start: clients come back first and have S3 to themselves.
MEASURE_AFTER = 5 * 60.0  # s
#: After the start: no request of a dead node that was deleting a share can arrive now.
COLLECT_AFTER = 60 * 60.0  # s
#: Between two looks at the month's traffic.
TRAFFIC_EVERY = 10.0  # s


@define(eq=False)
class Housekeeping:
    """The node's own work, from :meth:`start` to :meth:`stop`."""

    bucket: OpenBucket
    slots: Slots
    leases: ImmutableLeases
    expiry: Expiry
    _running: list[Deferred[None]] = field(factory=list, init=False)
    _rest_watch: Rests = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._rest_watch = Rests(self.bucket.meter.moved)

    def start(self) -> None:
        """Begin all of it."""
        self._running = [
            Deferred.fromCoroutine(work()).addErrback(_log_end)
            for work in (
                self._keep_tidy,
                self._keep_counting,
                self._keep_measuring,
                self._watch_traffic,
            )
        ]

    def stop(self) -> Deferred[None]:
        """End all of it, but write what was counted, if S3 takes it at once."""
        running, self._running = self._running, []
        if not running:
            return succeed(None)
        for work in running:
            work.cancel()
        written = Deferred.fromCoroutine(self._write_counts())
        reactor = self.bucket.fence.reactor
        return with_deadline(
            reactor, LAST_COUNTS_TIMEOUT, "the counts", written
        ).addErrback(_log_end)

    async def _keep_tidy(self) -> None:
        await self._retry(self._settle)
        reactor = self.bucket.fence.reactor
        while True:
            await self._retry(self._sweep)
            await deferLater(reactor, COLLECT_AFTER)
            await self._collect()
            await deferLater(reactor, DAY - COLLECT_AFTER)

    async def _collect(self) -> None:
        try:
            await self.expiry.collect()
        except Superseded:
            raise
        except StoreError as e:
            # Not at once: a DELETE whose answer was lost may still arrive.
            _log.warn("expired shares are collected tomorrow: {why}", why=str(e))

    async def _keep_counting(self) -> None:
        bucket = self.bucket
        await self._retry(lambda: bucket.meter.open(bucket.store))
        while True:
            await deferLater(bucket.fence.reactor, COUNTS_EVERY)
            await self._retry(self._write_counts)

    async def _watch_traffic(self) -> None:
        while True:
            self.bucket.pace.update()
            self._rest_watch.look()
            await deferLater(self.bucket.fence.reactor, TRAFFIC_EVERY)

    async def _keep_measuring(self) -> None:
        reactor = self.bucket.fence.reactor
        await deferLater(reactor, MEASURE_AFTER)
        while True:
            await self._measure()
            await deferLater(reactor, DAY)

    async def _measure(self) -> None:
        bucket = self.bucket
        replaced = bucket.meter.replaced
        try:
            found = await measure_noncurrent(bucket.store, bucket.fence.reactor)
        except StoreError as e:
            # The role of an earlier release may not list versions.
            _log.warn("noncurrent versions cannot be measured: {why}", why=str(e))
        else:
            bucket.meter.measured(found, replaced)

    async def _write_counts(self) -> None:
        # Superseded or not: the object is of our own epoch.
        bucket = self.bucket
        stored = bucket.index.stored
        await bucket.meter.write(bucket.writer, bucket.fence.epoch, stored)

    async def _retry(self, work: Callable[[], Awaitable[None]]) -> None:
        while True:
            try:
                return await work()
            except Superseded:
                raise
            except StoreError as e:
                _log.warn("housekeeping waits for S3: {why}", why=str(e))
            await deferLater(self.bucket.fence.reactor, RETRY_AFTER)

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
        _log.info("all that earlier nodes acknowledged is seen now")

    async def _sweep(self) -> None:
        await sweep_orphans(self.bucket, self.slots)


#: Housekeeping ends when it is told to, when superseded, or when S3 is away.
EXPECTED = (CancelledError, StoreError, DeadlinePassed)


def _log_end(failure: Failure) -> None:
    if failure.check(*EXPECTED) is None:  # type: ignore[no-untyped-call]
        _log.failure("housekeeping ended", failure)
