"""What customers' grids hold and did, day by day, as their hosts told."""

from __future__ import annotations

import json
import re
from datetime import date, timedelta
from typing import Any

from sqlalchemy import BigInteger, String, Table, Text, insert, select, update

from lae_flapp.journal.columns import METADATA, column, signup_column
from lae_flapp.journal.transaction import ReadTx, WriteTx
from lae_protocol import wire
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
#: What a grid may hold, or move on one day: a petabyte.  A year of such days, and all
#: that a journal adds up, is far below what a database keeps in an integer.
MOST_BYTES = 2**50
#: Operations of a bucket on one day, of all kinds together; shares; advisories.
MOST_COUNTED = 2**40
_KIND = re.compile(r"[a-z][a-z-]{0,31}\Z")
#: A program's reference, or nothing.
_PROGRAM = re.compile(r"[A-Za-z0-9._:@/+-]{0,300}\Z")
_DAY = timedelta(days=1)


def told(tx: WriteTx, signup_id: SignupId, report: Report) -> None:
    """Keep the counts of a report that can be true: today's and yesterday's.

    What it tells of other days is left out.  What is held is kept for the day that it
    was told on.
    """
    today = tx.now.date()
    for counts in report.days:
        if counts.day not in (today, today - _DAY):
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


def what_is_impossible(report: Report) -> str | None:
    """What of a report cannot be true; None where all of it can.  Pure.

    A host is its customer's, and may tell anything.
    """
    older = report.noncurrent_bytes or 0
    if not _all_within(MOST_BYTES, report.used_bytes, older):
        return "it holds more than any grid does, or less than nothing"
    if not _all_within(MOST_COUNTED, report.share_count, report.advisories):
        return "so many shares, or advisories, there cannot be"
    if not _PROGRAM.match(report.program) or not _PROGRAM.match(report.program_refused):
        return "it names a program that is no reference"
    if not _all_within(MOST_COUNTED, report.release):
        return "its program has a release number that no release has"
    if len({counts.day for counts in report.days}) != len(report.days):
        return "a day stands in it twice"
    return next(filter(None, map(_what_is_wrong_with, report.days)), None)


def _what_is_wrong_with(counts: DayCounts) -> str | None:
    many = [r.count for r in counts.requests]
    if not _all_within(MOST_BYTES, counts.received, counts.sent):
        return f"so many bytes, or so few, no grid moves on a day ({counts.day})"
    if not _all_within(MOST_COUNTED, *many, sum(many)):
        return f"so many operations, or so few, no bucket has on a day ({counts.day})"
    kinds = {r.kind for r in counts.requests}
    if len(many) > KINDS or len(kinds) != len(many):
        return f"there are not so many kinds of operations ({counts.day})"
    if not all(_KIND.match(kind) for kind in kinds):
        return f"a kind of operations that is no word ({counts.day})"
    return None


def _all_within(most: int, *numbers: int) -> bool:
    return all(0 <= number <= most for number in numbers)


def read_report(kept: str | None) -> Report | None:
    """A report that the journal kept; None where there is none, or where it cannot be
    read, or cannot be true: an earlier release kept everything that it was told.
    """
    if kept is None:
        return None
    try:
        report: Report = wire.decode(Report, kept.encode())
    except wire.MalformedMessage:
        return None
    return report if what_is_impossible(report) is None else None


def days(tx: ReadTx, signup_id: SignupId, most: int) -> tuple[UsageDay, ...]:
    """The last days that were told of, newest first; but those that cannot be read."""
    query = select(USAGE).where(USAGE.c.signup_id == signup_id)
    rows = tx.all(query.order_by(USAGE.c.day.desc()).limit(most))
    read = (read_day(row) for row in rows)
    return tuple(day for day in read if day is not None)


def read_day(row: Any) -> UsageDay | None:
    """A row as what it says; None where it cannot be read, or cannot be true."""
    try:
        requests = tuple(Requests(*one) for one in json.loads(row.requests).items())
        counts = DayCounts(
            date.fromisoformat(row.day), row.received, row.sent, requests
        )
        wrong = _what_is_wrong_with(counts)
    except (ValueError, TypeError, AttributeError):
        return None
    older = row.noncurrent or 0
    if wrong is not None or not _all_within(MOST_BYTES, row.stored, older):
        return None
    return UsageDay(
        counts.day, row.stored, row.noncurrent, row.received, row.sent, requests
    )


def sent_since(tx: ReadTx, signup_id: SignupId, first: date) -> int:
    """Bytes to clients from this day on."""
    since = (USAGE.c.signup_id == signup_id, USAGE.c.day >= first.isoformat())
    # Not the database's sum: a journal may have a number that no such sum takes.
    told = (int(row.sent) for row in tx.all(select(USAGE.c.sent).where(*since)))
    return sum(sent for sent in told if 0 <= sent <= MOST_BYTES)
