"""Causes of trouble: each begun, told to the operators once, and over.

A cause is its kind and what it is about.  While it lasts, and for a little while after,
it is one row however often it is seen, so that what comes and goes is one mail and not
fifty.  Both mails' Message-IDs are made with the row: a mail sent again is the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from datetime import datetime, timedelta
from typing import Any

from attrs import define
from sqlalchemy import (
    Integer,
    String,
    Table,
    Text,
    and_,
    func,
    insert,
    or_,
    select,
    update,
)

from lae_flapp.journal import events
from lae_flapp.journal.columns import METADATA, Kept, Moment, column, only_one
from lae_flapp.journal.outbox import new_message_id
from lae_flapp.journal.transaction import ReadTx, WriteTx

#: What is over is told when it has stayed so for this long.
QUIET = timedelta(minutes=5)
_LONGEST_SUBJECT = 80

CAUSES = Table(
    "causes",
    METADATA,
    column("number", Integer, purpose="order", kept=Kept.JOURNAL, primary_key=True),
    column("kind", String(40), purpose="what it is", kept=Kept.JOURNAL),
    column(
        "subject",
        String(_LONGEST_SUBJECT),
        purpose="what it is about: a signup, a service, an instance; or nothing",
        kept=Kept.JOURNAL,
    ),
    column("what", Text, purpose="a sentence for operators", kept=Kept.JOURNAL),
    column("begun_at", Moment, purpose="when it was first seen", kept=Kept.JOURNAL),
    column(
        "told_at",
        Moment,
        purpose="when a mail server took the mail",
        kept=Kept.JOURNAL,
        nullable=True,
    ),
    column(
        "over_at", Moment, purpose="when it ended", kept=Kept.JOURNAL, nullable=True
    ),
    column(
        "over_told_at",
        Moment,
        purpose="when that was mailed",
        kept=Kept.JOURNAL,
        nullable=True,
    ),
    column(
        "message_id", String(40), purpose="left half, for all tries", kept=Kept.JOURNAL
    ),
    column(
        "over_message_id",
        String(40),
        purpose="left half, for all tries",
        kept=Kept.JOURNAL,
    ),
    column("attempts", Integer, purpose="how often a mail failed", kept=Kept.JOURNAL),
    column("next_try_at", Moment, purpose="not before", kept=Kept.JOURNAL),
    only_one("uq_causes_lasting", "kind", "subject", where="over_told_at IS NULL"),
    sqlite_autoincrement=True,
)


@define(frozen=True)
class Cause:
    """A row."""

    number: int
    kind: str
    subject: str
    what: str
    begun_at: datetime
    told_at: datetime | None
    over_at: datetime | None
    over_told_at: datetime | None
    message_id: str
    over_message_id: str
    attempts: int
    next_try_at: datetime


def begin(
    tx: WriteTx,
    kind: str,
    subject: str,
    what: str,
    *,
    told: bool = False,
) -> bool:
    """Note that it is there; whether it is new, so that somebody must be told.

    What was over a moment ago goes on.  *told*: a mail of another kind tells it.
    """
    subject = subject[:_LONGEST_SUBJECT]
    row = _lasting(tx, kind, subject)
    if row is not None:
        _change(tx, row.number, what=what, over_at=None)
        return False
    tx.touched.nouns.add("causes")
    tx.run(
        insert(CAUSES).values(
            kind=kind,
            subject=subject,
            what=what,
            begun_at=tx.now,
            told_at=tx.now if told else None,
            message_id=new_message_id(),
            over_message_id=new_message_id(),
            attempts=0,
            next_try_at=tx.now,
        )
    )
    if not told:
        events.note(tx, None, "trouble", "daemon", _in_words(kind, subject, what))
    return True


def end(tx: WriteTx, kind: str, subject: str) -> None:
    """Note that it is over; what is not there, or over already, is left alone."""
    row = _lasting(tx, kind, subject[:_LONGEST_SUBJECT])
    if row is not None and row.over_at is None:
        _change(tx, row.number, over_at=tx.now)
        tx.touched.nouns.add("causes")
        events.note(tx, None, "trouble-over", "daemon", _in_words(kind, subject, ""))


def settle(
    tx: WriteTx,
    kinds: AbstractSet[str],
    standing: Mapping[tuple[str, str], str],
) -> None:
    """Of these *kinds* all that stands, and nothing else, is there: kind and subject
    with a sentence each.
    """
    for (kind, subject), what in standing.items():
        begin(tx, kind, subject, what)
    for cause in lasting(tx):
        if cause.kind in kinds and (cause.kind, cause.subject) not in standing:
            end(tx, cause.kind, cause.subject)


def lasting(tx: ReadTx) -> tuple[Cause, ...]:
    """All that are not over, oldest first."""
    query = select(CAUSES).where(CAUSES.c.over_at.is_(None)).order_by(CAUSES.c.number)
    return tuple(Cause(*row) for row in tx.all(query))


def get(tx: ReadTx, number: int) -> Cause:
    """The row."""
    return Cause(*tx.first(select(CAUSES).where(CAUSES.c.number == number)))


def every(tx: ReadTx, limit: int = 1000) -> tuple[Cause, ...]:
    """The newest, those that are over too."""
    query = select(CAUSES).order_by(CAUSES.c.number.desc()).limit(limit)
    return tuple(Cause(*row) for row in tx.all(query))


def due(tx: ReadTx, limit: int = 100) -> tuple[Cause, ...]:
    """Causes of which a mail is to be sent now."""
    query = select(CAUSES).where(_untold(tx), CAUSES.c.next_try_at <= tx.now)
    rows = tx.all(query.order_by(CAUSES.c.next_try_at, CAUSES.c.number).limit(limit))
    return tuple(Cause(*row) for row in rows)


def next_due_at(tx: ReadTx) -> datetime | None:
    """When the next mail is due (perhaps in the past); None when nothing waits."""
    untold = tx.scalar(
        select(func.min(CAUSES.c.next_try_at)).where(CAUSES.c.told_at.is_(None))
    )
    waits = and_(CAUSES.c.told_at.is_not(None), CAUSES.c.over_told_at.is_(None))
    query = select(CAUSES.c.over_at, CAUSES.c.next_try_at).where(
        waits, CAUSES.c.over_at.is_not(None)
    )
    quiet = [max(row.over_at + QUIET, row.next_try_at) for row in tx.all(query)]
    known = [] if untold is None else [untold]
    return min([*known, *quiet], default=None)


def told(tx: WriteTx, number: int) -> None:
    """A mail server took the mail; one that says that it is over says all."""
    cause = get(tx, number)
    ended = {} if cause.over_at is None else {"over_told_at": tx.now}
    begun = tx.now if cause.told_at is None else cause.told_at
    _change(tx, number, told_at=begun, attempts=0, **ended)


def put_off(tx: WriteTx, number: int, until: datetime) -> None:
    """It was not taken; try again then."""
    _change(tx, number, attempts=CAUSES.c.attempts + 1, next_try_at=until)


def _untold(tx: ReadTx) -> Any:
    ended = and_(CAUSES.c.over_told_at.is_(None), CAUSES.c.over_at <= tx.now - QUIET)
    return or_(CAUSES.c.told_at.is_(None), ended)


def _lasting(tx: ReadTx, kind: str, subject: str) -> Cause | None:
    here = (CAUSES.c.kind == kind, CAUSES.c.subject == subject)
    row = tx.first(select(CAUSES).where(*here, CAUSES.c.over_told_at.is_(None)))
    return None if row is None else Cause(*row)


def _change(tx: WriteTx, number: int, **values: Any) -> None:
    tx.run(update(CAUSES).where(CAUSES.c.number == number).values(**values))


def _in_words(kind: str, subject: str, what: str) -> str:
    one_line = what.replace("\n", " | ")
    return f"{kind} {subject}: {one_line}".rstrip(": ")
