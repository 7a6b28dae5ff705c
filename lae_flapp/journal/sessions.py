"""Checkout sessions: each that was opened for a signup, so that two tabs that both
pay are settled with one payment kept and the other paid back.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from attrs import define, field
from sqlalchemy import (
    Boolean,
    CheckConstraint,
    Index,
    Row,
    String,
    Table,
    Text,
    case,
    insert,
    select,
    update,
)

from lae_flapp.journal.columns import (
    METADATA,
    Kept,
    Moment,
    Word,
    column,
    only_one,
    signup_column,
)
from lae_flapp.journal.errors import StateChanged, Unknown
from lae_flapp.journal.transaction import ReadTx, WriteTx
from lae_protocol.ids import SignupId
from lae_protocol.messages import SignupState

SessionState = Literal[
    "open",
    "expired",  # nobody paid it
    "paid",
    "refunded",
    "over",  # it was served; a later payment is kept by now
]

#: Of a payment: it is the one to serve; it was so already; it must be paid back.
Settlement = Literal["kept", "kept-already", "surplus"]

SESSIONS = Table(
    "sessions",
    METADATA,
    column("session_id", String(255), purpose="Stripe's name of it", primary_key=True),
    signup_column(),
    column("state", Word(SessionState), purpose="what became of it"),
    column(
        "url", Text, purpose="to send the browser", kept=Kept.HOLDING, nullable=True
    ),
    column("opened_at", Moment, purpose="when it was journaled"),
    column("expires_at", Moment, purpose="when Stripe ends it"),
    column("closed_at", Moment, purpose="when its state changed", nullable=True),
    column("kept", Boolean, purpose="is its payment the one that is served"),
    column("customer", String(255), purpose="to pay back", nullable=True),
    column("subscription", String(255), purpose="to cancel", nullable=True),
    column("invoice", String(255), purpose="to pay back", nullable=True),
    column("payment_intent", String(255), purpose="to pay back", nullable=True),
    Index("ix_sessions_signup_id", "signup_id"),
    Index("ix_sessions_state", "state"),
    Index("ix_sessions_customer", "customer"),
    Index("ix_sessions_subscription", "subscription"),
    only_one("uq_sessions_kept", "signup_id", where="kept"),
    CheckConstraint("NOT kept OR state IN ('paid', 'refunded')", "kept_is_paid"),
)


@define(frozen=True)
class Payment:
    """Stripe's names of one payment."""

    session: str
    customer: str | None
    subscription: str | None
    invoice: str | None
    payment_intent: str | None
    paid_at: datetime


@define(frozen=True)
class Session:
    """A row; *url* is None once it is closed, *payment* until it is paid."""

    session_id: str
    signup_id: SignupId
    state: SessionState
    url: str | None = field(repr=False)
    opened_at: datetime
    expires_at: datetime
    closed_at: datetime | None
    kept: bool
    payment: Payment | None


def opened(
    tx: WriteTx, signup_id: SignupId, session_id: str, url: str, expires_at: datetime
) -> Session:
    """Record a session that Stripe opened; repeating it changes nothing."""
    if find(tx, session_id) is None:
        tx.run(
            insert(SESSIONS).values(
                session_id=session_id,
                signup_id=signup_id,
                state="open",
                url=url,
                opened_at=tx.now,
                expires_at=expires_at,
                kept=False,
            )
        )
    return get(tx, session_id)


def find(tx: ReadTx, session_id: str) -> Session | None:
    """The row, if there is one."""
    row = tx.first(select(SESSIONS).where(SESSIONS.c.session_id == session_id))
    return None if row is None else _session(row)


def get(tx: ReadTx, session_id: str) -> Session:
    """The row; raises :class:`Unknown`."""
    found = find(tx, session_id)
    if found is None:
        raise Unknown(f"no session {session_id}")
    return found


def of(tx: ReadTx, signup_id: SignupId) -> tuple[Session, ...]:
    """All sessions of a signup, oldest first."""
    query = select(SESSIONS).where(SESSIONS.c.signup_id == signup_id)
    ordered = query.order_by(SESSIONS.c.opened_at, SESSIONS.c.session_id)
    return tuple(_session(row) for row in tx.all(ordered))


