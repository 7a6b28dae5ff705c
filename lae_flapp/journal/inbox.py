"""The inbox: hints of Stripe's events, committed before Stripe is answered 200."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal, assert_never

from attrs import define
from sqlalchemy import (
    ColumnElement,
    Index,
    Integer,
    String,
    Table,
    Text,
    and_,
    delete,
    func,
    insert,
    or_,
    select,
    update,
)

from lae_flapp.journal.columns import METADATA, Kept, Moment, Word, column
from lae_flapp.journal.errors import BadCursor, StateChanged, Unknown
from lae_flapp.journal.pages import LONGEST
from lae_flapp.journal.transaction import ReadTx, WriteTx
from lae_protocol.removal_messages import HintWord
from lae_protocol.stripe_hints import StripeHint

InboxState = Literal["waiting", "done", "ignored"]

#: The outcome of what waits since its signup may still be adopted.
UNKNOWN = "of a signup that the journal does not know"
#: Rows that one transaction drops: after a flood there are many.
_FORGOTTEN_AT_ONCE = 20_000

INBOX = Table(
    "inbox",
    METADATA,
    column(
        "event_id",
        String(255),
        purpose="Stripe's; a second delivery is known by it",
        kept=Kept.SETTLED,
        primary_key=True,
    ),
    column("kind", String(100), purpose="Stripe's type", kept=Kept.SETTLED),
    column(
        "object_id",
        String(255),
        purpose="Stripe's; what to fetch, since an event's content is not believed",
        kept=Kept.SETTLED,
        nullable=True,
    ),
    column("request_id", String(40), purpose="of the call", kept=Kept.SETTLED),
    column("received_at", Moment, purpose="when it came first", kept=Kept.SETTLED),
    column("state", Word(InboxState), purpose="is it worked off", kept=Kept.SETTLED),
    column("attempts", Integer, purpose="how often it failed", kept=Kept.SETTLED),
    column("next_try_at", Moment, purpose="not before", kept=Kept.SETTLED),
    column("outcome", Text, purpose="last failure", kept=Kept.SETTLED, nullable=True),
    column("settled_at", Moment, purpose="when done", kept=Kept.SETTLED, nullable=True),
    Index("ix_inbox_state_next_try_at", "state", "next_try_at"),
    # What nobody worked off is there.
)


@define(frozen=True)
class InboxEvent:
    """A row; *object_id* is None where the event names no object."""

    event_id: str
    kind: str
    object_id: str | None
    request_id: str
    received_at: datetime
    state: InboxState
    attempts: int
    next_try_at: datetime
    outcome: str | None
    settled_at: datetime | None


def take(tx: WriteTx, hint: StripeHint, request_id: str) -> bool:
    """Commit the hint of an event; False if the event was there: its row stays."""
    if find(tx, hint.event_id) is not None:
        return False
    tx.run(
        insert(INBOX).values(
            event_id=hint.event_id,
            kind=hint.kind,
            object_id=hint.object_id,
            request_id=request_id,
            received_at=tx.now,
            state="waiting",
            attempts=0,
            next_try_at=tx.now,
        )
    )
    tx.touched.nouns.add("inbox")
    return True


def find(tx: ReadTx, event_id: str) -> InboxEvent | None:
    """The row, if there is one."""
    row = tx.first(select(INBOX).where(INBOX.c.event_id == event_id))
    return None if row is None else InboxEvent(*row)


def due(tx: ReadTx, limit: int = 100) -> tuple[InboxEvent, ...]:
    """Events to work off now, longest due first."""
    ripe = (INBOX.c.state == "waiting", INBOX.c.next_try_at <= tx.now)
    query = select(INBOX).where(*ripe).order_by(INBOX.c.next_try_at, INBOX.c.event_id)
    return tuple(InboxEvent(*row) for row in tx.all(query.limit(limit)))


def next_due_at(tx: ReadTx) -> datetime | None:
    """When the next one is due (perhaps in the past); None when nothing waits."""
    query = select(INBOX.c.next_try_at).where(INBOX.c.state == "waiting")
    row = tx.first(query.order_by(INBOX.c.next_try_at))
    return None if row is None else row.next_try_at


def page(
    tx: ReadTx,
    *,
    state: InboxState | None = None,
    cursor: str | None = None,
    limit: int = 100,
) -> tuple[tuple[InboxEvent, ...], str | None]:
    """Newest first; and the next page's cursor.  Raises :class:`BadCursor`."""
    length = max(1, min(limit, LONGEST))
    query = select(INBOX)
    if state is not None:
        query = query.where(INBOX.c.state == state)
    if cursor is not None:
        at, event_id = _place(cursor)
        same = and_(INBOX.c.received_at == at, INBOX.c.event_id < event_id)
        query = query.where(or_(INBOX.c.received_at < at, same))
    order = (INBOX.c.received_at.desc(), INBOX.c.event_id.desc())
    found = tx.all(query.order_by(*order).limit(length + 1))
    shown = tuple(InboxEvent(*row) for row in found[:length])
    if len(found) <= length:
        return shown, None
    return shown, f"{shown[-1].received_at.isoformat()} {shown[-1].event_id}"


