"""The outbox: mails to be sent, by kind.  They are rendered when they are sent; the
left half of the Message-ID is made with the row, so that a repeat is the same mail.
"""

from __future__ import annotations

import secrets
from datetime import datetime
from typing import Any, Literal

from attrs import define
from sqlalchemy import (
    ForeignKey,
    Index,
    Integer,
    String,
    Table,
    Text,
    UniqueConstraint,
    func,
    insert,
    select,
    update,
)

from lae_flapp.journal import contacts
from lae_flapp.journal.columns import METADATA, Moment, Word, column, signup_column
from lae_flapp.journal.errors import StateChanged, Unknown
from lae_flapp.journal.pages import paged
from lae_flapp.journal.transaction import ReadTx, WriteTx
from lae_protocol.ids import SignupId

#: How an occasion begins that Stripe gave: a journal restored from a backup has the
#: same one for the same mail.  Others are numbers of events, which begin anew.
STRIPES = "stripe-"
_LONGEST_OCCASION = 40

#: Every kind of mail about a signup; ``lae_flapp.mail.kinds`` says what each is.
MailKind = Literal[
    "active",
    "confirm",
    "log-in",
    "refunded",
    "paid-twice",
    "goodwill",
    "troubled",
    "leaving",
    "staying",
    "past-due",
    "suspended",
    "stopped",
    "recovered",
    "ended",
    "reminder",
    "deleted",
]
MailState = Literal[
    "waiting",
    "held",  # until the corrected email address is confirmed
    "accepted",  # a mail server took it
    "refused",  # for good; an operator was told
]

OUTBOX = Table(
    "outbox",
    METADATA,
    column("number", Integer, purpose="order; VERP names it", primary_key=True),
    signup_column(),
    # A MailKind, which mypy checks at each `put`.  Not a Word, nor a CHECK: after a
    # rollback, a mail of the newer release's must hold up no other.
    column("kind", String(40), purpose="which mail it is"),
    column(
        "occasion",
        String(_LONGEST_OCCASION),
        purpose="one mail of a kind per occasion",
    ),
    column(
        "message_id", String(40), purpose="left half of it, for all tries", unique=True
    ),
    column("queued_at", Moment, purpose="when it was decided"),
    column("state", Word(MailState), purpose="was it sent"),
    column("attempts", Integer, purpose="how often it failed"),
    column("next_try_at", Moment, purpose="not before"),
    column("outcome", Text, purpose="last failure", nullable=True),
    column(
        "contact",
        Integer,
        ForeignKey("contacts.number"),
        purpose="which address it went to",
        nullable=True,
    ),
    column("settled_at", Moment, purpose="when taken or refused", nullable=True),
    UniqueConstraint("signup_id", "kind", "occasion"),
    Index("ix_outbox_state_next_try_at", "state", "next_try_at"),
    Index("ix_outbox_contact", "contact"),
    # A bounce names the number: it must never be another mail's.
    sqlite_autoincrement=True,
)


@define(frozen=True)
class Mail:
    """A row; *contact* is the number of the address that it went to."""

    number: int
    signup_id: SignupId
    kind: MailKind
    occasion: str
    message_id: str
    queued_at: datetime
    state: MailState
    attempts: int
    next_try_at: datetime
    outcome: str | None
    contact: int | None
    settled_at: datetime | None


def new_message_id() -> str:
    """Make the left half of a Message-ID; the right half is the sender's domain."""
    return secrets.token_hex(16)


def put(tx: WriteTx, signup_id: SignupId, kind: MailKind, occasion: str = "") -> Mail:
    """Queue one mail of this kind and occasion; the one that is there stays."""
    here = (
        OUTBOX.c.signup_id == signup_id,
        OUTBOX.c.kind == kind,
        OUTBOX.c.occasion == occasion,
    )
    row = tx.first(select(OUTBOX).where(*here))
    if row is not None:
        return Mail(*row)
    number = tx.insert(
        insert(OUTBOX).values(
            signup_id=signup_id,
            kind=kind,
            occasion=occasion,
            message_id=new_message_id(),
            queued_at=tx.now,
            state="waiting",
            attempts=0,
            next_try_at=tx.now,
        )
    )
    tx.touched.nouns.add("outbox")
    return get(tx, number)


def stripes_occasion(what: str | datetime) -> str:
    """The occasion that Stripe's name, or time, of what happened makes."""
    name = what if isinstance(what, str) else f"{what:%Y-%m-%dT%H.%M.%S}"
    return f"{STRIPES}{name}"[:_LONGEST_OCCASION]


def get(tx: ReadTx, number: int) -> Mail:
    """The row; raises :class:`Unknown`."""
    row = tx.first(select(OUTBOX).where(OUTBOX.c.number == number))
    if row is None:
        raise Unknown(f"no mail {number}")
    return Mail(*row)


def of(tx: ReadTx, signup_id: SignupId) -> tuple[Mail, ...]:
    """All mails of a signup, oldest first."""
    query = select(OUTBOX).where(OUTBOX.c.signup_id == signup_id)
    return tuple(Mail(*row) for row in tx.all(query.order_by(OUTBOX.c.number)))


