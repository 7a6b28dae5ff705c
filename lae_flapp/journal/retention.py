"""What goes, and when.  Each :class:`.columns.Kept` is kept true here."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Literal, assert_never, get_args

from sqlalchemy import ColumnElement, and_, delete, func, or_, select, update

from lae_flapp.journal import events, inbox, switches
from lae_flapp.journal.effects import EFFECTS
from lae_flapp.journal.hosts import HOSTS
from lae_flapp.journal.outbox import OUTBOX
from lae_flapp.journal.sessions import SESSIONS
from lae_flapp.journal.signups import SIGNUPS
from lae_flapp.journal.transaction import ReadTx, WriteTx
from lae_protocol.ids import SignupId
from lae_protocol.messages import SignupState

#: How long a registration that nobody paid stays, and what is over or settled.
MONTH = timedelta(days=30)
#: Signups that an operator's question erases: what they free is written over with
#: zeros, and goes through the log.
_ERASED_AT_ONCE = 500

#: Why a signup is erased: nobody paid within a month of the form; or everything was
#: over a month ago, the data deleted or the money paid back.
Ground = Literal["unpaid for 30 days", "over for 30 days"]


def ground_of(state: SignupState) -> Ground | None:
    """Why a signup in this state is erased after its month; None while it goes on."""
    match state:
        case "registered" | "expired" | "cancelled":
            return "unpaid for 30 days"
        case "deleted" | "refunded":
            return "over for 30 days"
        case "paying" | "paid" | "active" | "past-due" | "suspended" | "stopped":
            return None
        case "ending" | "ended" | "deleting" | "refunding":
            return None
        case _:
            assert_never(state)


def purge(tx: WriteTx) -> tuple[SignupId, ...]:
    """Erase the signups whose month is over; whose they were.

    One with a session that is open or to be paid back, with a host or with an
    unfinished effect is never touched: there may be money, or a machine, behind it.
    The last mail to a former customer is sent first.  Events and receipts stay, and
    name nobody.
    """
    old = tx.now - MONTH
    return _erase(tx, or_(_unpaid(old), _over(old)), "daemon")


def purge_unpaid(
    tx: WriteTx, before: datetime, who: str, why: str
) -> tuple[SignupId, ...]:
    """Erase a batch of those that were registered before then and that nobody paid.

    What is never touched is as in :func:`purge`.
    """
    return _erase(tx, _unpaid(before), who, why, limit=_ERASED_AT_ONCE)


def count_unpaid(tx: ReadTx, before: datetime) -> int:
    """How many were registered before then and not paid, also those whose payment page
    is open.
    """
    query = select(func.count()).select_from(SIGNUPS)
    return int(tx.scalar(query.where(_unpaid(before, "paying"))))


def payable(tx: ReadTx, before: datetime, limit: int) -> tuple[SignupId, ...]:
    """Some of them that could still be paid: a payment page of theirs is open."""
    open_ones = select(SESSIONS.c.signup_id).where(SESSIONS.c.state == "open")
    query = select(SIGNUPS.c.signup_id).where(
        _unpaid(before, "paying"), SIGNUPS.c.signup_id.in_(open_ones)
    )
    rows = tx.all(query.order_by(SIGNUPS.c.number).limit(limit))
    return tuple(SignupId(row.signup_id) for row in rows)


def _unpaid(before: datetime, *more: SignupState) -> ColumnElement[bool]:
    kept = select(SESSIONS.c.signup_id).where(SESSIONS.c.kept)
    return and_(
        SIGNUPS.c.state.in_((*_states_of("unpaid for 30 days"), *more)),
        SIGNUPS.c.created_at <= before,
        SIGNUPS.c.signup_id.not_in(kept),
    )


def _over(before: datetime) -> ColumnElement[bool]:
    unsent = select(OUTBOX.c.signup_id).where(OUTBOX.c.state == "waiting")
    return and_(
        SIGNUPS.c.state.in_(_states_of("over for 30 days")),
        SIGNUPS.c.changed_at <= before,
        SIGNUPS.c.signup_id.not_in(unsent),
    )


def _erase(
    tx: WriteTx,
    which: ColumnElement[bool],
    who: str,
    why: str | None = None,
    limit: int | None = None,
) -> tuple[SignupId, ...]:
    owed = and_(SESSIONS.c.state == "paid", ~SESSIONS.c.kept)
    busy = select(SESSIONS.c.signup_id).where(or_(SESSIONS.c.state == "open", owed))
    alive = select(HOSTS.c.signup_id).where(HOSTS.c.state != "gone")
    begun = select(EFFECTS.c.signup_id).where(EFFECTS.c.state == "begun")
    query = select(SIGNUPS.c.signup_id, SIGNUPS.c.state).where(
        which, *(SIGNUPS.c.signup_id.not_in(some) for some in (busy, alive, begun))
    )
    gone = tx.all(query.order_by(SIGNUPS.c.number).limit(limit))
    for row in gone:
        # Every row that belongs to it goes with it, by the tables' own declaration.
        tx.run(delete(SIGNUPS).where(SIGNUPS.c.signup_id == row.signup_id))
        events.note(tx, row.signup_id, "purged", who, why or ground_of(row.state))
    return tuple(SignupId(row.signup_id) for row in gone)


def _states_of(ground: Ground) -> tuple[SignupState, ...]:
    return tuple(one for one in get_args(SignupState) if ground_of(one) == ground)


def forget_settled(tx: WriteTx) -> int:
    """Drop rendered requests 30 days after they were settled; how many.  What they
    came to stays.
    """
    old = tx.now - MONTH
    settled = (EFFECTS.c.state != "begun", EFFECTS.c.changed_at <= old)
    rendered = update(EFFECTS).where(*settled, EFFECTS.c.request.is_not(None))
    return tx.run(rendered.values(request=None))


def sweep(tx: WriteTx) -> None:
    """All of it; once a day is often enough.  Nobody's row goes while an operator has
    paused deletions.
    """
    forget_settled(tx)
    inbox.forget(tx, tx.now - MONTH)
    if switches.paused(tx, "deletions") is None:
        purge(tx)
