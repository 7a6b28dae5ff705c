"""What asks S3 for a listing, what upstream's tools are told, and other layouts."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from allmydata.storage.server import StorageServer
from twisted.internet.task import Clock

from lae_storage.s3.interface import Bytes
from lae_storage.server import keys
from tests.twins.store import MemoryStore

from .conftest import Serving

SI, SLOT = b"i" * 16, b"m" * 16


def test_no_client_causes_a_listing(serving: Any) -> None:
    """Whatever a client asks for, S3 is asked for no listing."""
    serving.store.requests.clear()
    server = serving.server
    serving.upload(SI, b"x" * 3_000_000)
    server._reader.forget(keys.immutable_key(SI, 0))
    serving.now(server.get_buckets(SI)[0].read(0, 2_000_000))
    list(server.get_shares(SI))
    serving.change(SLOT, b"y" * 2_000_000)
    serving.slot(SLOT)
    serving.now(server.enumerate_mutable_shares(SLOT))
    for si in (SI, SLOT, b"n" * 16):
        serving.now(server.add_lease(si, b"r" * 32, b"c" * 32))
        server.get_buckets(si)
        serving.slot(si)
    serving.now(server.renew_lease(SI, b"r" * 32))
    serving.now(server.advise_corrupt_share(b"immutable", SI, 0, b""))
    server.get_version()
    server.get_stats()
    made = {request.operation for request in serving.store.requests}
    assert {"put", "get"} <= made
    assert not [kind for kind in made if "list" in kind]


def test_the_index_is_rebuilt_page_by_page(tmp_path: Path) -> None:
    """A node finds every share of a bucket of many pages, and its bytes; each page is
    asked for once.
    """
    store = MemoryStore()
    first = Serving(tmp_path, store).start()
    names = [n.to_bytes(2, "big") * 8 for n in range(100)]
    for si in names:
        first.upload(si, si)
        first.change(si[::-1][:15] + b"m", si * 2)
    store.page = 7
    store.requests.clear()
    later = first.another()
    assert all(list(later.server.get_buckets(si)) == [0] for si in names)
    assert later.server.index.buckets() == 200
    assert later.server.index.stored == first.server.index.stored
    listed = [r.key for r in store.requests if r.operation == "list"]
    assert listed.count(keys.IMMUTABLE) == listed.count(keys.MUTABLE) == 100 // 7 + 1


def test_statistics_have_upstreams_names(serving: Any, tmp_path: Path) -> None:
    """Every number that upstream's disk server tells, ours tells under the same name,
    and it is a number.
    """
    disk = StorageServer(str(tmp_path / "disk"), b"n" * 20, clock=Clock())
    disk.bucket_counter.get_state = lambda: {"last-complete-bucket-count": 1}
    for category in ("allocate", "write", "close", "read", "get", "writev", "readv"):
        disk.add_latency(category, 0.1)
        serving.server.add_latency(category, 0.1)
    serving.upload(SI, b"x" * 1000)
    told = serving.server.get_stats()
    assert set(told) == set(disk.get_stats())
    assert all(v is None or isinstance(v, int | float) for v in told.values())
    assert told["storage_server.disk_used"] == serving.server.index.stored
    left = serving.quota - serving.server.index.stored
    for name in ("disk_avail", "disk_free_for_root", "disk_free_for_nonroot"):
        assert told[f"storage_server.{name}"] == left


class Statistics:
    """Upstream's statistics provider."""

    def __init__(self) -> None:
        self.counts = Counter[str]()

    def count(self, name: str, delta: int) -> None:
        self.counts[name.removeprefix("storage_server.")] += delta


def test_operations_are_upstreams(serving: Any) -> None:
    """Each operation is counted once, and timed, under upstream's category."""
    serving.server.stats_provider = Statistics()
    counts = serving.server.stats_provider.counts
    serving.upload(SI, b"x" * 1000)
    serving.now(serving.server.get_buckets(SI)[0].read(0, 10))
    serving.change(SLOT, b"y")
    serving.slot(SLOT)
    serving.now(serving.server.add_lease(SI, b"r" * 32, b"c" * 32))
    serving.now(serving.server.renew_lease(SI, b"r" * 32))
    counted = {
        category for category, samples in serving.server.latencies.items() if samples
    }
    assert counts.pop("bytes_added") == 1000
    assert counts == dict.fromkeys(counted, 1)
    assert counted == {
        "allocate",
        "write",
        "close",
        "get",
        "read",
        "writev",
        "readv",
        "add-lease",
        "renew",
    }


@pytest.mark.parametrize("document", [{"format": 2}, {}])
def test_another_layout_is_not_touched(serving: Any, document: Any) -> None:
    """A node that finds a bucket of another layout writes nothing to it."""
    key = keys.FORMAT_KEY
    serving.now(serving.store.put(key, Bytes(json.dumps(document).encode()), {}))
    before = dict(serving.store.objects)
    with pytest.raises(Exception, match="layout"):
        serving.another()
    assert serving.store.objects == before
