"""What a grid used in a month: hosts that came and went, days that nobody told of."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from attrs import astuple, evolve
from hypothesis import given
from hypothesis import strategies as st

from lae_flapp.costs.arithmetic import Use
from lae_flapp.costs.month import GridMonth, Month, month_of, used
from lae_protocol.messages import Requests, UsageDay

FIRST, END = datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 12, 1, tzinfo=UTC)
WHOLE = Month(FIRST, END, END)
GRID = GridMonth(3000, "eur", "month")
DAYS = 30


def at(day: int, hour: int = 0) -> datetime:
    return FIRST + timedelta(days=day - 1, hours=hour)


def told(day: int, stored: int, older: int | None = 0, **counts) -> UsageDay:
    requests = tuple(Requests(k.replace("_", "-"), n) for k, n in counts.items())
    return UsageDay(date(2026, 11, day), stored, older, 0, 5, requests)


def test_a_month_by_its_name() -> None:
    """A month is named by its year and number; the present one has passed until now,
    and one that is to come is refused.
    """
    now = at(10, 6)
    assert month_of(None, now) == month_of("2026-11", now) == Month(FIRST, now, END)
    assert month_of(None, FIRST) == Month(FIRST, FIRST, END)
    assert month_of("2026-11", FIRST) == Month(FIRST, FIRST, END)
    last = month_of("2026-10", now)
    assert (last.since, last.until, last.end) == (
        *(datetime(2026, 10, 1, tzinfo=UTC), FIRST, FIRST),
    )
    december = month_of("2025-12", now)
    assert december.end == datetime(2026, 1, 1, tzinfo=UTC)
    for wrong in (
        "2026-12",
        "2027-01",
        "2026-13",
        "2026-00",
        "26-11",
        "2026-11-01",
        "20\u0662\u0666-11",
    ):
        with pytest.raises(ValueError, match=r"2026-11|has not begun"):
            month_of(wrong, now)


def test_nothing_uses_nothing() -> None:
    """A grid that never was costs nothing, and nobody paid for it."""
    assert used(WHOLE, GRID) == Use()


def test_hosts_count_while_they_live() -> None:
    """A host counts from its launch until it is gone, within the month; the time
    between two does not count.
    """
    grid = evolve(
        GRID,
        hosts=((at(-9), at(4)), (at(7), at(7, 12)), (at(29), None)),
    )
    use = used(WHOLE, grid)
    assert use.host_hours == 3 * 24 + 12 + 2 * 24
    assert use.host_month == Decimal("5.5") / DAYS
    assert used(evolve(WHOLE, until=at(7, 6)), grid).host_hours == 3 * 24 + 6


def test_what_is_stored_stays() -> None:
    """What lies in the bucket counts day by day; while no host tells anything, what
    was told last still lies there, also from before the month.
    """
    before = UsageDay(date(2026, 9, 3), 300, 30, 0, 9, (Requests("put", 99),))
    grid = evolve(GRID, before=before, days=(told(11, 600, None), told(21, 900, 60)))
    use = used(WHOLE, grid)
    assert use.stored == (300 + 600 + 900) * 10 / Decimal(DAYS)
    unknown = evolve(grid, before=None, days=(told(11, 600, None),))
    assert (used(WHOLE, unknown).stored, used(WHOLE, unknown).older) == (400, 0)
    # A host that does not know its older versions leaves what was known.
    assert use.older == (30 + 30 + 60) * 10 / Decimal(DAYS)
    assert (use.writes, use.sent) == (0, 10)


def test_a_bucket_that_is_gone_costs_nothing() -> None:
    """From the hour in which the bucket was deleted on, nothing is stored."""
    grid = evolve(GRID, days=(told(1, 2400),), gone_at=at(2, 12))
    assert used(WHOLE, grid).stored == Decimal(2400) * Decimal("1.5") / DAYS


def test_the_present_month_counts_until_now() -> None:
    """Half of a month costs half of it."""
    grid = evolve(
        GRID, days=(told(1, 600),), paid=(at(-9), None), hosts=((FIRST, None),)
    )
    half = used(evolve(WHOLE, until=at(16)), grid)
    assert half == Use(
        host_hours=Decimal(360),
        host_month=Decimal("0.5"),
        stored=Decimal(300),
        sent=5,
        paid=Decimal(15),
        payments=Decimal("0.5"),
    )


def test_operations_by_their_price() -> None:
    """Reads are reads, deletions are free, and what we do not know is a write."""
    day = told(1, 0, get=1, head=2, put=4, list=8, begin_upload=16, new_kind=32)
    grid = evolve(GRID, days=(day, told(2, 0, delete=64, abort_upload=128, get=256)))
    use = used(WHOLE, grid)
    assert (use.reads, use.writes) == (259, 60)


def test_what_was_paid() -> None:
    """A price is counted for the time that it was paid for: a year's by months; nobody
    pays after the end, nor for a gift, nor is a price of nothing a payment.
    """
    until = (at(-30), at(16))
    assert used(WHOLE, evolve(GRID, paid=until)).paid == 15
    yearly = used(WHOLE, evolve(GRID, paid=(at(-30), None), interval="year"))
    assert (yearly.paid, yearly.payments) == (Decimal(30) / 12, Decimal(1) / 12)
    assert used(WHOLE, GRID).payments == 0
    assert used(WHOLE, evolve(GRID, paid=until, price=0)).payments == 0
    assert used(WHOLE, evolve(GRID, paid=(at(-30), at(-1)))).paid == 0
    yen = used(WHOLE, evolve(GRID, paid=(FIRST, None), currency="jpy"))
    assert yen.paid == 3000


MOMENTS = st.datetimes(
    datetime(2026, 10, 1),  # noqa: DTZ001  (given its zone below)
    datetime(2026, 12, 31),  # noqa: DTZ001
    timezones=st.just(UTC),
)
SPANS = st.tuples(MOMENTS, MOMENTS | st.none())
GRIDS = st.builds(
    GridMonth,
    price=st.integers(0, 10**6),
    currency=st.just("eur"),
    interval=st.sampled_from(["month", "year"]),
    hosts=st.lists(SPANS, max_size=3).map(tuple),
    before=st.none() | st.builds(told, st.just(1), st.integers(0, 2**50)),
    days=st.lists(
        st.builds(
            told,
            st.integers(1, 30),
            st.integers(0, 2**50),
            st.none() | st.integers(0, 2**50),
            put=st.integers(0, 99),
        ),
        unique_by=lambda day: day.day,
        max_size=5,
    ).map(tuple),
    gone_at=st.none() | MOMENTS,
    paid=st.none() | SPANS,
)


@given(GRIDS, st.datetimes(FIRST.replace(tzinfo=None), END.replace(tzinfo=None)))
def test_time_takes_nothing_back(grid: GridMonth, now: datetime) -> None:
    """As a month goes on, nothing that was used gets less, and nothing is negative; a
    month never holds more than its own time.
    """
    early = used(evolve(WHOLE, until=now.replace(tzinfo=UTC)), grid)
    late = used(WHOLE, grid)
    pairs = zip(astuple(early), astuple(late), strict=True)
    assert all(0 <= one <= another for one, another in pairs)
    most = max((day.stored for day in (*grid.days, grid.before) if day), default=0)
    assert late.stored <= most
    assert late.host_month <= len(grid.hosts)
    assert late.paid <= Decimal(grid.price) / 100