def hurry(tx: WriteTx, event_id: str) -> None:
    """Try it now, also one that was ignored: an operator knows better.

    Raises :class:`Unknown`, and :class:`StateChanged` where it is done.
    """
    here = (INBOX.c.event_id == event_id, INBOX.c.state != "done")
    values = {"state": "waiting", "next_try_at": tx.now, "settled_at": None}
    known = find(tx, event_id)
    if known is None:
        raise Unknown(f"no event {event_id}")
    if known.state == "done":
        raise StateChanged(f"event {event_id}", known.state)
    tx.run(update(INBOX).where(*here).values(**values))
    tx.touched.nouns.add("inbox")


def done(tx: WriteTx, event_id: str) -> None:
    """It is worked off."""
    _settle(tx, event_id, "done", None)


def ignore(tx: WriteTx, event_id: str, why: str) -> None:
    """It is none of ours."""
    _settle(tx, event_id, "ignored", why)


def put_off(tx: WriteTx, event_id: str, why: str, until: datetime) -> None:
    """It failed; try again then."""
    values = {"next_try_at": until, "outcome": why, "attempts": INBOX.c.attempts + 1}
    _change(tx, event_id, values)


def forget(tx: WriteTx, before: datetime) -> int:
    """Drop what was settled before then; how many.

    Nothing is lost: an event that came once more would be looked into once more, and
    what follows is decided from what Stripe shows.
    """
    old = select(INBOX.c.event_id).where(
        INBOX.c.state != "waiting", INBOX.c.settled_at <= before
    )
    few = old.limit(_FORGOTTEN_AT_ONCE)
    return tx.run(delete(INBOX).where(INBOX.c.event_id.in_(few)))


def remove(tx: WriteTx, state: HintWord, before: datetime) -> int:
    """Drop a batch of those that came before then and are in this state; how many."""
    few = select(INBOX.c.event_id).where(_came(state, before)).limit(_FORGOTTEN_AT_ONCE)
    return tx.run(delete(INBOX).where(INBOX.c.event_id.in_(few)))


def removable(tx: ReadTx, state: HintWord, before: datetime) -> int:
    """How many there are."""
    query = select(func.count()).select_from(INBOX)
    return int(tx.scalar(query.where(_came(state, before))))


def _came(state: HintWord, before: datetime) -> ColumnElement[bool]:
    old = INBOX.c.received_at <= before
    match state:
        case "unknown":
            unknown = and_(INBOX.c.state == "waiting", INBOX.c.outcome == UNKNOWN)
            return and_(unknown, old)
        case "done" | "ignored":
            return and_(INBOX.c.state == state, old)
        case _:
            assert_never(state)


def waiting(tx: ReadTx) -> int:
    """How many wait."""
    query = select(func.count()).select_from(INBOX).where(INBOX.c.state == "waiting")
    return int(tx.scalar(query))


def _place(cursor: str) -> tuple[datetime, str]:
    at, _, event_id = cursor.partition(" ")
    try:
        moment = datetime.fromisoformat(at)
    except ValueError:
        raise BadCursor("not a cursor") from None
    if moment.tzinfo is None:
        raise BadCursor("not a cursor")
    return moment, event_id


def _settle(tx: WriteTx, event_id: str, state: InboxState, why: str | None) -> None:
    _change(tx, event_id, {"state": state, "outcome": why, "settled_at": tx.now})


def _change(tx: WriteTx, event_id: str, values: dict[str, Any]) -> None:
    here = (INBOX.c.event_id == event_id, INBOX.c.state == "waiting")
    changed = tx.run(update(INBOX).where(*here).values(**values))
    if not changed and find(tx, event_id) is None:
        raise Unknown(f"no event {event_id}")
