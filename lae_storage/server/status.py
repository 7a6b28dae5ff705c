"""What the storage server says of itself, in upstream's words; asks no bucket."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import allmydata
from allmydata.mutable.layout import MAX_MUTABLE_SHARE_SIZE
from attrs import define
from twisted.application.service import Service

from lae_storage.server.caps import Caps
from lae_storage.server.fence import Fence
from lae_storage.server.index import Index
from lae_storage.server.limits import Allowance, Limits
from lae_storage.server.slot import LONGEST_SHARE

#: The protocol's version, under which its limits are told.
V1 = b"http://allmydata.org/tahoe/protocols/storage/v1"


@define(frozen=True, eq=False)
class Status:
    """How much room there is, and what clients and upstream's tools are told."""

    index: Index
    fence: Fence
    allowance: Allowance
    limits: Limits
    caps: Caps

    def room(self) -> int:
        """Bytes that the quota leaves; none where this node may not answer, or clients
        sent too much today.
        """
        if not self.fence.is_open() or self.caps.too_much_today():
            return 0
        return self.allowance.room(self.index.stored)

    def has_room_for(self, size: int, allocated: int) -> bool:
        """Whether a new share fits beside the *allocated* bytes of unfinished ones."""
        return 0 <= size <= min(self.room(), self.limits.spool) - allocated

    def version(self) -> dict[bytes, Any]:
        """What clients poll each second."""
        room = self.room()
        limits = {
            b"maximum-immutable-share-size": min(room, self.limits.spool),
            b"maximum-mutable-share-size": min(MAX_MUTABLE_SHARE_SIZE, LONGEST_SHARE),
            b"available-space": room,
            b"tolerates-immutable-read-overrun": True,
            b"delete-mutable-shares-with-zero-length-writev": True,
            b"fills-holes-with-zero-bytes": True,
            b"prevents-read-past-end-of-share-data": True,
        }
        release = allmydata.__full_version__.encode("utf-8")
        return {V1: limits, b"application-version": release}

    def statistics(
        self, allocated: int, latencies: Mapping[str, Mapping[str, float | None]]
    ) -> dict[str, Any]:
        """Numbers under upstream's names, which its tools read; all sizes in bytes.

        The disk is the quota; root has no more of it than others.
        """
        room = self.room()
        told: dict[str, Any] = {
            "storage_server.allocated": allocated,
            "storage_server.reserved_space": 0,
            "storage_server.disk_used": self.index.stored,
            "storage_server.disk_total": self.allowance.quota,
            "storage_server.disk_free_for_root": room,
            "storage_server.disk_free_for_nonroot": room,
            "storage_server.disk_avail": room,
            "storage_server.accepting_immutable_shares": int(room > 0),
            "storage_server.total_bucket_count": self.index.buckets(),
        }
        for category, numbers in latencies.items():
            for name, value in numbers.items():
                told[f"storage_server.latencies.{category}.{name}"] = value
        return told


class BucketCount(Service):
    """Stands where upstream has a crawler that counts: the index knows the number."""

    def __init__(self, buckets: Callable[[], int]) -> None:
        self._buckets = buckets

    def get_state(self) -> dict[str, Any]:
        """The state that upstream's statistics ask for."""
        return {"last-complete-bucket-count": self._buckets()}


class LeaseCheck(Service):
    """Stands where upstream has a crawler that expires shares; ours is garbage.py."""

    def __init__(self, *arguments: Any) -> None:
        del arguments  # upstream's settings of expiry

    def get_state(self) -> dict[str, Any]:
        """The state that upstream's statistics ask for: nothing was expired."""
        return {"history": {}}
