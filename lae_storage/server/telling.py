"""What the storage server tells of itself, in upstream's words.  Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import allmydata
from allmydata.mutable.layout import MAX_MUTABLE_SHARE_SIZE

from lae_storage.server.slot import LONGEST_SHARE

#: The protocol's version, under which its limits are told.
V1 = b"http://allmydata.org/tahoe/protocols/storage/v1"


def version(room: int, longest_immutable: int) -> dict[bytes, Any]:
    """What clients poll each second; *room* and *longest_immutable* in bytes."""
    limits = {
        b"maximum-immutable-share-size": min(room, longest_immutable),
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
    *,
    allocated: int,
    stored: int,
    quota: int,
    room: int,
    buckets: int,
    latencies: Mapping[str, Mapping[str, float | None]],
) -> dict[str, Any]:
    """Numbers under upstream's names, which its tools read; all sizes in bytes.

    The disk is the quota; nobody has more of it by being root.
    """
    told: dict[str, Any] = {
        "storage_server.allocated": allocated,
        "storage_server.reserved_space": 0,
        "storage_server.disk_used": stored,
        "storage_server.disk_total": quota,
        "storage_server.disk_free_for_root": room,
        "storage_server.disk_free_for_nonroot": room,
        "storage_server.disk_avail": room,
        "storage_server.accepting_immutable_shares": int(room > 0),
        "storage_server.total_bucket_count": buckets,
    }
    for category, numbers in latencies.items():
        for name, value in numbers.items():
            told[f"storage_server.latencies.{category}.{name}"] = value
    return told
