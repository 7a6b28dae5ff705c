"""The storage server: upstream's operations on a bucket, asynchronously.

It is upstream's class by name, since upstream finds its storage server by type and
uses its counters; nothing of upstream's way to the disk is used.  Where upstream's
method answers, ours answers a Deferred that fires when S3 has what was acknowledged.
What needs no request of the bucket (version, readers, room) is answered at once, from
memory.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from allmydata.storage.common import (
    UnknownImmutableContainerVersionError,
    UnknownMutableContainerVersionError,
)
from allmydata.storage.server import StorageServer
from twisted.internet.defer import Deferred, gatherResults, maybeDeferred
from twisted.logger import Logger

from lae_storage.s3.interface import NotThere
from lae_storage.server import keys
from lae_storage.server.bucket import OpenBucket
from lae_storage.server.cache import DiskCache
from lae_storage.server.caps import Caps
from lae_storage.server.garbage import Expiry
from lae_storage.server.housekeeping import Housekeeping
from lae_storage.server.immutable import BucketReader, BucketWriter, Uploads
from lae_storage.server.keys import ShareName
from lae_storage.server.lease import new_lease
from lae_storage.server.leases import AllLeases, ByShare, ImmutableLeases
from lae_storage.server.limits import Allowance, Limits, clear_cache
from lae_storage.server.reader import Reader
from lae_storage.server.slot import Operation, Vectors, count_read, count_written
from lae_storage.server.slots import Slots
from lae_storage.server.status import BucketCount, LeaseCheck, Status

_log = Logger()
T = TypeVar("T")
#: Owner numbers as upstream writes them: of a lease that came with its share, and of
#: one that was added.
ALLOCATED, ADDED = 0, 1


def operation(
    category: str | None = None,
) -> Callable[
    [Callable[..., Coroutine[Deferred[Any], Any, T]]], Callable[..., Deferred[T]]
]:
    """Make a client's operation of a coroutine method.

    It answers a Deferred, as Foolscap wants it, and is counted and timed under
    upstream's *category*.  The fence is asked before the work and, since another node
    may have the bucket when the work is done, before the answer, too.
    """

    def make(
        method: Callable[..., Coroutine[Deferred[Any], Any, T]],
    ) -> Callable[..., Deferred[T]]:
        async def fenced(self: S3StorageServer, *given: Any, **named: Any) -> T:
            self.fence.check()
            began = self._clock.seconds()
            if category is not None:
                self.count(category)
            answer = await method(self, *given, **named)
            if category is not None:
                self.add_latency(category, self._clock.seconds() - began)
            self.fence.check()
            return answer

        def answer(self: S3StorageServer, *given: Any, **named: Any) -> Deferred[T]:
            return Deferred.fromCoroutine(fenced(self, *given, **named))

        answer.__doc__, answer.__name__ = method.__doc__, method.__name__
        return answer

    return make


class S3StorageServer(StorageServer):
    """All shares of one grid, in one bucket."""

    LeaseCheckerClass = LeaseCheck

    def __init__(
        self,
        bucket: OpenBucket,
        nodeid: bytes,
        folder: Path,
        allowance: Allowance,
        limits: Limits | None = None,
        *,
        expire_days: int | None = None,
        **upstreams_own: Any,
    ) -> None:
        """*folder* is for unfinished uploads.  A share that no lease held for
        *expire_days* is deleted; None deletes none.  *upstreams_own* are clock and
        stats_provider.
        """
        limits = limits or Limits()
        self._bucket, self.index, self.fence = bucket, bucket.index, bucket.fence
        self.allowance = allowance
        self._caps = caps = Caps(bucket.meter, bucket.index, allowance)
        self._status = Status(bucket.index, bucket.fence, allowance, limits, caps)
        self._folder = folder
        clear_cache(folder)
        super().__init__(str(folder), nodeid, **upstreams_own)
        self._slots = Slots(bucket, nodeid)
        leases = ImmutableLeases(bucket)
        self._leases = AllLeases(leases, self._slots, nodeid)
        self._disk = DiskCache(limits.disk_cache)
        self._reader = Reader(
            bucket.store, bucket.reactor, limits.read_memory, self._disk
        )
        self._uploads = Uploads(
            bucket,
            folder,
            leases,
            self._reader,
            self._clock,
            self.bucket_writer_closed,
            self._count_done,
        )
        expiry = Expiry(
            bucket,
            self._slots,
            leases,
            allowance,
            caps,
            self._clock,
            expire_days,
            self._reader.forget,
        )
        self._housekeeping = Housekeeping(bucket, self._slots, leases, expiry)

    def startService(self) -> None:
        """Begin to look whether the bucket is still ours, and to keep it tidy."""
        super().startService()
        self.fence.start()
        self._housekeeping.start()

    def stopService(self) -> Any:
        """End that, and the uploads that are not finished."""
        kept = self._housekeeping.stop()
        self.fence.stop()
        self._disk.close()
        return gatherResults([kept, maybeDeferred(super().stopService)])

    # -- what is answered from memory ------------------------------------------

    def have_shares(self) -> bool:
        """Whether there is any share; decides a node's permutation seed."""
        return bool(self.index)

    def add_bucket_counter(self) -> None:
        """Give upstream's statistics their count, without upstream's crawler."""
        self.bucket_counter = BucketCount(self.index.buckets)
        self.bucket_counter.setServiceParent(self)  # type: ignore[no-untyped-call]

    def get_available_space(self) -> int:
        """Bytes that the quota leaves."""
        return self._status.room()

    def get_version(self) -> dict[bytes, Any]:
        """What clients poll each second."""
        return self._status.version()

    def get_stats(self) -> dict[str, Any]:
        """Numbers for upstream's statistics."""
        return self._status.statistics(self.allocated_size(), self.get_latencies())

    def get_shares(self, storage_index: bytes) -> Iterator[tuple[int, str]]:
        """Numbers and keys of the immutable shares."""
        self.fence.check()
        for number in self.index.immutable(storage_index):
            yield number, keys.immutable_key(storage_index, number)

    def has_shares(self, storage_index: bytes) -> bool:
        """Whether there is any share, of either kind."""
        self.fence.check()
        return bool(self.index.immutable(storage_index)) or self.index.has_slot(
            storage_index
        )

    def get_immutable_share_length(
        self, storage_index: bytes, share_number: int
    ) -> int:
        """The share's length; raises KeyError."""
        return self.index.immutable(storage_index)[share_number]

    def get_leases(self, storage_index: bytes) -> Iterator[Any]:
        """The leases of the first immutable share, as far as they are in memory."""
        return self._leases.of_first_immutable(storage_index)

    def get_slot_leases(self, storage_index: bytes) -> Iterator[Any]:
        """The leases of the slot's first share, as far as they are in memory."""
        return self._leases.of_first_mutable(storage_index)

    # -- immutable shares ------------------------------------------------------

    @operation("allocate")
    async def allocate_buckets(  # noqa: PLR0917  (upstream's signature)
        self,
        storage_index: bytes,
        renew_secret: bytes,
        cancel_secret: bytes,
        sharenums: Iterable[int],
        allocated_size: int,
        owner_num: int = ALLOCATED,
        renew_leases: bool = True,  # noqa: FBT001, FBT002  (upstream's signature)
    ) -> tuple[set[int], dict[int, BucketWriter]]:
        """The shares that are here already, and writers for those there is room for."""
        if self.index.has_slot(storage_index):
            where = keys.slot_key(storage_index)
            raise UnknownImmutableContainerVersionError(where, "mutable")
        now = self._clock.seconds()
        lease = new_lease(owner_num, now, renew_secret, cancel_secret)
        if renew_leases and self.index.immutable(storage_index):
            self._caps.check_lease()
            await self._leases.add_to_immutable(storage_index, lease)
        gone = await self._leases.immutable.gone(storage_index)
        here = set(self.index.immutable(storage_index))
        writers = {}
        if not here.issuperset(sharenums):
            self.allowance.check_writing()
        for number in sorted(sharenums):
            name = ShareName(storage_index, number)
            if number in here or number in gone or name in self._bucket_writers:
                continue
            if self._status.has_room_for(allocated_size, self.allocated_size()):
                writer = self._uploads.open(name, allocated_size, lease)
                writers[number] = self._bucket_writers[name] = writer
        return here, writers

    def bucket_writer_closed(self, bw: BucketWriter, consumed_size: int) -> None:
        """Forget an upload that ended, one way or the other."""
        if self.stats_provider:
            self.stats_provider.count("storage_server.bytes_added", consumed_size)
        self._bucket_writers.pop(bw.name, None)
        for listener in self._call_on_bucket_writer_close:
            listener(bw)

    def get_buckets(self, storage_index: bytes) -> dict[int, BucketReader]:
        """Readers of all shares; from memory."""
        self.fence.check()
        began = self._clock.seconds()
        readers = {
            number: BucketReader(self, ShareName(storage_index, number), length)
            for number, length in self.index.immutable(storage_index).items()
        }
        self._count_done("get", began)
        return readers

    def _count_done(self, category: str, began: float) -> None:
        self.count(category)
        self.add_latency(category, self._clock.seconds() - began)

    def prefetch_immutable(
        self, name: ShareName, length: int, offset: int, size: int
    ) -> None:
        """Begin to fetch a range that is about to be read piece by piece."""
        key = keys.immutable_key(name.storage_index, name.share_number)
        self._reader.prefetch(key, length, offset, size)

    @operation("read")
    async def read_immutable(
        self, name: ShareName, length: int, offset: int, size: int
    ) -> bytes:
        """A range of a share of *length* bytes, cut at its end."""
        if self._bucket.pace.slowed:
            await self._bucket.pace.to_clients.wait(max(0, min(size, length - offset)))
        key = keys.immutable_key(name.storage_index, name.share_number)
        try:
            data = await self._reader.read(key, length, offset, size)
        except NotThere:
            await self._bucket.forget_if_gone(name)
            raise
        self._bucket.meter.now().sent += len(data)
        return data

    # -- leases ----------------------------------------------------------------

    @operation("add-lease")
    async def add_lease(
        self,
        storage_index: bytes,
        renew_secret: bytes,
        cancel_secret: bytes,
        owner_num: int = ADDED,
    ) -> None:
        """Add or renew a lease on all shares; nothing where there are none."""
        self._check_leases_may_change(storage_index)
        now = self._clock.seconds()
        new = new_lease(owner_num, now, renew_secret, cancel_secret)
        await self._leases.add(storage_index, new)

    @operation("renew")
    async def renew_lease(self, storage_index: bytes, renew_secret: bytes) -> None:
        """Renew the lease with this secret; raises IndexError where a share has none.

        The shares that have one are renewed all the same, as upstream does.
        """
        if not self.has_shares(storage_index):
            raise IndexError("no such lease to renew")
        self._check_leases_may_change(storage_index)
        lease = new_lease(ADDED, self._clock.seconds(), renew_secret, b"")
        await self._leases.renew(storage_index, lease)

    def _check_leases_may_change(self, storage_index: bytes) -> None:
        """Raise NoSpace at a cap, Suspended where the lease would be in a slot."""
        self._caps.check_lease()
        if self.index.has_slot(storage_index):
            self.allowance.check_writing()

    async def all_leases(self, storage_index: bytes) -> ByShare:
        """The leases of every share, read from the bucket where need be."""
        return await self._leases.of(storage_index)

    # -- mutable slots ---------------------------------------------------------

    @operation("writev")
    async def slot_testv_and_readv_and_writev(
        self,
        storage_index: bytes,
        secrets: tuple[bytes, bytes, bytes],
        test_and_write_vectors: Vectors,
        read_vector: Iterable[tuple[int, int]],
        renew_leases: bool = True,  # noqa: FBT001, FBT002  (upstream's signature)
    ) -> tuple[bool, dict[int, list[bytes]]]:
        """Test, read and write all shares of a slot as one."""
        if self.index.immutable(storage_index):
            where = keys.immutable_key(storage_index, 0)
            raise UnknownMutableContainerVersionError(where, "immutable")
        if test_and_write_vectors:
            self.allowance.check_writing()
        write_enabler, renew, cancel = secrets
        now = self._clock.seconds()
        lease = new_lease(ADDED, now, renew, cancel) if renew_leases else None
        asked = Operation(
            test_and_write_vectors, tuple(read_vector), write_enabler, lease
        )
        outcome = await self._slots.operate(storage_index, asked, self._check_growth)
        received = count_written(test_and_write_vectors)
        await self._count_traffic(count_read(outcome.data), received)
        return outcome.passed, outcome.data

    def _check_growth(self, growth: int, size: int) -> None:
        self._caps.check_change()
        promised = self.allocated_size() + self._slots.growing
        self.allowance.check_growth(self.index.stored + promised, growth, size)

    async def _count_traffic(self, sent: int, received: int) -> None:
        """Count the bytes of an operation on a slot, and wait where they are many."""
        counts = self._bucket.meter.now()
        counts.sent += sent
        counts.received += received
        if self._bucket.pace.slowed:
            await self._bucket.pace.wait_for_slot(sent, received)

    @operation("readv")
    async def slot_readv(
        self,
        storage_index: bytes,
        shares: Iterable[int],
        readv: Iterable[tuple[int, int]],
    ) -> dict[int, list[bytes]]:
        """Ranges of these shares, or with none named of all."""
        data = await self._slots.read(storage_index, shares, readv)
        await self._count_traffic(count_read(data), 0)
        return data

    @operation()
    async def enumerate_mutable_shares(self, storage_index: bytes) -> set[int]:
        """The numbers of the slot's shares."""
        return set((await self._slots.current(storage_index)).shares)

    @operation()
    async def get_mutable_share_length(
        self, storage_index: bytes, share_number: int
    ) -> int:
        """The share's length; raises KeyError."""
        return (await self._slots.current(storage_index)).shares[share_number].length

    # -- advisories ------------------------------------------------------------

    @operation()
    async def advise_corrupt_share(
        self, share_type: bytes, storage_index: bytes, shnum: int, reason: bytes
    ) -> None:
        """Keep a client's report that a share is corrupt, if there is such a share."""
        if shnum not in self.index.immutable(storage_index):
            slot = await self._slots.current(storage_index)
            if shnum not in slot.shares:
                _log.info("an advisory for a share that is not here is dropped")
                return
        name = ShareName(storage_index, shnum)
        await self._bucket.keep_advisory(share_type, name, reason)
