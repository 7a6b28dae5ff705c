"""What grids hold and did, as their hosts told."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest

from lae_flapp.journal import usage
from lae_protocol.host_messages import DayCounts, Report
from lae_protocol.messages import Requests, UsageDay

THEN = datetime(2027, 1, 15, 8, tzinfo=UTC)
TODAY, YESTERDAY = date(2027, 1, 15), date(2027, 1, 14)


def report(*days: DayCounts, stored: int = 0, noncurrent: int | None = None) -> Report:
    return Report(
        "ready", THEN, stored, 1, 0, None, noncurrent_bytes=noncurrent, days=days
    )


def test_each_day_is_told_whole(desk) -> None:
    """A day's counts are those of its last report; what is held belongs to the day it
    was told on, so that yesterday's stays.
    """
    a = desk.register("a").signup_id
    assert (desk.clock.seconds(), desk.read(lambda tx: tx.now)) == (1.8e9, THEN)
    yesterday = DayCounts(YESTERDAY, 5, 6, (Requests("put", 7),))
    desk.write(
        usage.told, a, report(DayCounts(TODAY, 1, 2, (Requests("get", 3),)), stored=10)
    )
    desk.write(
        usage.told,
        a,
        report(DayCounts(TODAY, 10, 20, (Requests("get", 30),)), yesterday, stored=11),
    )
    desk.clock.advance(86400)
    tomorrow = TODAY + timedelta(days=1)
    desk.write(
        usage.told,
        a,
        report(
            DayCounts(tomorrow, 0, 1, ()),
            DayCounts(TODAY, 100, 200, (Requests("get", 300),)),
            stored=12,
            noncurrent=4,
        ),
    )
    assert desk.read(usage.days, a, 31) == (
        UsageDay(tomorrow, 12, 4, 0, 1, ()),
        UsageDay(TODAY, 11, None, 100, 200, (Requests("get", 300),)),
        UsageDay(YESTERDAY, 11, None, 5, 6, (Requests("put", 7),)),
    )
    assert len(desk.read(usage.days, a, 2)) == 2
    assert desk.read(usage.sent_since, a, TODAY) == 201
    assert desk.read(usage.sent_since, a, tomorrow) == 1
    assert desk.read(usage.sent_since, desk.register("b").signup_id, TODAY) == 0


@pytest.mark.parametrize(
    "strange",
    [
        DayCounts(TODAY + timedelta(days=1), 1, 1, ()),
        DayCounts(YESTERDAY - timedelta(days=1), 1, 1, ()),
        DayCounts(TODAY, -1, 1, ()),
        DayCounts(TODAY, 1, 1, (Requests("get", -1),)),
        DayCounts(TODAY, 1, 1, (Requests("<b>", 1),)),
        DayCounts(TODAY, 1, 1, tuple(Requests(f"k{'x' * n}", 1) for n in range(33))),
    ],
)
def test_what_is_no_count_is_left_out(desk, strange) -> None:
    """A host cannot fill the journal: other days, negative numbers, words that are no
    kinds and too many of them are not kept; the rest of its report is.
    """
    a = desk.register("a").signup_id
    desk.write(
        usage.told,
        a,
        report(strange, DayCounts(YESTERDAY, 1, 2, (Requests("get", 3),))),
    )
    assert [d.day for d in desk.read(usage.days, a, 31)] == [YESTERDAY]
