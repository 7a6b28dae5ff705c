"""How a subscription goes on and ends: one row for each signup that was ever paid.

*wish* is what was decided here; *told* is what Stripe is known to know of it, and
``unsure`` while it is being told.  Where they differ the worker tells Stripe.
"""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from datetime import datetime
from typing import Any, Literal

from attrs import define
from sqlalchemy import Index, String, Table, insert, select, update

from lae_flapp.journal.columns import METADATA, Moment, Word, column, signup_column
from lae_flapp.journal.signups import SIGNUPS
from lae_flapp.journal.transaction import ReadTx, WriteTx
from lae_protocol.ids import SignupId
from lae_protocol.messages import SignupState

Wish = Literal[
    "stay",  # it renews
    "leave",  # it ends with the period that is paid
    "end",  # it is over now, and nothing can be charged any more
]

Told = Literal["stay", "leave", "end", "unsure"]

LIFECYCLES = Table(
    "lifecycles",
    METADATA,
    signup_column(primary_key=True),
    column("subscription", String(255), purpose="which the row is of", nullable=True),
    column("wish", Word(Wish), purpose="what was decided"),
    column("told", Word(Told), purpose="what Stripe knows"),
    column("paid_until", Moment, purpose="as Stripe says", nullable=True),
    column("ends_at", Moment, purpose="cancelled, as Stripe says", nullable=True),
    column("ended_at", Moment, purpose="when a subscription ended", nullable=True),
    column("kept_until", Moment, purpose="the data is deleted then", nullable=True),
    Index("ix_lifecycles_subscription", "subscription"),
)


@define(frozen=True)
class Lifecycle:
    """A row; see the module.  Times of Stripe's may be of a test clock."""

    signup_id: SignupId
    subscription: str | None
    wish: Wish
    told: Told
    paid_until: datetime | None
    ends_at: datetime | None
    ended_at: datetime | None
    kept_until: datetime | None


def find(tx: ReadTx, signup_id: SignupId) -> Lifecycle | None:
    """The row, if there is one."""
    row = tx.first(select(LIFECYCLES).where(LIFECYCLES.c.signup_id == signup_id))
    return None if row is None else Lifecycle(*row)


def get(tx: ReadTx, signup_id: SignupId) -> Lifecycle:
    """The row, or what it says before anything happened."""
    found = find(tx, signup_id)
    if found is not None:
        return found
    return Lifecycle(signup_id, None, "stay", "stay", None, None, None, None)


def of_subscription(tx: ReadTx, subscription: str) -> Lifecycle | None:
    """The row of the signup whose present (or last) subscription this is."""
    row = tx.first(select(LIFECYCLES).where(LIFECYCLES.c.subscription == subscription))
    return None if row is None else Lifecycle(*row)


def change(tx: WriteTx, signup_id: SignupId, **values: Any) -> Lifecycle:
    """Change these columns; the row afterwards."""
    if find(tx, signup_id) is None:
        row = {"signup_id": signup_id, "wish": "stay", "told": "stay"}
        tx.run(insert(LIFECYCLES).values(**row))
    here = LIFECYCLES.c.signup_id == signup_id
    tx.run(update(LIFECYCLES).where(here).values(**values))
    tx.touched.signups.add(signup_id)
    return get(tx, signup_id)


def begin(tx: WriteTx, signup_id: SignupId, subscription: str | None) -> None:
    """A payment is kept: a new subscription begins.  When one ended before stays."""
    change(
        tx,
        signup_id,
        subscription=subscription,
        wish="stay",
        told="stay",
        paid_until=None,
        ends_at=None,
    )


def untold(tx: ReadTx) -> tuple[SignupId, ...]:
    """Whose wish Stripe does not know yet."""
    query = select(LIFECYCLES.c.signup_id).where(LIFECYCLES.c.wish != LIFECYCLES.c.told)
    return tuple(SignupId(row.signup_id) for row in tx.all(query))


def unread(tx: ReadTx, states: AbstractSet[SignupState]) -> tuple[str, ...]:
    """The subscriptions of signups in these states of which news is due: it should
    have renewed by now, and nobody told us.
    """
    query = select(LIFECYCLES.c.subscription).join(
        SIGNUPS, SIGNUPS.c.signup_id == LIFECYCLES.c.signup_id
    )
    until = LIFECYCLES.c.paid_until
    query = query.where(
        SIGNUPS.c.state.in_(sorted(states)),
        LIFECYCLES.c.subscription.is_not(None),
        until.is_(None) | (until <= tx.now),
    )
    return tuple(row.subscription for row in tx.all(query))
