"""Capacity of a cell, counted from the states of its signups.

A Checkout session that is open holds a place until the signup's ``held_until``; what
is paid keeps the place by its state.  The limits are the configuration's.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import datetime
from typing import Literal, assert_never, get_args

from sqlalchemy import ColumnElement, func, select, update

from lae_flapp.journal.errors import NoRoom, Unknown
from lae_flapp.journal.signups import SIGNUPS
from lae_flapp.journal.transaction import ReadTx, WriteTx
from lae_flapp.settings import CellSettings
from lae_protocol.ids import SignupId
from lae_protocol.messages import SignupState

Quota = Literal["instances", "roles", "profiles", "buckets", "addresses", "records"]

#: What one signup may take of a cell: one of each quota that is named.
Share = frozenset[Quota]
WHOLE: Share = frozenset(get_args(Quota))
#: What is left of a former customer.
BUCKET: Share = frozenset({"buckets"})
NOTHING: Share = frozenset()


def quotas_of(cell: CellSettings) -> dict[Quota, int]:
    """How much of each there is."""
    quotas = cell.quotas
    return {
        "instances": quotas.instances,
        "roles": quotas.roles,
        "profiles": quotas.instance_profiles,
        "buckets": quotas.buckets,
        "addresses": quotas.addresses,
        "records": quotas.records,
    }


def share_of(state: SignupState, *, held: bool) -> Share:
    """What a signup in this state takes of its cell; *held* while its hold lasts."""
    match state:
        case "registered" | "paying" | "expired":
            return WHOLE if held else NOTHING
        case "paid" | "active" | "past-due" | "suspended" | "stopped":
            return WHOLE
        case "ending" | "refunding":
            return WHOLE
        case "ended":
            return WHOLE if held else BUCKET
        case "deleting":
            return BUCKET
        case "cancelled" | "refunded" | "deleted":
            return NOTHING
        case _:
            assert_never(state)


def _alike() -> dict[tuple[Share, Share], list[SignupState]]:
    """Group the states by what they take without a hold, and with one."""
    groups: dict[tuple[Share, Share], list[SignupState]] = {}
    for state in get_args(SignupState):
        pair = share_of(state, held=False), share_of(state, held=True)
        groups.setdefault(pair, []).append(state)
    return groups


def hold(
    tx: WriteTx, signup_id: SignupId, *, limits: Mapping[Quota, int], until: datetime
) -> None:
    """Hold one signup's place until then; a hold before is replaced, not added to.

    Raises :class:`NoRoom`, changing nothing.
    """
    raise_if_full(tx, signup_id, limits)
    here = update(SIGNUPS).where(SIGNUPS.c.signup_id == signup_id)
    tx.run(here.values(held_until=until))


def raise_if_full(tx: ReadTx, signup_id: SignupId, limits: Mapping[Quota, int]) -> None:
    """Raise :class:`NoRoom` where the signup's cell has no place for it beside others.

    A quota that *limits* does not name is unlimited.
    """
    cell = tx.scalar(select(SIGNUPS.c.cell).where(SIGNUPS.c.signup_id == signup_id))
    others = Counter(used(tx, cell))
    others.subtract(held(tx, signup_id))
    for quota in get_args(Quota):
        if quota in limits and others[quota] >= limits[quota]:
            raise NoRoom(quota)


def release(tx: WriteTx, signup_id: SignupId) -> None:
    """End the hold; what the signup's state keeps stays."""
    here = update(SIGNUPS).where(SIGNUPS.c.signup_id == signup_id)
    tx.run(here.values(held_until=None))


def used(tx: ReadTx, cell: str) -> dict[Quota, int]:
    """How much of each quota of a cell is taken now."""
    total: Counter[Quota] = Counter()
    for (kept, whole), states in _alike().items():
        here = (SIGNUPS.c.cell == cell, SIGNUPS.c.state.in_(states))
        if kept:
            total.update(dict.fromkeys(kept, _count(tx, *here)))
        if whole - kept:
            lasts = SIGNUPS.c.held_until > tx.now
            total.update(dict.fromkeys(whole - kept, _count(tx, *here, lasts)))
    return dict(+total)


def held(tx: ReadTx, signup_id: SignupId) -> dict[Quota, int]:
    """What one signup takes of its cell now; raises :class:`Unknown`."""
    query = select(SIGNUPS.c.state, SIGNUPS.c.held_until)
    row = tx.first(query.where(SIGNUPS.c.signup_id == signup_id))
    if row is None:
        raise Unknown(f"no signup {signup_id}")
    lasts = row.held_until is not None and row.held_until > tx.now
    return dict.fromkeys(share_of(row.state, held=lasts), 1)


def _count(tx: ReadTx, *which: ColumnElement[bool]) -> int:
    query = select(func.count()).select_from(SIGNUPS).where(*which)
    return int(tx.scalar(query))
