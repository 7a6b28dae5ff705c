"""What customers' grids hold and did, day by day, as their hosts told."""

from __future__ import annotations

import json
import re
from datetime import date, timedelta

from sqlalchemy import BigInteger, String, Table, Text, func, insert, select, update

from lae_flapp.journal.columns import METADATA, column, signup_column
from lae_flapp.journal.transaction import ReadTx, WriteTx
from lae_protocol.host_messages import DayCounts, Report
from lae_protocol.ids import SignupId
from lae_protocol.messages import Requests, UsageDay

USAGE = Table(
    "usage",
    METADATA,
    signup_column(primary_key=True),
    column("day", String(10), purpose="which day, in UTC", primary_key=True),
    column("stored", BigInteger, purpose="bytes held, as told last that day"),
    column("noncurrent", BigInteger, purpose="bytes of older versions", nullable=True),
    column("received", BigInteger, purpose="bytes from clients"),
    column("sent", BigInteger, purpose="bytes to clients, for the traffic agreed"),
    column("requests", Text, purpose="operations of the bucket by kind: their cost"),
)

#: Kinds of operations that one day may have; a host that tells more is not believed.
KINDS = 32
_KIND = re.compile(r"[a-z][a-z-]{0,31}\Z")
_DAY = timedelta(days=1)


def told(tx: WriteTx, signup_id: SignupId, report: Report) -> None:
    """Keep a report's counts: today's and yesterday's.

    A host is its customer's: what it tells of other days, or what is no count, is left
    out.  What is held is kept for the day that it was told on.
    """
    today = tx.now.date()
    for counts in report.days:
        if not _is_count(counts) or counts.day not in (today, today - _DAY):
            continue
        values = {
            "received": counts.received,
            "sent": counts.sent,
            "requests": json.dumps({r.kind: r.count for r in counts.requests}),
        }
        held = {"stored": report.used_bytes, "noncurrent": report.noncurrent_bytes}
        now = held if counts.day == today else {}
        here = (USAGE.c.signup_id == signup_id, USAGE.c.day == counts.day.isoformat())
        if not tx.run(update(USAGE).where(*here).values(**values, **now)):
            where = {"signup_id": signup_id, "day": counts.day.isoformat()}
            tx.run(insert(USAGE).values(**where, **values, **held))


def _is_count(counts: DayCounts) -> bool:
    numbers = (counts.received, counts.sent, *(r.count for r in counts.requests))
    return (
        len(counts.requests) <= KINDS
        and all(_KIND.match(r.kind) for r in counts.requests)
        and min(numbers) >= 0
    )


def days(tx: ReadTx, signup_id: SignupId, most: int) -> tuple[UsageDay, ...]:
    """The last days that were told of, newest first."""
    query = select(USAGE).where(USAGE.c.signup_id == signup_id)
    rows = tx.all(query.order_by(USAGE.c.day.desc()).limit(most))
    return tuple(
        UsageDay(
            date.fromisoformat(row.day),
            row.stored,
            row.noncurrent,
            row.received,
            row.sent,
            tuple(Requests(*one) for one in json.loads(row.requests).items()),
        )
        for row in rows
    )


def sent_since(tx: ReadTx, signup_id: SignupId, first: date) -> int:
    """Bytes to clients from this day on."""
    since = (USAGE.c.signup_id == signup_id, USAGE.c.day >= first.isoformat())
    return int(tx.scalar(select(func.sum(USAGE.c.sent)).where(*since)) or 0)
