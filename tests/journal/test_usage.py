"""What grids hold and did, as their hosts told."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from attrs import evolve
from sqlalchemy import insert

from lae_flapp.journal import usage
from lae_protocol import wire
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
    ],
)
def test_other_days_are_left_out(desk, strange) -> None:
    """A host cannot fill the journal: what it tells of other days is not kept."""
    a = desk.register("a").signup_id
    desk.write(
        usage.told,
        a,
        report(strange, DayCounts(YESTERDAY, 1, 2, (Requests("get", 3),))),
    )
    assert [d.day for d in desk.read(usage.days, a, 31)] == [YESTERDAY]


MOST, COUNTED = usage.MOST_BYTES, usage.MOST_COUNTED


@pytest.mark.parametrize(
    ("told", "possible"),
    [
        (report(), True),
        (report(stored=MOST, noncurrent=MOST), True),
        (report(stored=MOST + 1), False),
        (report(stored=-1), False),
        (report(noncurrent=MOST + 1), False),
        (report(noncurrent=-1), False),
        (evolve(report(), share_count=COUNTED + 1), False),
        (evolve(report(), advisories=-1), False),
        (evolve(report(), program="r.io:1/d/node@sha256:00", release=1), True),
        (evolve(report(), program="r" * 301), False),
        (evolve(report(), program_refused="<b>"), False),
        (evolve(report(), release=-1), False),
        (evolve(report(), release=COUNTED + 1), False),
        (report(DayCounts(TODAY, MOST, MOST, ())), True),
        (report(DayCounts(TODAY, MOST + 1, 0, ())), False),
        (report(DayCounts(TODAY, 0, MOST + 1, ())), False),
        (report(DayCounts(TODAY, -1, 0, ())), False),
        (report(DayCounts(YESTERDAY, 0, -1, ())), False),
        (report(DayCounts(TODAY, 0, 0, ()), DayCounts(TODAY, 0, 0, ())), False),
        (report(DayCounts(TODAY, 0, 0, (Requests("get", COUNTED),))), True),
        (report(DayCounts(TODAY, 0, 0, (Requests("get", -1),))), False),
        (
            report(
                DayCounts(TODAY, 0, 0, (Requests("get", COUNTED), Requests("put", 1)))
            ),
            False,
        ),
        (
            report(DayCounts(TODAY, 0, 0, (Requests("get", 1), Requests("get", 1)))),
            False,
        ),
        (report(DayCounts(TODAY, 0, 0, (Requests("<b>", 1),))), False),
        (
            report(
                DayCounts(
                    TODAY, 0, 0, tuple(Requests(f"k{'x' * n}", 1) for n in range(32))
                )
            ),
            True,
        ),
        (
            report(
                DayCounts(
                    TODAY, 0, 0, tuple(Requests(f"k{'x' * n}", 1) for n in range(33))
                )
            ),
            False,
        ),
    ],
)
def test_what_no_grid_does(told, possible) -> None:
    """A report is believed up to a petabyte a day, and as many operations as a bucket
    may have, all kinds together; beyond that it cannot be true.
    """
    assert (usage.what_is_impossible(told) is None) == possible


def test_a_journal_that_believed_everything(desk) -> None:
    """What an earlier release kept of a lying host is left out of days and sums, which
    the database could not add up.
    """
    a = desk.register("a").signup_id
    rows = [
        {"day": "2027-01-13", "sent": 2**63 - 1, "requests": "{}"},
        {"day": "2027-01-14", "sent": 2**63 - 1, "requests": "{}"},
        {"day": "2027-01-15", "sent": 7, "requests": "{}"},
        {"day": "2027-01-12", "sent": 8, "requests": "not JSON"},
        {"day": "2027-01-11", "sent": -9, "requests": "{}"},
        {"day": "2027-01-10", "sent": 1, "requests": "[]"},
    ]

    def poison(tx) -> None:
        for row in rows:
            held = {"signup_id": a, "stored": 1, "noncurrent": None, "received": 0}
            tx.run(insert(usage.USAGE).values(**held, **row))

    desk.write(poison)
    assert [d.day for d in desk.read(usage.days, a, 31)] == [TODAY]
    assert desk.read(usage.sent_since, a, date(2027, 1, 1)) == 16


@pytest.mark.parametrize(
    "kept", [None, "no JSON", "{}", wire.encode(report(stored=2**60)).decode()]
)
def test_a_report_that_cannot_be_read(kept) -> None:
    """What is kept and cannot be read, or cannot be true, is as if nothing was told."""
    assert usage.read_report(kept) is None
    good = report(stored=3)
    assert usage.read_report(wire.encode(good).decode()) == good