def open_ones(tx: ReadTx) -> tuple[Session, ...]:
    """Every open session: what a start reads from Stripe."""
    query = select(SESSIONS).where(SESSIONS.c.state == "open")
    return tuple(_session(row) for row in tx.all(query.order_by(SESSIONS.c.opened_at)))


def paid_by(tx: ReadTx, customer: str) -> SignupId | None:
    """The signup for which this customer of Stripe's paid, kept or not."""
    query = select(SESSIONS.c.signup_id).where(SESSIONS.c.customer == customer)
    row = tx.first(query.limit(1))
    return None if row is None else SignupId(row.signup_id)


def surplus(tx: ReadTx) -> tuple[Session, ...]:
    """Paid, not kept, and not paid back yet."""
    query = select(SESSIONS).where(SESSIONS.c.state == "paid", ~SESSIONS.c.kept)
    return tuple(_session(row) for row in tx.all(query.order_by(SESSIONS.c.opened_at)))


def expired(tx: WriteTx, session_id: str) -> bool:
    """Stripe ended it unpaid; False if it was not open any more."""
    return _close(tx, session_id, "open", "expired")


def paid(
    tx: WriteTx, signup_id: SignupId, state: SignupState, payment: Payment
) -> Settlement:
    """Settle a paid session of a signup in *state*: the first payment is kept, if it
    can be served.

    For ``kept`` the caller moves the signup to `paid` in the same transaction; for
    ``surplus`` it cancels and refunds.  The answer is the same however often asked.
    """
    known = get(tx, payment.session)
    if known.signup_id != signup_id:
        raise Unknown(f"no session {payment.session} of {signup_id}")
    if known.kept or known.state == "over":
        return "kept-already"
    if known.payment is not None:
        return "surplus"
    keep = _is_payable(tx, signup_id, state)
    if keep:
        _let_go(tx, signup_id)
    _set_paid(tx, payment, keep=keep)
    tx.touched.signups.add(signup_id)
    return "kept" if keep else "surplus"


def _is_payable(tx: ReadTx, signup_id: SignupId, state: SignupState) -> bool:
    # A former customer comes back, as long as the deletion has not begun.
    if state == "ended":
        return True
    kept = select(SESSIONS.c.session_id).where(SESSIONS.c.signup_id == signup_id)
    unpaid = state in {"registered", "paying", "expired"}
    return unpaid and tx.first(kept.where(SESSIONS.c.kept)) is None


def refunded(tx: WriteTx, session_id: str) -> bool:
    """Its payment went back; False if that was known.

    Raises :class:`StateChanged` for a session that was never paid.
    """
    known = get(tx, session_id)
    if known.state not in {"paid", "refunded"}:
        raise StateChanged(f"session {session_id}", known.state)
    return _close(tx, session_id, "paid", "refunded")


def _close(tx: WriteTx, session_id: str, frm: SessionState, to: SessionState) -> bool:
    here = (SESSIONS.c.session_id == session_id, SESSIONS.c.state == frm)
    values = {"state": to, "url": None, "closed_at": tx.now}
    return tx.run(update(SESSIONS).where(*here).values(**values)) == 1


def _set_paid(tx: WriteTx, payment: Payment, *, keep: bool) -> None:
    tx.run(
        update(SESSIONS)
        .where(SESSIONS.c.session_id == payment.session)
        .values(
            state="paid",
            url=None,
            closed_at=payment.paid_at,
            kept=keep,
            customer=payment.customer,
            subscription=payment.subscription,
            invoice=payment.invoice,
            payment_intent=payment.payment_intent,
        )
    )


def _let_go(tx: WriteTx, signup_id: SignupId) -> None:
    """Keep the former customer's last payment no longer: another takes its place."""
    was = update(SESSIONS).where(SESSIONS.c.signup_id == signup_id, SESSIONS.c.kept)
    over = case((SESSIONS.c.state == "paid", "over"), else_=SESSIONS.c.state)
    tx.run(was.values(kept=False, state=over))


def _session(row: Row[Any]) -> Session:
    payment = None
    if row.state not in {"open", "expired"}:
        payment = Payment(
            row.session_id,
            row.customer,
            row.subscription,
            row.invoice,
            row.payment_intent,
            row.closed_at,
        )
    return Session(
        row.session_id,
        SignupId(row.signup_id),
        row.state,
        row.url,
        row.opened_at,
        row.expires_at,
        row.closed_at,
        row.kept,
        payment,
    )
