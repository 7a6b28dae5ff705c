"""The storage server: upstream's operations on a bucket, asynchronously.

It is upstream's class by name, since upstream finds its storage server by type and
uses its counters; nothing of upstream's way to the disk is used.  Where upstream's
method answers, ours answers a Deferred that fires when S3 has what was acknowledged.
What needs no request of the bucket (version, readers, room) answers at once.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from allmydata.storage.common import (
    UnknownImmutableContainerVersionError,
    UnknownMutableContainerVersionError,
)
from twisted.internet.defer import gatherResults, maybeDeferred
from twisted.logger import Logger

from lae_storage.s3.interface import NotThere
from lae_storage.server import keys
from lae_storage.server.advisories import keep_advisory
from lae_storage.server.allowance import Allowance
from lae_storage.server.answering import answering
from lae_storage.server.at_once import AsksNobody
from lae_storage.server.bucket import OpenBucket
from lae_storage.server.cache import DiskCache
from lae_storage.server.expiry import Expiry
from lae_storage.server.housekeeping import Housekeeping
from lae_storage.server.immutable import BucketReader, BucketWriter, Uploads
from lae_storage.server.keys import ShareName
from lae_storage.server.lease import new_lease
from lae_storage.server.leases import AllLeases, ByShare, ImmutableLeases
from lae_storage.server.limits import Limits, clear_cache
from lae_storage.server.reader import Reader
from lae_storage.server.slot import Operation, Vectors, read_by, written_by
from lae_storage.server.slots import Slots
from lae_storage.server.vanished import forget_if_gone

_log = Logger()
#: Owner numbers as upstream writes them.
ALLOCATED, ADDED = 0, 1


class S3StorageServer(AsksNobody):
    """All shares of one grid, in one bucket."""

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
        """*folder* is for unfinished uploads; what no lease held for *expire_days* is
        collected, with None nothing; *upstreams_own* clock, stats_provider.
        """
        self._bucket, self.index, self.fence = bucket, bucket.index, bucket.fence
        self.allowance = allowance
        self._limits = limits or Limits()
        self._folder = folder
        clear_cache(folder)
        super().__init__(str(folder), nodeid, **upstreams_own)
        self._slots = Slots(bucket, nodeid)
        leases = ImmutableLeases(bucket)
        self._leases = AllLeases(leases, self._slots, nodeid)
        self._disk = DiskCache(self._limits.kept)
        memory = self._limits.read_memory
        self._reader = Reader(bucket.store, bucket.reactor, memory, self._disk)
        self._receiving = Uploads(
            bucket,
            folder,
            leases,
            self._reader,
            self._clock,
            self.bucket_writer_closed,
            self._done,
        )
        forget = self._reader.forget
        expiry = Expiry(
            bucket,
            self._slots,
            leases,
            allowance,
            self._clock,
            expire_days,
            forget,
        )
        self._housekeeping = Housekeeping(bucket, self._slots, leases, expiry)

    def startService(self) -> None:
        """Begin to look whether the bucket is still ours, and to keep it tidy."""
        super().startService()
        self.fence.start()
        self._housekeeping.start()

    def stopService(self) -> Any:
        """End that, and the uploads under way."""
        last_words = self._housekeeping.stop()
        self.fence.stop()
        self._disk.close()
        return gatherResults([last_words, maybeDeferred(super().stopService)])

    # -- immutable shares ------------------------------------------------------

    @answering
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
        began = self._clock.seconds()
        self.count("allocate")
        self._must_be_immutable(storage_index)
        lease = new_lease(owner_num, began, renew_secret, cancel_secret)
        if renew_leases:
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
            if self._has_room_for(allocated_size):
                writer = self._receiving.open(name, allocated_size, lease)
                writers[number] = self._bucket_writers[name] = writer
        self._timed("allocate", began)
        return here, writers

    def _must_be_immutable(self, storage_index: bytes) -> None:
        if self.index.has_slot(storage_index):
            where = keys.slot_key(storage_index)
            raise UnknownImmutableContainerVersionError(where, "mutable")

    def get_buckets(self, storage_index: bytes) -> dict[int, BucketReader]:
        """Readers of all shares; asks nobody."""
        self.fence.check()
        began = self._clock.seconds()
        readers = {
            number: BucketReader(self, ShareName(storage_index, number), length)
            for number, length in self.index.immutable(storage_index).items()
        }
        self._done("get", began)
        return readers

    def prefetch_immutable(
        self, name: ShareName, length: int, offset: int, size: int
    ) -> None:
        """Begin to fetch a range that is about to be read piece by piece."""
        key = keys.immutable_key(name.storage_index, name.share_number)
        self._reader.prefetch(key, length, offset, size)

    @answering
    async def read_immutable(
        self, name: ShareName, length: int, offset: int, size: int
    ) -> bytes:
        """A range of a share of *length* bytes, cut at its end."""
        began = self._clock.seconds()
        if self._bucket.pace.slowed:
            await self._bucket.pace.to_clients.wait(max(0, min(size, length - offset)))
        key = keys.immutable_key(name.storage_index, name.share_number)
        try:
            data = await self._reader.read(key, length, offset, size)
        except NotThere:
            await forget_if_gone(self._bucket.store, self.index, name)
            raise
        self._bucket.meter.now().sent += len(data)
        self._done("read", began)
        return data

    # -- leases ----------------------------------------------------------------

    @answering
    async def add_lease(
        self,
        storage_index: bytes,
        renew_secret: bytes,
        cancel_secret: bytes,
        owner_num: int = ADDED,
    ) -> None:
        """Add or renew a lease on all shares; nothing where there are none."""
        began = self._clock.seconds()
        self.count("add-lease")
        lease = new_lease(owner_num, began, renew_secret, cancel_secret)
        await self._leases.add(storage_index, lease)
        self._timed("add-lease", began)

    @answering
    async def renew_lease(self, storage_index: bytes, renew_secret: bytes) -> None:
        """Renew the lease with this secret; raises IndexError where a share has none.

        The shares that have it are renewed all the same, as upstream does.
        """
        began = self._clock.seconds()
        self.count("renew")
        if not self.has_shares(storage_index):
            raise IndexError("no such lease to renew")
        lease = new_lease(ADDED, began, renew_secret, b"")
        await self._leases.renew(storage_index, lease)
        self._timed("renew", began)

    async def all_leases(self, storage_index: bytes) -> ByShare:
        """The leases of every share, read from the bucket where need be."""
        return await self._leases.of(storage_index)

    # -- mutable slots ---------------------------------------------------------

    @answering
    async def slot_testv_and_readv_and_writev(
        self,
        storage_index: bytes,
        secrets: tuple[bytes, bytes, bytes],
        test_and_write_vectors: Vectors,
        read_vector: Iterable[tuple[int, int]],
        renew_leases: bool = True,  # noqa: FBT001, FBT002  (upstream's signature)
    ) -> tuple[bool, dict[int, list[bytes]]]:
        """Test, read and write all shares of a slot as one."""
        began = self._clock.seconds()
        self.count("writev")
        if self.index.immutable(storage_index):
            where = keys.immutable_key(storage_index, 0)
            raise UnknownMutableContainerVersionError(where, "immutable")
        if test_and_write_vectors:
            self.allowance.check_writing()
        write_enabler, renew, cancel = secrets
        lease = new_lease(ADDED, began, renew, cancel) if renew_leases else None
        operation = Operation(
            test_and_write_vectors, tuple(read_vector), write_enabler, lease
        )
        outcome = await self._slots.operate(
            storage_index, operation, self._check_growth
        )
        counts = self._bucket.meter.now()
        sent, received = read_by(outcome.data), written_by(test_and_write_vectors)
        counts.sent += sent
        counts.received += received
        if self._bucket.pace.slowed:
            await self._bucket.pace.slot(sent, received)
        self._timed("writev", began)
        return outcome.passed, outcome.data

    def _check_growth(self, growth: int, size: int) -> None:
        promised = self.allocated_size() + self._slots.growing
        self.allowance.check_growth(self.index.stored + promised, growth, size)

    @answering
    async def slot_readv(
        self,
        storage_index: bytes,
        shares: Iterable[int],
        readv: Iterable[tuple[int, int]],
    ) -> dict[int, list[bytes]]:
        """Ranges of these shares, or with none named of all."""
        began = self._clock.seconds()
        self.count("readv")
        data = await self._slots.read(storage_index, shares, readv)
        sent = read_by(data)
        self._bucket.meter.now().sent += sent
        if self._bucket.pace.slowed:
            await self._bucket.pace.slot(sent, 0)
        self._done("readv", began)
        return data

    @answering
    async def enumerate_mutable_shares(self, storage_index: bytes) -> set[int]:
        """The numbers of the slot's shares."""
        return set((await self._slots.current(storage_index)).shares)

    @answering
    async def get_mutable_share_length(
        self, storage_index: bytes, share_number: int
    ) -> int:
        """The share's length; raises KeyError."""
        slot = await self._slots.current(storage_index)
        return slot.shares[share_number].length

    # -- advisories ------------------------------------------------------------

    @answering
    async def advise_corrupt_share(
        self, share_type: bytes, storage_index: bytes, shnum: int, reason: bytes
    ) -> None:
        """Keep a client's word that a share is corrupt, if there is such a share."""
        number = shnum  # upstream's name
        if number not in self.index.immutable(storage_index):
            slot = await self._slots.current(storage_index)
            if number not in slot.shares:
                _log.info("an advisory for a share that is not here is dropped")
                return
        await keep_advisory(self._bucket, share_type, storage_index, number, reason)
