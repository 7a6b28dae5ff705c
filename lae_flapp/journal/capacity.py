"""Capacity of a cell: held with a Checkout session, kept when it is paid.

What a signup holds is its share of every quota; the limits are the configuration's.
A holding that lapsed counts no more, from that second on.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import (
    ColumnElement,
    ForeignKey,
    Index,
    Integer,
    Select,
    String,
    Table,
    delete,
    func,
    insert,
    or_,
    select,
)

from lae_flapp.journal.columns import (
    METADATA,
    Kept,
    Moment,
    Word,
    column,
    signup_column,
)
from lae_flapp.journal.errors import NoRoom
from lae_flapp.journal.transaction import ReadTx, WriteTx
from lae_protocol.ids import SignupId

Quota = Literal["instances", "roles", "profiles", "buckets", "addresses", "records"]

#: What one signup needs of each.
ONE_SIGNUP: Mapping[Quota, int] = {
    "instances": 1,
    "roles": 1,
    "profiles": 1,
    "buckets": 1,
    "addresses": 1,
    "records": 1,
}

HOLDINGS = Table(
    "holdings",
    METADATA,
    signup_column(primary_key=True),
    column("quota", Word(Quota), purpose="of what", primary_key=True),
    column("cell", String(40), ForeignKey("cells.name"), purpose="whose quota"),
    column("amount", Integer, purpose="how much", kept=Kept.HOLDING),
    column(
        "until",
        Moment,
        purpose="lapses then; null is kept",
        kept=Kept.HOLDING,
        nullable=True,
    ),
    Index("ix_holdings_cell_quota", "cell", "quota"),
)


def hold(
    tx: WriteTx,
    signup_id: SignupId,
    cell: str,
    *,
    limits: Mapping[Quota, int],
    until: datetime | None,
    need: Mapping[Quota, int] = ONE_SIGNUP,
) -> None:
    """Hold *need* of the cell until then, or for good (None: it is paid).

    What the signup held before is replaced, and never counted twice.  A quota that
    *limits* does not name is unlimited.  Raises :class:`NoRoom`, changing nothing.
    """
    others = used(tx, cell, but=signup_id)
    for quota, amount in need.items():
        if quota in limits and others.get(quota, 0) + amount > limits[quota]:
            raise NoRoom(quota)
    release(tx, signup_id)
    for quota, amount in need.items():
        row = {"quota": quota, "amount": amount, "until": until}
        tx.run(insert(HOLDINGS).values(signup_id=signup_id, cell=cell, **row))


def release(tx: WriteTx, signup_id: SignupId) -> None:
    """Give everything back."""
    tx.run(delete(HOLDINGS).where(HOLDINGS.c.signup_id == signup_id))


def release_lapsed(tx: WriteTx) -> int:
    """Remove holdings that count no more; how many."""
    return tx.run(delete(HOLDINGS).where(HOLDINGS.c.until <= tx.now))


def used(tx: ReadTx, cell: str, but: SignupId | None = None) -> dict[Quota, int]:
    """How much of each quota is held or kept, leaving out one signup."""
    query = _sums(tx, HOLDINGS.c.cell == cell)
    if but is not None:
        query = query.where(HOLDINGS.c.signup_id != but)
    return {row.quota: int(row.total) for row in tx.all(query)}


def held(tx: ReadTx, signup_id: SignupId) -> dict[Quota, int]:
    """What one signup holds or keeps now."""
    query = _sums(tx, HOLDINGS.c.signup_id == signup_id)
    return {row.quota: int(row.total) for row in tx.all(query)}


def _sums(tx: ReadTx, which: ColumnElement[bool]) -> Select[Any]:
    counts = or_(HOLDINGS.c.until.is_(None), HOLDINGS.c.until > tx.now)
    total = func.sum(HOLDINGS.c.amount).label("total")
    query = select(HOLDINGS.c.quota, total).where(which, counts)
    return query.group_by(HOLDINGS.c.quota)
