"""The event log: what happened, who did it and why.  Append only, by trigger.

Events name signups by id alone: no address, no secret, no text from outside.  They
outlive a purged signup, and tell nothing of the person then.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal, get_args

from attrs import define
from sqlalchemy import (
    DDL,
    Boolean,
    Index,
    Integer,
    Select,
    String,
    Table,
    Text,
    event,
    func,
    insert,
    select,
)

from lae_flapp.journal.columns import METADATA, Kept, Moment, column
from lae_flapp.journal.transaction import ReadTx, Recorded, WriteTx
from lae_protocol.ids import SignupId

#: What customers see, in the order in which it happens when all goes well; then the
#: others.
PublicKind = Literal[
    "registered",
    "checkout-opened",
    "paid",
    "identity-sealed",
    "bucket-ready",
    "role-ready",
    "instance-launched",
    "address-ready",
    "claimed",
    "self-test-passed",
    "ready",
    "mail-accepted",
    "checkout-expired",
    "delayed",
    "troubled",
    "refunding",
    "withdrawn",  # cancelled by wish while it was built; its money goes back
    "refunded",
    "address-corrected",
    "address-confirmed",
    "mail-resent",
    "logged-in",  # one browser, by a mailed link; every other one is logged out
    "cancelled",
    "leaving",
    "staying",
    "past-due",
    "suspended",
    "stopped",
    "recovered",
    "ending",
    "ended",
    "deleting",
    "deleted",
]
PUBLIC_KINDS: frozenset[str] = frozenset(get_args(PublicKind))

EVENTS = Table(
    "events",
    METADATA,
    column(
        "number",
        Integer,
        purpose="the order of all events; a stream resumes by it",
        kept=Kept.JOURNAL,
        primary_key=True,
    ),
    # No foreign key: events outlive what they tell of.
    column(
        "signup_id",
        String(22),
        purpose="whose; null for the whole deployment's",
        kept=Kept.JOURNAL,
        nullable=True,
    ),
    column("kind", String(40), purpose="what", kept=Kept.JOURNAL),
    column("at", Moment, purpose="when", kept=Kept.JOURNAL),
    column("who", String(80), purpose="daemon, operator, owner", kept=Kept.JOURNAL),
    column("why", Text, purpose="for operators", kept=Kept.JOURNAL, nullable=True),
    column("public", Boolean, purpose="do customers see it", kept=Kept.JOURNAL),
    Index("ix_events_signup_id_number", "signup_id", "number"),
    # A number is never used again, even after the last row went.
    sqlite_autoincrement=True,
)

#: Also in the first migration.
APPEND_ONLY = tuple(
    f"CREATE TRIGGER events_are_not_{done} BEFORE {verb} ON events "
    "BEGIN SELECT RAISE(ABORT, 'events are append only'); END"
    for verb, done in (("UPDATE", "changed"), ("DELETE", "deleted"))
)
for _trigger in APPEND_ONLY:
    event.listen(EVENTS, "after_create", DDL(_trigger))  # type: ignore[no-untyped-call]


@define(frozen=True)
class Event:
    """One line of the log."""

    number: int
    signup_id: SignupId | None
    kind: str
    at: datetime
    who: str
    why: str | None
    public: bool


def tell(
    tx: WriteTx, signup_id: SignupId, kind: PublicKind, who: str, why: str | None = None
) -> int:
    """Append what the customer sees (*why* is for operators); the event's number."""
    return _append(tx, signup_id, kind, who, why, public=True)


def note(
    tx: WriteTx, signup_id: SignupId | None, kind: str, who: str, why: str | None = None
) -> int:
    """Append what operators alone see; the event's number."""
    assert kind not in PUBLIC_KINDS, "customers see this kind: tell it"
    return _append(tx, signup_id, kind, who, why, public=False)


def was_withdrawn(tx: ReadTx, signup_id: SignupId) -> bool:
    """Whether it was given up by the customer's wish, and not since we failed."""
    kinds = [e.kind for e in since(tx, signup_id, 0, public=True)]
    turns = [kind for kind in kinds if kind in {"paid", "refunding", "withdrawn"}]
    return turns[-1:] == ["withdrawn"]


def _append(
    tx: WriteTx,
    signup_id: SignupId | None,
    kind: str,
    who: str,
    why: str | None,
    *,
    public: bool,
) -> int:
    row = insert(EVENTS).values(
        signup_id=signup_id, kind=kind, at=tx.now, who=who, why=why, public=public
    )
    number = tx.insert(row)
    tx.touched.events.append(Recorded(number, signup_id, public))
    return number


def since(
    tx: ReadTx,
    signup_id: SignupId | None,
    number: int,
    *,
    public: bool = False,
    limit: int = 1000,
) -> tuple[Event, ...]:
    """Events after *number*, oldest first, of one signup (None: of all)."""
    query = _of(select(EVENTS), signup_id, public=public)
    query = query.where(EVENTS.c.number > number).order_by(EVENTS.c.number)
    return tuple(Event(*row) for row in tx.all(query.limit(limit)))


def last_number(tx: ReadTx, signup_id: SignupId | None, *, public: bool = False) -> int:
    """The newest event's number; 0 where there is none."""
    query = _of(select(func.max(EVENTS.c.number)), signup_id, public=public)
    return int(tx.scalar(query) or 0)


def last_at(tx: ReadTx, signup_id: SignupId, kind: PublicKind) -> datetime | None:
    """When an event of this kind happened last."""
    query = _of(select(EVENTS.c.at), signup_id, public=True)
    row = tx.first(query.where(EVENTS.c.kind == kind).order_by(EVENTS.c.number.desc()))
    return None if row is None else row.at


def count_since(
    tx: ReadTx, signup_id: SignupId, kind: PublicKind, moment: datetime
) -> int:
    """How often an event of this kind happened after *moment*."""
    query = _of(select(func.count(EVENTS.c.number)), signup_id, public=True)
    return int(tx.scalar(query.where(EVENTS.c.kind == kind, EVENTS.c.at > moment)))


def noted(tx: ReadTx, kind: str, why: str) -> bool:
    """Whether this was said of the whole deployment before, in the same words."""
    query = _of_deployment(select(EVENTS.c.number), kind).where(EVENTS.c.why == why)
    return tx.first(query.limit(1)) is not None


def noted_of(tx: ReadTx, signup_id: SignupId, kind: str, why: str) -> bool:
    """Whether this was noted of the signup before, in the same words."""
    query = _of(select(EVENTS.c.number), signup_id, public=False)
    same = query.where(EVENTS.c.kind == kind, EVENTS.c.why == why)
    return tx.first(same.limit(1)) is not None


def newest_of(tx: ReadTx, kind: str) -> Event | None:
    """The last event of a kind that the whole deployment has, if there is one."""
    query = _of_deployment(select(EVENTS), kind)
    row = tx.first(query.order_by(EVENTS.c.number.desc()).limit(1))
    return None if row is None else Event(*row)


def newest_at(tx: ReadTx) -> datetime | None:
    """When anything last happened."""
    row = tx.first(select(EVENTS.c.at).order_by(EVENTS.c.number.desc()).limit(1))
    return None if row is None else row.at


def _of_deployment(query: Select[Any], kind: str) -> Select[Any]:
    # There are few of them, and an index finds them.
    return query.where(EVENTS.c.signup_id.is_(None), EVENTS.c.kind == kind)


def _of(query: Select[Any], signup_id: SignupId | None, *, public: bool) -> Select[Any]:
    if signup_id is not None:
        query = query.where(EVENTS.c.signup_id == signup_id)
    if public:
        query = query.where(EVENTS.c.public)
    return query
