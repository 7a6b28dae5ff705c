"""The part of the storage server that asks nobody: what is in memory is answered."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from allmydata.storage.server import StorageServer

from lae_storage.server import keys, telling
from lae_storage.server.allowance import Allowance
from lae_storage.server.crawlers import BucketCount, LeaseCheck
from lae_storage.server.fence import Fence
from lae_storage.server.immutable import BucketWriter
from lae_storage.server.index import Index
from lae_storage.server.leases import AllLeases
from lae_storage.server.limits import Limits


class AsksNobody(StorageServer):
    """What upstream asks of its disk, answered from the index, the settings and the
    uploads under way.

    :class:`~lae_storage.server.storage_server.S3StorageServer` sets the attributes.
    """

    LeaseCheckerClass = LeaseCheck
    index: Index
    fence: Fence
    allowance: Allowance
    _limits: Limits
    _leases: AllLeases

    def have_shares(self) -> bool:
        """Whether there is any; decides a node's permutation seed if it has none."""
        return bool(self.index)

    def add_bucket_counter(self) -> None:
        """Counting needs no crawler: the index knows."""
        self.bucket_counter = BucketCount(self.index.buckets)
        self.bucket_counter.setServiceParent(self)  # type: ignore[no-untyped-call]

    def get_available_space(self) -> int:
        """What the quota leaves."""
        if not self.fence.is_open():
            return 0
        return self.allowance.room(self.index.stored)

    def _has_room_for(self, size: int) -> bool:
        allocated = self.allocated_size()
        return (
            size >= 0
            and size <= self.get_available_space() - allocated
            and size <= self._limits.spool - allocated
        )

    def bucket_writer_closed(self, bw: BucketWriter, consumed_size: int) -> None:
        """An upload ended, one way or the other."""
        if self.stats_provider:
            self.stats_provider.count("storage_server.bytes_added", consumed_size)
        self._bucket_writers.pop(bw.name, None)
        for told in self._call_on_bucket_writer_close:
            told(bw)

    def get_version(self) -> dict[bytes, Any]:
        """What clients poll each second."""
        return telling.version(self.get_available_space(), self._limits.spool)

    def get_stats(self) -> dict[str, Any]:
        """Numbers for upstream's statistics."""
        return telling.statistics(
            allocated=self.allocated_size(),
            stored=self.index.stored,
            quota=self.allowance.quota,
            room=self.get_available_space(),
            buckets=self.index.buckets(),
            latencies=self.get_latencies(),
        )

    def _timed(self, category: str, since: float) -> None:
        self.add_latency(category, self._clock.seconds() - since)

    def _done(self, category: str, since: float) -> None:
        self.count(category)
        self._timed(category, since)

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
