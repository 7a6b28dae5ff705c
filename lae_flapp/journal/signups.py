"""Signups: one row for each form that was ever submitted.

The row keeps what was agreed; later configuration never changes it.  Its state
changes by compare-and-set alone, along :data:`MOVES`.
"""

from __future__ import annotations

import secrets
from collections.abc import Set as AbstractSet
from datetime import datetime
from typing import Any

from attrs import define, field
from sqlalchemy import (
    BigInteger,
    ForeignKey,
    Index,
    Integer,
    Row,
    Select,
    String,
    Table,
    Text,
    and_,
    insert,
    select,
    update,
)

from lae_flapp.journal import events
from lae_flapp.journal.cells import CELLS, Cell
from lae_flapp.journal.columns import METADATA, Moment, Word, column, words
from lae_flapp.journal.errors import ForbiddenMove, NotOwner, StateChanged, Unknown
from lae_flapp.journal.events import PublicKind
from lae_flapp.journal.secrets import same_hash
from lae_flapp.journal.sessions import SESSIONS, Payment
from lae_flapp.journal.transaction import ReadTx, WriteTx
from lae_protocol.ids import GridLabel, OwnerSecret, SignupId, base32
from lae_protocol.messages import Plan, SignupState

#: A customer of whom a subscription is thought to live, served or not.
SUBSCRIBED: frozenset[SignupState] = frozenset(
    {"paid", "active", "past-due", "suspended", "stopped"}
)

#: Nothing is built for it, and nobody works on it.
UNBUILT: frozenset[SignupState] = frozenset(
    {"registered", "paying", "expired", "cancelled"}
)

#: Which states may follow which.  `refunding` leads to `refunded` alone: a later
#: "ready" is turned away.  `expired` may be paid after all, by a session whose news
#: was late; `cancelled` may turn out to be paid by another tab, and is paid back.
#: From `ended` a new payment leads back, and `deleting` is one way.  A former customer
#: who comes back and cannot be served is `ended` again: their data is still there.
MOVES: dict[SignupState, frozenset[SignupState]] = {
    "registered": frozenset({"paying", "paid", "expired", "cancelled"}),
    "paying": frozenset({"registered", "paid", "expired", "cancelled"}),
    "expired": frozenset({"paying", "paid", "cancelled"}),
    "paid": frozenset({"active", "refunding"}),
    "active": frozenset({"past-due", "ending"}),
    "past-due": frozenset({"active", "suspended", "ending"}),
    "suspended": frozenset({"active", "stopped", "ending"}),
    "stopped": frozenset({"active", "ending"}),
    "ending": frozenset({"ended"}),
    "ended": frozenset({"paid", "deleting"}),
    "deleting": frozenset({"deleted"}),
    "deleted": frozenset(),
    "refunding": frozenset({"refunded", "ended"}),
    "refunded": frozenset(),
    "cancelled": frozenset({"refunding"}),
}

SIGNUPS = Table(
    "signups",
    METADATA,
    column("number", Integer, purpose="order of registration", primary_key=True),
    column("signup_id", String(22), purpose="its name", unique=True),
    column("state", Word(SignupState), purpose="what is true of it now"),
    column("changed_at", Moment, purpose="when the state changed"),
    column("created_at", Moment, purpose="when the form came"),
    column("owner_hash", String(64), purpose="SHA-256 of the owner secret"),
    column("grid_label", String(16), purpose="public name", unique=True),
    column("cell", String(40), ForeignKey("cells.name"), purpose="where it is built"),
    column("plan_id", String(40), purpose="agreed"),
    column("plan_name", Text, purpose="agreed"),
    column("price", BigInteger, purpose="agreed; smallest unit of currency"),
    column("currency", String(3), purpose="agreed"),
    column("interval", String(8), purpose="agreed; month or year"),
    column("quota", BigInteger, purpose="agreed; bytes"),
    column("traffic", BigInteger, purpose="agreed; bytes an interval"),
    column("terms_version", String(40), purpose="agreed"),
    column("agreed_at", Moment, purpose="when it was agreed"),
    column("language", String(16), purpose="of pages and mails"),
    column("held_until", Moment, purpose="end of its place's hold", nullable=True),
    column("problem", Text, purpose="why it waits, for operators", nullable=True),
    column("problem_at", Moment, purpose="since when it waits", nullable=True),
    column("grace", Integer, purpose="agreed; seconds"),
    column("read_only", Integer, purpose="agreed; seconds"),
    column("stopped", Integer, purpose="agreed; seconds"),
    column("data_kept", Integer, purpose="agreed; seconds"),
    Index("ix_signups_state_number", "state", "number"),
    # Capacity is counted in it alone.
    Index("ix_signups_cell_state_held_until", "cell", "state", "held_until"),
    sqlite_autoincrement=True,
)


