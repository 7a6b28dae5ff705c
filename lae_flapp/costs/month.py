"""What a grid used in one month, of what its hosts told: pure, and without a clock."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

from attrs import define

from lae_flapp.costs.arithmetic import FREE, MONTHS, READS, Use
from lae_protocol.cost_messages import NOTHING
from lae_protocol.messages import UsageDay
from lae_protocol.plan_words import units_of

_MONTH = re.compile(r"(20\d\d)-(0[1-9]|1[0-2])\Z", re.ASCII)
_HOUR = Decimal(3600)  # s
_DAY = timedelta(days=1)
_MICROSECOND = timedelta(microseconds=1)

#: From when until when; None is until now.
Span = tuple[datetime, datetime | None]


def _seconds(time: timedelta) -> Decimal:
    return Decimal(time // _MICROSECOND) / 10**6


@define(frozen=True)
class Month:
    """From *since* to *end*, of which *until* has passed."""

    since: datetime
    until: datetime
    end: datetime

    def seconds_of(self, span: Span) -> Decimal:
        """How much of the span lies in what has passed of it."""
        begin, end = max(span[0], self.since), min(span[1] or self.until, self.until)
        return max(NOTHING, _seconds(end - begin))

    def part(self, seconds: Decimal) -> Decimal:
        """Seconds as a part of the whole month."""
        return seconds / _seconds(self.end - self.since)


def month_of(text: str | None, now: datetime) -> Month:
    """``2026-11``, or the present month, in UTC as *now* is; raises ValueError for one
    that is to come.
    """
    read = None if text is None else _MONTH.match(text)
    if text is not None and read is None:
        raise ValueError("a month is written as 2026-11")
    year, month = (int(n) for n in read.groups()) if read else (now.year, now.month)
    since = datetime(year, month, 1, tzinfo=UTC)
    if since > now:
        raise ValueError(f"{text} has not begun")
    end = (since + 31 * _DAY).replace(day=1)
    return Month(since, min(now, end), end)


@define(frozen=True)
class GridMonth:
    """What the journal has of a grid and a month.

    *hosts* says when it had any; *before* is the last day before the month that a host
    told of, *days* are those in it; *gone_at* is when the bucket was deleted.  *paid*
    is the time that was paid for, at *price* an *interval*; None where nobody pays.
    """

    price: int
    currency: str
    interval: str
    hosts: tuple[Span, ...] = ()
    before: UsageDay | None = None
    days: tuple[UsageDay, ...] = ()
    gone_at: datetime | None = None
    paid: Span | None = None


def used(month: Month, grid: GridMonth) -> Use:
    """What was used, and what was paid for the time in which it was.

    What is stored stays what was told last until more is told: also while the grid has
    no host, since it lies there and costs.
    """
    served = sum((month.seconds_of(span) for span in grid.hosts), NOTHING)
    stored, older = _held(month, grid)
    paid = NOTHING
    if grid.paid is not None and grid.price:
        paid = month.part(month.seconds_of(grid.paid)) / MONTHS[grid.interval]
    requests = [r for day in grid.days for r in day.requests if r.kind not in FREE]
    return Use(
        host_hours=served / _HOUR,
        host_month=month.part(served),
        stored=stored,
        older=older,
        writes=sum(r.count for r in requests if r.kind not in READS),
        reads=sum(r.count for r in requests if r.kind in READS),
        sent=sum(day.sent for day in grid.days),
        paid=paid * units_of(grid.price, grid.currency),
        payments=paid,
    )


def _held(month: Month, grid: GridMonth) -> tuple[Decimal, Decimal]:
    """Bytes stored and older bytes, as averages of the whole month."""
    told = {day.day: day for day in grid.days}
    last, older, stored_sum, older_sum = grid.before, 0, NOTHING, NOTHING
    for day in _days(month):
        last = told.get(day, last)
        if last is None:
            continue
        older = older if last.noncurrent is None else last.noncurrent
        begin = datetime(day.year, day.month, day.day, tzinfo=UTC)
        end = begin + _DAY
        seconds = month.seconds_of((begin, min(end, grid.gone_at or end)))
        stored_sum += last.stored * seconds
        older_sum += older * seconds
    return month.part(stored_sum), month.part(older_sum)


def _days(month: Month) -> Iterable[date]:
    day = month.since
    while day < month.until:
        yield day.date()
        day += _DAY