def due(tx: ReadTx, limit: int = 100) -> tuple[Mail, ...]:
    """Mails to send now, longest due first."""
    ripe = (OUTBOX.c.state == "waiting", OUTBOX.c.next_try_at <= tx.now)
    query = select(OUTBOX).where(*ripe).order_by(OUTBOX.c.next_try_at, OUTBOX.c.number)
    return tuple(Mail(*row) for row in tx.all(query.limit(limit)))


def page(
    tx: ReadTx,
    *,
    signup_id: SignupId | None = None,
    state: MailState | None = None,
    cursor: str | None = None,
    limit: int = 100,
) -> tuple[tuple[Mail, ...], str | None]:
    """Newest first; and the next page's cursor.  Raises :class:`BadCursor`."""
    query = select(OUTBOX)
    if signup_id is not None:
        query = query.where(OUTBOX.c.signup_id == signup_id)
    if state is not None:
        query = query.where(OUTBOX.c.state == state)
    rows, more = paged(tx, query, OUTBOX.c.number, cursor, limit)
    return tuple(Mail(*row) for row in rows), more


def hurry(tx: WriteTx, number: int) -> None:
    """Try it now, also one that was refused; it goes to the address of now.

    Raises :class:`Unknown`, and :class:`StateChanged` where it was accepted or is held.
    """
    here = (OUTBOX.c.number == number, OUTBOX.c.state.in_(("waiting", "refused")))
    values = {"state": "waiting", "next_try_at": tx.now, "contact": None}
    # What was refused for good long ago is tried again from the start.
    again = values | {"settled_at": None, "queued_at": tx.now}
    known = get(tx, number)
    if not tx.run(
        update(OUTBOX)
        .where(*here)
        .values(**(again if known.state == "refused" else values))
    ):
        raise StateChanged(f"mail {number}", known.state)
    tx.touched.nouns.add("outbox")


def hurry_all(tx: WriteTx) -> int:
    """Try all that waits now, not when its turn comes; how many."""
    waits = (OUTBOX.c.state == "waiting", OUTBOX.c.next_try_at > tx.now)
    tx.touched.nouns.add("outbox")
    return tx.run(update(OUTBOX).where(*waits).values(next_try_at=tx.now))


def next_due_at(tx: ReadTx) -> datetime | None:
    """When the next one is due (perhaps in the past); None when nothing waits."""
    query = select(OUTBOX.c.next_try_at).where(OUTBOX.c.state == "waiting")
    row = tx.first(query.order_by(OUTBOX.c.next_try_at))
    return None if row is None else row.next_try_at


def accepted(tx: WriteTx, number: int, contact: int) -> bool:
    """A server took it for this address; False if that was known."""
    values = {"state": "accepted", "contact": contact, "settled_at": tx.now}
    return _change(tx, number, "accepted", values)


def furl_went_elsewhere(tx: ReadTx, signup_id: SignupId) -> bool:
    """Whether a mail with the furl was accepted for another email address than the
    present one: its reader knows the furl for ever.
    """
    known = contacts.history(tx, signup_id)
    told = {
        mail.contact
        for mail in of(tx, signup_id)
        if mail.kind == "active" and mail.state == "accepted"
    }
    return any(c.number in told and c.smtp != known[-1].smtp for c in known)


def refused(tx: WriteTx, number: int, contact: int, why: str) -> bool:
    """It will never be taken for this address; False if that was known."""
    values = {"state": "refused", "contact": contact, "settled_at": tx.now}
    return _change(tx, number, "refused", values | {"outcome": why})


def put_off(tx: WriteTx, number: int, why: str, until: datetime) -> None:
    """It failed; try again then."""
    values = {"next_try_at": until, "outcome": why, "attempts": OUTBOX.c.attempts + 1}
    _change(tx, number, "waiting", values)


def hold(tx: WriteTx, number: int, why: str) -> None:
    """It is not sent before :func:`release`."""
    _change(tx, number, "held", {"state": "held", "outcome": why})


def release(tx: WriteTx, signup_id: SignupId) -> bool:
    """Send what was held for this signup; whether there was any."""
    held = (OUTBOX.c.signup_id == signup_id, OUTBOX.c.state == "held")
    tx.touched.nouns.add("outbox")
    values = {"state": "waiting", "next_try_at": tx.now}
    return bool(tx.run(update(OUTBOX).where(*held).values(**values)))


def waiting(tx: ReadTx) -> int:
    """How many wait."""
    query = select(func.count()).select_from(OUTBOX).where(OUTBOX.c.state == "waiting")
    return int(tx.scalar(query))


def _change(tx: WriteTx, number: int, to: MailState, values: dict[str, Any]) -> bool:
    here = (OUTBOX.c.number == number, OUTBOX.c.state == "waiting")
    if tx.run(update(OUTBOX).where(*here).values(**values)):
        return True
    actual = get(tx, number).state
    if actual != to:
        raise StateChanged(f"mail {number}", actual)
    return False