#: Signups beside the session whose payment is kept, where there is one.
WITH_PAYMENT = SIGNUPS.outerjoin(
    SESSIONS, and_(SESSIONS.c.signup_id == SIGNUPS.c.signup_id, SESSIONS.c.kept)
)
_PAYMENT = (
    SESSIONS.c.session_id,
    SESSIONS.c.customer,
    SESSIONS.c.subscription,
    SESSIONS.c.invoice,
    SESSIONS.c.payment_intent,
    SESSIONS.c.closed_at.label("paid_at"),
)


@define(frozen=True)
class Agreement:
    """What the customer agreed to."""

    plan: Plan
    agreed_at: datetime
    language: str


@define(frozen=True)
class Signup:
    """A row, with the payment that is kept.  *problem* is why it waits."""

    number: int
    signup_id: SignupId
    state: SignupState
    changed_at: datetime
    created_at: datetime
    owner_hash: str = field(repr=False)
    grid_label: GridLabel
    cell: Cell
    agreement: Agreement
    payment: Payment | None
    problem: str | None
    problem_at: datetime | None


def register(
    tx: WriteTx,
    signup_id: SignupId,
    owner_secret: OwnerSecret,
    *,
    grid_label: GridLabel,
    cell: Cell,
    agreement: Agreement,
    who: str = "owner",
) -> tuple[Signup, bool]:
    """Make the row and its first event; the row, and whether it is new.

    A form sent again finds its row.  Raises :class:`NotOwner` where the id is taken
    under another secret.  The cell must have been ``put``.
    """
    row = tx.first(_query().where(SIGNUPS.c.signup_id == signup_id))
    if row is not None:
        if not same_hash(row.owner_hash, owner_secret.hashed()):
            raise NotOwner("this signup is somebody else's")
        return _signup(row), False
    plan = agreement.plan
    tx.run(
        insert(SIGNUPS).values(
            signup_id=signup_id,
            state="registered",
            changed_at=tx.now,
            created_at=tx.now,
            owner_hash=owner_secret.hashed(),
            grid_label=grid_label,
            cell=cell.name,
            plan_id=plan.plan_id,
            plan_name=plan.name,
            price=plan.price,
            currency=plan.currency,
            interval=plan.interval,
            quota=plan.quota,
            traffic=plan.traffic,
            terms_version=plan.terms_version,
            grace=plan.grace,
            read_only=plan.read_only,
            stopped=plan.stopped,
            data_kept=plan.data_kept,
            agreed_at=agreement.agreed_at,
            language=agreement.language,
        )
    )
    events.tell(tx, signup_id, "registered", who)
    return get(tx, signup_id), True


def find(tx: ReadTx, signup_id: SignupId) -> Signup | None:
    """The row, if there is one."""
    row = tx.first(_query().where(SIGNUPS.c.signup_id == signup_id))
    return None if row is None else _signup(row)


def get(tx: ReadTx, signup_id: SignupId) -> Signup:
    """The row; raises :class:`Unknown`."""
    found = find(tx, signup_id)
    if found is None:
        raise Unknown(f"no signup {signup_id}")
    return found


def owned(tx: ReadTx, signup_id: SignupId, owner_secret: OwnerSecret) -> Signup | None:
    """The row, for its owner; None alike for an unknown id and a wrong secret."""
    found = find(tx, signup_id)
    kept = "0" * 64 if found is None else found.owner_hash
    return found if same_hash(kept, owner_secret.hashed()) else None


def in_states(tx: ReadTx, states: AbstractSet[SignupState]) -> tuple[Signup, ...]:
    """All rows in these states, oldest first: what the worker has to do."""
    query = _query().where(SIGNUPS.c.state.in_(sorted(states)))
    return tuple(_signup(row) for row in tx.all(query.order_by(SIGNUPS.c.number)))


def of_stripe(
    tx: ReadTx, *, customer: str | None = None, subscription: str | None = None
) -> Signup | None:
    """The row whose kept payment has this subscription, or this customer."""
    if subscription is not None:
        matches = SESSIONS.c.subscription == subscription
    else:
        matches = SESSIONS.c.customer == customer
    row = tx.first(_query().where(matches))
    return None if row is None else _signup(row)


