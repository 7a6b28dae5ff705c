"""Capacity of a cell, counted from the states of its signups.

A Checkout session that is open holds a place until the signup's ``held_until``; what
is paid keeps the place by its state.  The limits are the configuration's.

Nobody pays for a hold.  So all holds together have only a share of what is free: the
rest is for those who are given a place, or come back, and can never be held by people
who do not pay.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import datetime
from math import ceil
from typing import Literal, assert_never, get_args

from sqlalchemy import ColumnElement, func, select, update

from lae_flapp.cell_settings import CellSettings
from lae_flapp.journal.errors import HeldByOthers, NoRoom, Unknown
from lae_flapp.journal.signups import SIGNUPS
from lae_flapp.journal.transaction import ReadTx, WriteTx
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
    tx: WriteTx,
    signup_id: SignupId,
    *,
    limits: Mapping[Quota, int],
    until: datetime,
    share: float = 1.0,
) -> None:
    """Hold one signup's place until then; a hold before is replaced, not added to.

    All holds together may have *share* of what is free, rounded up.  Raises
    :class:`NoRoom` (:class:`HeldByOthers`, where a place is free), changing nothing.
    """
    raise_if_full(tx, signup_id, limits)
    _raise_if_held(tx, signup_id, limits, share)
    here = update(SIGNUPS).where(SIGNUPS.c.signup_id == signup_id)
    tx.run(here.values(held_until=until))


def raise_if_full(tx: ReadTx, signup_id: SignupId, limits: Mapping[Quota, int]) -> None:
    """Raise :class:`NoRoom` where the signup's cell has no place for it beside others.

    A quota that *limits* does not name is unlimited.
    """
    others = Counter(used(tx, _cell_of(tx, signup_id)))
    others.subtract(held(tx, signup_id))
    for quota in get_args(Quota):
        if quota in limits and others[quota] >= limits[quota]:
            raise NoRoom(quota)


def _raise_if_held(
    tx: ReadTx, signup_id: SignupId, limits: Mapping[Quota, int], share: float
) -> None:
    cell = _cell_of(tx, signup_id)
    kept, holding = _kept(tx, cell), _holding(tx, cell)
    state, lasts = _state_of(tx, signup_id)
    own = share_of(state, held=False)
    kept.subtract(own)
    holding.subtract(share_of(state, held=lasts) - own)
    for quota in get_args(Quota):
        if quota in limits:
            free = limits[quota] - kept[quota]
            if holding[quota] >= ceil(share * free):
                raise HeldByOthers(quota)


def _cell_of(tx: ReadTx, signup_id: SignupId) -> str:
    return str(
        tx.scalar(select(SIGNUPS.c.cell).where(SIGNUPS.c.signup_id == signup_id))
    )


def release(tx: WriteTx, signup_id: SignupId) -> None:
    """End the hold; what the signup's state keeps stays."""
    here = update(SIGNUPS).where(SIGNUPS.c.signup_id == signup_id)
    tx.run(here.values(held_until=None))


def used(tx: ReadTx, cell: str) -> dict[Quota, int]:
    """How much of each quota of a cell is taken now."""
    return dict(+(_kept(tx, cell) + _holding(tx, cell)))


def _kept(tx: ReadTx, cell: str) -> Counter[Quota]:
    """What the signups' states take, whether or not there is a hold."""
    total: Counter[Quota] = Counter()
    for (kept, _), states in _alike().items():
        if kept:
            here = (SIGNUPS.c.cell == cell, SIGNUPS.c.state.in_(states))
            total.update(dict.fromkeys(kept, _count(tx, *here)))
    return total


def _holding(tx: ReadTx, cell: str) -> Counter[Quota]:
    """What is taken by holds alone, which nobody has paid for."""
    total: Counter[Quota] = Counter()
    for (kept, whole), states in _alike().items():
        if whole - kept:
            here = (SIGNUPS.c.cell == cell, SIGNUPS.c.state.in_(states))
            many = _count(tx, *here, SIGNUPS.c.held_until > tx.now)
            total.update(dict.fromkeys(whole - kept, many))
    return total


def held(tx: ReadTx, signup_id: SignupId) -> dict[Quota, int]:
    """What one signup takes of its cell now; raises :class:`Unknown`."""
    state, lasts = _state_of(tx, signup_id)
    return dict.fromkeys(share_of(state, held=lasts), 1)


def _state_of(tx: ReadTx, signup_id: SignupId) -> tuple[SignupState, bool]:
    query = select(SIGNUPS.c.state, SIGNUPS.c.held_until)
    row = tx.first(query.where(SIGNUPS.c.signup_id == signup_id))
    if row is None:
        raise Unknown(f"no signup {signup_id}")
    return row.state, row.held_until is not None and row.held_until > tx.now


def _count(tx: ReadTx, *which: ColumnElement[bool]) -> int:
    query = select(func.count()).select_from(SIGNUPS).where(*which)
    return int(tx.scalar(query))
