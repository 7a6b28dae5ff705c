"""Subscriptions free of charge: given by an operator, with an end or without."""

from __future__ import annotations

from datetime import datetime

from attrs import define
from sqlalchemy import String, Table, insert, select

from lae_flapp.journal.columns import METADATA, Moment, column, signup_column
from lae_flapp.journal.signups import SIGNUPS
from lae_flapp.journal.transaction import ReadTx, WriteTx
from lae_protocol.ids import SignupId

GIFTS = Table(
    "gifts",
    METADATA,
    signup_column(primary_key=True),
    column("who", String(80), purpose="which operator gave it"),
    column("given_at", Moment, purpose="when"),
    column("ends_at", Moment, purpose="when it ends; null: not", nullable=True),
)


@define(frozen=True)
class Gift:
    """A row."""

    signup_id: SignupId
    who: str
    given_at: datetime
    ends_at: datetime | None


def put(tx: WriteTx, signup_id: SignupId, who: str, ends_at: datetime | None) -> None:
    """Note that nobody pays for it."""
    values = {"who": who, "given_at": tx.now, "ends_at": ends_at}
    tx.run(insert(GIFTS).values(signup_id=signup_id, **values))


def find(tx: ReadTx, signup_id: SignupId) -> Gift | None:
    """The row, if it is one."""
    row = tx.first(select(GIFTS).where(GIFTS.c.signup_id == signup_id))
    return None if row is None else Gift(*row)


def ended(tx: ReadTx, limit: int = 100) -> tuple[Gift, ...]:
    """Those whose end has come while they are served or built, oldest end first.

    Nobody pays for them, so none is ever past-due, suspended or stopped.
    """
    live = SIGNUPS.c.state.in_(("paid", "active"))
    query = (
        select(GIFTS)
        .join(SIGNUPS, SIGNUPS.c.signup_id == GIFTS.c.signup_id)
        .where(GIFTS.c.ends_at <= tx.now, live)
    )
    return tuple(
        Gift(*row) for row in tx.all(query.order_by(GIFTS.c.ends_at).limit(limit))
    )