def move(
    tx: WriteTx,
    signup_id: SignupId,
    frm: AbstractSet[SignupState],
    to: SignupState,
    *,
    kind: PublicKind,
    who: str,
    why: str | None = None,
) -> Signup:
    """Compare and set the state, and tell the event *kind*; the row as it is then.

    Raises :class:`StateChanged` (with the actual state) if it is in none of *frm*,
    :class:`Unknown`, and :class:`ForbiddenMove` where :data:`MOVES` has no such way.
    """
    astray = [state for state in frm if to not in MOVES[state]]
    if astray:
        raise ForbiddenMove(f"from {words(astray)} no signup becomes {to}")
    moved = tx.run(
        update(SIGNUPS)
        .where(SIGNUPS.c.signup_id == signup_id, SIGNUPS.c.state.in_(sorted(frm)))
        .values(state=to, changed_at=tx.now)
    )
    if not moved:
        raise StateChanged(f"signup {signup_id}", get(tx, signup_id).state)
    events.tell(tx, signup_id, kind, who, why)
    if to not in UNBUILT:
        tx.touched.signups.add(signup_id)
    return get(tx, signup_id)


def try_again(tx: WriteTx, signup_id: SignupId, who: str) -> None:
    """An operator wants what is stuck tried at once, whatever was refused."""
    events.note(tx, signup_id, "retry", who)
    tx.touched.tried_again.add(signup_id)


def log_out(tx: WriteTx, signup_id: SignupId, who: str, why: str) -> None:
    """Replace the owner secret by one that nobody has: no browser is the owner's."""
    nobody = OwnerSecret(base32(secrets.token_bytes(32))).hashed()
    here = SIGNUPS.c.signup_id == signup_id
    tx.run(update(SIGNUPS).where(here).values(owner_hash=nobody))
    events.note(tx, signup_id, "logged-out", who, why)


def log_in(
    tx: WriteTx, signup_id: SignupId, owner_secret: OwnerSecret, who: str
) -> None:
    """Replace the owner secret by one that another browser has; no other one is the
    owner's then.
    """
    here = SIGNUPS.c.signup_id == signup_id
    tx.run(update(SIGNUPS).where(here).values(owner_hash=owner_secret.hashed()))
    events.tell(tx, signup_id, "logged-in", who)


def set_problem(tx: WriteTx, signup_id: SignupId, problem: str | None) -> None:
    """Say why it waits, or that it waits no more; keeps since when."""
    known = get(tx, signup_id)
    since = None if problem is None else known.problem_at or tx.now
    tx.run(
        update(SIGNUPS)
        .where(SIGNUPS.c.signup_id == signup_id)
        .values(problem=problem, problem_at=since)
    )


def _query() -> Select[Any]:
    cell = [column.label(f"cell_{column.name}") for column in CELLS.c]
    here = WITH_PAYMENT.join(CELLS, SIGNUPS.c.cell == CELLS.c.name)
    return select(SIGNUPS, *cell, *_PAYMENT).select_from(here)


def _signup(row: Row[Any]) -> Signup:
    return Signup(
        number=row.number,
        signup_id=SignupId(row.signup_id),
        state=row.state,
        changed_at=row.changed_at,
        created_at=row.created_at,
        owner_hash=row.owner_hash,
        grid_label=GridLabel(row.grid_label),
        cell=Cell(
            row.cell_name,
            row.cell_deployment,
            row.cell_account,
            row.cell_region,
            row.cell_zone,
            row.cell_dns_zone,
        ),
        agreement=Agreement(_plan(row), row.agreed_at, row.language),
        payment=_payment(row),
        problem=row.problem,
        problem_at=row.problem_at,
    )


def _plan(row: Row[Any]) -> Plan:
    return Plan(
        row.plan_id,
        row.plan_name,
        row.price,
        row.currency,
        row.interval,
        row.quota,
        row.traffic,
        row.terms_version,
        row.grace,
        row.read_only,
        row.stopped,
        row.data_kept,
    )


def _payment(row: Row[Any]) -> Payment | None:
    if row.session_id is None:
        return None
    return Payment(
        row.session_id,
        row.customer,
        row.subscription,
        row.invoice,
        row.payment_intent,
        row.paid_at,
    )
