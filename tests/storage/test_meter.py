"""What is counted survives the process that counted it."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from zope.interface.verify import verifyObject

from lae_storage.s3.counted import CountedStore
from lae_storage.s3.interface import Bytes, Denied, IObjectStore, Unavailable
from lae_storage.server import keys
from lae_storage.server.garbage import DAY
from lae_storage.server.housekeeping import COUNTS_EVERY, MEASURE_AFTER
from lae_storage.server.meter import Counts, counted_on
from lae_storage.server.writes import Writes
from tests.twins.store import Request

from .conftest import Serving

SI = b"i" * 16
FIRST, SECOND = date(1970, 1, 1), date(1970, 1, 2)


def _today(serving: Any) -> Counts:
    counts: Counts = serving.server._bucket.meter.today()
    return counts


def _pass(serving: Any, seconds: float) -> None:
    for _ in range(int(seconds / 10)):
        serving.retries.advance(10)


def test_what_clients_bring_and_take_is_counted(serving: Any) -> None:
    """Bytes of both kinds of shares, and each operation of the bucket by its kind."""
    before = dict(_today(serving).requests)
    serving.store.requests.clear()
    serving.upload(SI, b"x" * 1000)
    serving.now(serving.server.get_buckets(SI)[0].read(100, 50))
    serving.change(b"m" * 16, b"y" * 70)
    assert serving.slot(b"m" * 16) == b"y" * 70
    counts = _today(serving)
    assert (counts.received, counts.sent) == (1070, 120)
    made = [r.operation for r in serving.store.requests]
    for kind in ("put", "get"):
        assert counts.requests[kind] - before.get(kind, 0) == made.count(kind)


def test_counts_survive_a_crash_and_an_end(serving: Any) -> None:
    """The next node of the day adds to what the one before had written; an orderly
    end writes the rest.
    """
    serving.upload(SI, b"x" * 1000)
    _pass(serving, COUNTS_EVERY + 10)
    serving.upload(b"a" * 16, b"x" * 500)
    assert _today(serving.another()).received == 1000
    serving.now(serving.server.stopService())
    later = serving.another()
    assert _today(later).received == 1500
    later.upload(b"b" * 16, b"x" * 100)
    assert _today(later).received == 1600
    later.now(later.server.stopService())
    kept = serving.now(counted_on(serving.store, FIRST))
    assert kept.received == 1600
    assert kept.stored == later.server.index.stored


def test_a_day_ends_at_midnight(serving: Any) -> None:
    """A new day begins with nothing, and the old one is written whole."""
    serving.upload(SI, b"x" * 1000)
    _pass(serving, DAY - COUNTS_EVERY)
    serving.upload(b"a" * 16, b"x" * 500)
    _pass(serving, 2 * COUNTS_EVERY)
    assert _today(serving).received == 0
    serving.upload(b"b" * 16, b"x" * 30)
    _pass(serving, COUNTS_EVERY)
    assert serving.now(counted_on(serving.store, FIRST)).received == 1500
    assert serving.now(counted_on(serving.store, SECOND)).received == 30


@pytest.mark.parametrize("how", ["refuse", "lose"])
def test_a_failed_writing_loses_nothing(serving: Any, how: str) -> None:
    """What S3 did not take, or took without saying, is right after the next time."""
    serving.upload(SI, b"x" * 1000)
    troubles = [how] * 2

    def fault(request: Request) -> str | None:
        if request.operation == "put" and request.key.startswith(keys.METER):
            if troubles and troubles.pop() == "refuse":
                raise Unavailable("SlowDown")
            return "lose" if how == "lose" else None
        return None

    serving.store.fault = fault
    _pass(serving, 2 * COUNTS_EVERY)
    assert not troubles
    serving.store.fault = None
    serving.upload(b"a" * 16, b"x" * 500)
    _pass(serving, 2 * COUNTS_EVERY)
    assert serving.now(counted_on(serving.store, FIRST)).received == 1500


def test_an_end_without_s3_is_an_end(serving: Any) -> None:
    """A node that cannot write its counts stops all the same."""

    def fault(request: Request) -> None:
        raise Unavailable("SlowDown")

    serving.store.fault = fault
    serving.now(serving.server.stopService())
    assert serving.retries.getDelayedCalls() == []


def test_foreign_counts_are_left_out(serving: Any) -> None:
    """What is no count of this format is no count."""
    key = keys.meter_key(FIRST, 99)
    serving.now(serving.server._bucket.writer.put(key, Bytes(b'{"format": 9}'), None))
    serving.store.objects[key + "x"] = serving.store.objects[key]
    assert serving.now(counted_on(serving.store, FIRST)).received == 0


def test_what_noncurrent_versions_take(serving: Any) -> None:
    """Once a day the bytes of replaced and deleted objects are found out, page by page;
    the next node knows them from the start, and so does the day's count.
    """
    serving.change(SI, b"a" * 1000)
    serving.change(SI, b"b" * 2000)
    serving.store.page = 2
    assert serving.server._bucket.meter.noncurrent is None
    _pass(serving, MEASURE_AFTER + 60)
    replaced = sum(size for _, size in serving.store.noncurrent)
    assert serving.server._bucket.meter.noncurrent == replaced > 1000
    before = len(serving.store.noncurrent)
    _pass(serving, COUNTS_EVERY)
    assert serving.now(counted_on(serving.store, FIRST)).noncurrent == replaced
    assert serving.another().server._bucket.meter.noncurrent == replaced
    serving.change(SI, b"c" * 3000)
    assert len(serving.store.noncurrent) > before
    _pass(serving, DAY + COUNTS_EVERY)
    assert serving.server._bucket.meter.noncurrent > replaced


def test_versions_that_may_not_be_listed(serving: Any) -> None:
    """Where the role may not list versions nothing is known, and all else goes on."""

    def fault(request: Request) -> None:
        if request.operation == "list-versions":
            raise Denied("AccessDenied")

    serving.store.fault = fault
    _pass(serving, MEASURE_AFTER + COUNTS_EVERY)
    serving.upload(SI, b"x" * 1000)
    _pass(serving, COUNTS_EVERY)
    counts = serving.now(counted_on(serving.store, FIRST))
    assert (counts.received, counts.noncurrent) == (1000, None)


def test_a_month_is_added_up(serving: Any) -> None:
    """What was sent since the first of the month is known, also to the next node, and
    a new month begins with nothing; yesterday is known, too.
    """
    serving.upload(SI, b"x" * 1000)

    def read(node: Any, size: int) -> None:
        node.now(node.server.get_buckets(SI)[0].read(0, size))

    for size in (1, 20, 300):
        read(serving, size)
        _pass(serving, DAY)
    meter = serving.server._bucket.meter
    assert meter.sent_this_month() == 321
    serving.now(serving.server.stopService())
    later = serving.another()
    later.retries.advance(3 * DAY + 60)
    assert later.server._bucket.meter.day() == date(1970, 1, 4)
    fresh = Serving(serving.folder, serving.store, retries=later.retries).start()
    meter = fresh.server._bucket.meter
    assert meter.sent_this_month() == 321
    assert meter.of(date(1970, 1, 3)).sent == 300
    read(fresh, 500)
    assert meter.sent_this_month() == 821
    fresh.retries.advance(28 * DAY)
    _pass(fresh, COUNTS_EVERY)
    assert meter.day() == date(1970, 2, 1)
    assert meter.sent_this_month() == 0
    read(fresh, 7)
    assert meter.sent_this_month() == 7


def test_counting_is_a_bucket(serving: Any) -> None:
    """A counted bucket has all that a bucket has."""
    assert verifyObject(
        IObjectStore,
        CountedStore(serving.store, lambda _: None, Writes(serving.retries)),
    )
