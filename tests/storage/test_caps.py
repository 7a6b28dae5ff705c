"""A client that makes a bucket keep what no quota counts meets a bound, and reads on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from allmydata.interfaces import NoSpace
from allmydata.util import cbor

from lae_storage.server import caps
from lae_storage.server.caps import Caps
from lae_storage.server.garbage import DAY
from lae_storage.server.housekeeping import MEASURE_AFTER
from lae_storage.server.keys import si_text
from lae_storage.server.lease import MOST_LEASES
from lae_storage.server.plug import Backing
from lae_storage.server.status import V1
from lae_storage.shares import S3Shares

from .test_http_edge import LEASE, UPLOAD, Edge, secret

SLOT, SHARE = b"s" * 16, b"i" * 16
CAP = 20_000


@pytest.fixture
def small(serving: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A storage server whose bounds a test can reach."""
    serving.server.allowance.quota = 10_000
    monkeypatch.setattr(caps, "OLDER_AT_LEAST", CAP)
    monkeypatch.setattr(caps, "LEASES_AT_LEAST", CAP)
    monkeypatch.setattr(caps, "DAILY_AT_LEAST", 40_000)
    return serving


def problem(serving: Any, folder: Path) -> str | None:
    server = serving.server
    backing = Backing(server._bucket, folder / "up", server.allowance)
    usage = S3Shares(backing).usage()
    assert usage.capped == (usage.problem is not None), "it is no fault of the host's"
    return usage.problem


def older(serving: Any) -> int:
    return sum(size for _, size in serving.store.noncurrent)


def write_until_full(serving: Any) -> None:
    for number in range(1000):
        try:
            serving.change(SLOT, b"%4d" % number * 100)
        except NoSpace:
            return
    raise AssertionError("never full")


def test_a_slot_that_is_replaced_without_end(small: Any, tmp_path: Path) -> None:
    """Older versions are counted as they come to be, and at the cap a slot changes no
    more, over either protocol; it is read, new files are stored, and when the bucket's
    rule took the old versions it changes again.
    """
    write_until_full(small)
    meter = small.server._bucket.meter
    assert meter.older() == older(small)
    assert CAP <= older(small) < CAP + 1000
    before = small.slot(SLOT)
    body = {
        "test-write-vectors": {
            0: {"test": [], "write": [{"offset": 0, "data": b"x"}], "new-length": None}
        },
        "read-vector": [],
    }
    edge = Edge(small, tmp_path)
    path = f"/storage/v1/mutable/{si_text(SLOT)}"
    more = [*LEASE, secret("write-enabler")]
    asked = edge.ask("POST", f"{path}/read-test-write", cbor.dumps(body), more)
    assert asked[0] == 507
    with pytest.raises(NoSpace):
        small.change(SLOT, b"y")
    assert small.slot(SLOT) == before
    assert edge.ask("GET", f"{path}/0")[0] in {200, 206}
    small.upload(SHARE, b"immutable")
    assert "older versions take" in str(problem(small, tmp_path))
    small.store.noncurrent.clear()
    for _ in range(int(MEASURE_AFTER / 5) + 20):
        small.retries.advance(5)
    assert problem(small, tmp_path) is None
    assert small.change(SLOT, b"again")


def test_leases_without_end(small: Any, tmp_path: Path) -> None:
    """A share has so many leases and no more; what lease objects take together is
    bounded, too, and nothing is collected for want of a lease that was refused.
    """
    small.upload(SHARE, b"immutable")
    for number in range(MOST_LEASES - 1):
        small.server._caps.meter.replaced = 0
        small.now(small.server.add_lease(SHARE, b"%032d" % number, b"c" * 32))
    small.server._caps.meter.replaced = 0
    with pytest.raises(NoSpace):
        small.now(small.server.add_lease(SHARE, b"z" * 32, b"c" * 32))
    small.now(small.server.add_lease(SHARE, b"%032d" % 5, b"c" * 32))
    index = small.server.index
    objects = {k: len(o.data) for k, o in small.store.objects.items()}
    leases = {k: size for k, size in objects.items() if k.startswith("leases/")}
    assert index.lease_bytes == sum(leases.values())
    assert index.lease_bytes < CAP
    assert small.another().server.index.lease_bytes == index.lease_bytes


def test_lease_objects_together(small: Any, tmp_path: Path) -> None:
    """At the cap of all lease objects the client hears 507 or NoSpace, and reads."""
    small.upload(SHARE, b"immutable")
    small.server.index.add_leases(b"o" * 16, CAP)
    edge = Edge(small, tmp_path)
    with pytest.raises(NoSpace):
        small.now(small.server.add_lease(SHARE, b"a" * 32, b"c" * 32))
    path = f"/storage/v1/lease/{si_text(SHARE)}"
    assert edge.ask("PUT", path, b"", LEASE)[0] == 507
    assert small.server._caps.is_reached()
    assert "leases take" in str(problem(small, tmp_path))
    reader = small.server.get_buckets(SHARE)[0]
    assert small.now(reader.read(0, 9)) == b"immutable"


def test_bytes_that_are_never_stored(small: Any, tmp_path: Path) -> None:
    """Who sends a day's worth and finishes nothing is told that there is no room, as by
    a full disk, and reads; the next day there is room again.
    """
    small.upload(SHARE, b"immutable")
    for number in range(100):
        answer = small.server.allocate_buckets(
            b"%016d" % number, b"r" * 32, b"r" * 32, {0}, 5000
        )
        _, writers = small.now(answer)
        if not writers:
            break
        small.now(writers[0].write(0, b"x" * 5000))
        writers[0].abort()
    assert 40_000 <= small.server._bucket.meter.today().received < 50_000
    assert small.server.get_version()[V1][b"available-space"] == 0
    edge, share = Edge(small, tmp_path), {"share-numbers": {0}, "allocated-size": 9}
    path = f"/storage/v1/immutable/{si_text(SLOT)}"
    status, body = edge.ask("POST", path, cbor.dumps(share), LEASE + UPLOAD)
    assert status in {200, 201}
    assert b"allocated" in body
    with pytest.raises(NoSpace):
        small.change(SLOT, b"x")
    assert "clients sent" in str(problem(small, tmp_path))
    reader = small.server.get_buckets(SHARE)[0]
    assert small.now(reader.read(0, 9)) == b"immutable"
    for _ in range(int(DAY / 5) + 1):
        small.retries.advance(5)
    assert small.change(SLOT, b"x")
    assert problem(small, tmp_path) is None


@pytest.mark.parametrize(
    ("quota", "most"), [(10, caps.OLDER_AT_LEAST), (10**12, 10**12)]
)
def test_the_bounds_grow_with_the_quota(serving: Any, quota: int, most: int) -> None:
    """A bound is reached at its number, and not a byte before."""
    serving.server.allowance.quota = quota
    bounds: Caps = serving.server._caps
    for replaced, full in ((most - 1, False), (most, True)):
        bounds.meter.replaced = replaced
        assert bounds.too_many_older() == full
        assert (bounds.problem() is not None) == full
    bounds.meter.replaced = 0
    day = max(4 * quota, caps.DAILY_AT_LEAST)
    for received, full in ((day - 1, False), (day, True)):
        bounds.meter.now().received = received
        assert bounds.too_much_today() == full
    leases = max(quota // 10, caps.LEASES_AT_LEAST)
    for size, full in ((leases - 1, False), (leases, True)):
        bounds.index.add_leases(SHARE, size)
        assert bounds.too_many_leases() == full
