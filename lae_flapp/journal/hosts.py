"""Customers' hosts: a row for each generation, one live one per signup at most."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from datetime import datetime
from typing import Any, Literal

from attrs import define
from sqlalchemy import (
    Index,
    Integer,
    String,
    Table,
    Text,
    Update,
    func,
    insert,
    select,
    update,
)

from lae_flapp.journal import events
from lae_flapp.journal.columns import (
    METADATA,
    Moment,
    Word,
    column,
    only_one,
    signup_column,
    words,
)
from lae_flapp.journal.errors import (
    ForbiddenMove,
    HostStillLive,
    StateChanged,
    Unknown,
)
from lae_flapp.journal.transaction import ReadTx, WriteTx
from lae_protocol.ids import Generation, SignupId

HostState = Literal[
    "wanted",  # a generation was given; nothing is launched for certain
    "launched",  # the cloud named an instance
    "claimed",  # it has its identity
    "ready",  # a write and a read proved it
    "quarantined",  # something about its claim is wrong; an operator looks
    "retiring",  # to be unmade
    "gone",  # unmade, or never made
]

#: Which states may follow which; every live one may be retired.
MOVES: dict[HostState, frozenset[HostState]] = {
    "wanted": frozenset({"launched", "quarantined", "retiring", "gone"}),
    "launched": frozenset({"claimed", "quarantined", "retiring", "gone"}),
    "claimed": frozenset({"ready", "quarantined", "retiring", "gone"}),
    "ready": frozenset({"quarantined", "retiring", "gone"}),
    "quarantined": frozenset({"retiring", "gone"}),
    "retiring": frozenset({"gone"}),
    "gone": frozenset(),
}

HOSTS = Table(
    "hosts",
    METADATA,
    signup_column(primary_key=True),
    column("generation", Integer, purpose="grows with each host", primary_key=True),
    column("state", Word(HostState), purpose="what is true of it now"),
    column("wanted_at", Moment, purpose="when the generation began"),
    column("changed_at", Moment, purpose="when the state changed"),
    column("instance_id", String(64), purpose="the cloud's name", nullable=True),
    column("address", String(64), purpose="where its name points", nullable=True),
    column("launch_time", Moment, purpose="a claim must match it", nullable=True),
    column("reported_at", Moment, purpose="when it last spoke", nullable=True),
    column("report", Text, purpose="what it said last", nullable=True),
    only_one("uq_hosts_live", "signup_id", where="state != 'gone'"),
    Index("ix_hosts_instance_id", "instance_id"),
)


@define(frozen=True)
class HostRow:
    """A row; *report* is the last report as :mod:`lae_protocol.wire` wrote it."""

    signup_id: SignupId
    generation: Generation
    state: HostState
    wanted_at: datetime
    changed_at: datetime
    instance_id: str | None
    address: str | None
    launch_time: datetime | None
    reported_at: datetime | None
    report: str | None


#: The kind of event that tells of a restored backup; it names the number from which
#: generations go on.
RESTORED = "journal-restored"
#: So many generations for each number: replacements until the next restore.
RESTORED_STEP = 100


def newest(tx: ReadTx, signup_id: SignupId) -> int:
    """Tell the highest generation that was ever given; 0 before the first."""
    query = select(func.max(HOSTS.c.generation)).where(HOSTS.c.signup_id == signup_id)
    return int(tx.scalar(query) or 0)


def next_generation(tx: ReadTx, signup_id: SignupId) -> Generation:
    """Tell the generation of the next host: above every one that may ever have been,
    also by a daemon whose journal an older backup has replaced.
    """
    last = newest(tx, signup_id)
    restored = events.newest_of(tx, RESTORED)
    floor = int(restored.why or 0) * RESTORED_STEP if restored is not None else 0
    return Generation(max(last, floor) + 1)


def take_in(
    tx: WriteTx,
    signup_id: SignupId,
    generation: Generation,
    instance_id: str,
    launch_time: datetime,
    *,
    retiring: bool = False,
) -> None:
    """Give a host its row that only the cloud knows; an older one is gone.

    It can prove nothing to this journal, so the routine replaces it.
    """
    alive = live(tx, signup_id)
    if alive is not None:
        move(tx, signup_id, alive.generation, {alive.state}, "gone")
    tx.run(
        insert(HOSTS).values(
            signup_id=signup_id,
            generation=generation,
            state="retiring" if retiring else "launched",
            wanted_at=tx.now,
            changed_at=tx.now,
            instance_id=instance_id,
            launch_time=launch_time,
        )
    )


def begin(tx: WriteTx, signup_id: SignupId) -> HostRow:
    """Give the next generation.

    Raises :class:`HostStillLive` until the last is gone.
    """
    alive = live(tx, signup_id)
    if alive is not None:
        raise HostStillLive(f"host {alive.generation} of {signup_id} is {alive.state}")
    generation = next_generation(tx, signup_id)
    tx.run(
        insert(HOSTS).values(
            signup_id=signup_id,
            generation=generation,
            state="wanted",
            wanted_at=tx.now,
            changed_at=tx.now,
        )
    )
    return get(tx, signup_id, generation)


def launched(
    tx: WriteTx,
    signup_id: SignupId,
    generation: Generation,
    instance_id: str,
    launch_time: datetime,
) -> HostRow:
    """The cloud named the instance; the same again changes nothing."""
    known = get(tx, signup_id, generation)
    if known.instance_id == instance_id:
        return known
    values = {"instance_id": instance_id, "launch_time": launch_time}
    return move(tx, signup_id, generation, {"wanted"}, "launched", **values)


def move(
    tx: WriteTx,
    signup_id: SignupId,
    generation: Generation,
    frm: AbstractSet[HostState],
    to: HostState,
    **values: Any,
) -> HostRow:
    """Compare and set the state (with other columns' *values*); the row then.

    Raises :class:`StateChanged`, :class:`Unknown` and :class:`ForbiddenMove`.
    """
    astray = [state for state in frm if to not in MOVES[state]]
    if astray:
        raise ForbiddenMove(f"from {words(astray)} no host becomes {to}")
    statement = _at(signup_id, generation).where(HOSTS.c.state.in_(sorted(frm)))
    if not tx.run(statement.values(state=to, changed_at=tx.now, **values)):
        actual = get(tx, signup_id, generation).state
        raise StateChanged(f"host {generation} of {signup_id}", actual)
    return get(tx, signup_id, generation)


def set_address(
    tx: WriteTx, signup_id: SignupId, generation: Generation, address: str
) -> None:
    """Where its name points now."""
    tx.run(_at(signup_id, generation).values(address=address))


def reported(
    tx: WriteTx, signup_id: SignupId, generation: Generation, report: str
) -> None:
    """It spoke."""
    values = {"report": report, "reported_at": tx.now}
    tx.run(_at(signup_id, generation).values(**values))


def find(tx: ReadTx, signup_id: SignupId, generation: Generation) -> HostRow | None:
    """The row, if there is one."""
    here = (HOSTS.c.signup_id == signup_id, HOSTS.c.generation == generation)
    row = tx.first(select(HOSTS).where(*here))
    return None if row is None else HostRow(*row)


def get(tx: ReadTx, signup_id: SignupId, generation: Generation) -> HostRow:
    """The row; raises :class:`Unknown`."""
    found = find(tx, signup_id, generation)
    if found is None:
        raise Unknown(f"no host {generation} of {signup_id}")
    return found


def live(tx: ReadTx, signup_id: SignupId) -> HostRow | None:
    """The one that is not gone, if there is one."""
    query = select(HOSTS).where(HOSTS.c.signup_id == signup_id)
    row = tx.first(query.where(HOSTS.c.state != "gone"))
    return None if row is None else HostRow(*row)


def last_report(tx: ReadTx, signup_id: SignupId) -> str | None:
    """What the newest host that ever spoke said last."""
    query = select(HOSTS.c.report).where(
        HOSTS.c.signup_id == signup_id, HOSTS.c.report.is_not(None)
    )
    row = tx.first(query.order_by(HOSTS.c.generation.desc()))
    return None if row is None else str(row.report)


def all_live(tx: ReadTx) -> tuple[HostRow, ...]:
    """Every host that is not gone: what a sweeper compares with the cloud."""
    query = select(HOSTS).where(HOSTS.c.state != "gone")
    ordered = query.order_by(HOSTS.c.signup_id)
    return tuple(HostRow(*row) for row in tx.all(ordered))


def _at(signup_id: SignupId, generation: Generation) -> Update:
    return update(HOSTS).where(
        HOSTS.c.signup_id == signup_id, HOSTS.c.generation == generation
    )
