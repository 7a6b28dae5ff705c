"""Rollouts: a program that is brought to every host of a cell, one rollout at a time.

The newest one says what its hosts are told; the newest that was finished, what all
others are, what hosts are launched with, and below which release none runs again.
"""

from __future__ import annotations

from collections.abc import Set as AbstractSet
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
    func,
    insert,
    select,
    update,
)

from lae_flapp.journal import events
from lae_flapp.journal.columns import (
    METADATA,
    Kept,
    Moment,
    Word,
    column,
    only_one,
    signup_column,
    words,
)
from lae_flapp.journal.errors import ForbiddenMove, RolloutOpen, StateChanged, Unknown
from lae_flapp.journal.transaction import ReadTx, WriteTx
from lae_protocol.ids import Generation, SignupId

RolloutState = Literal["going", "paused", "going-back", "finished", "gone-back"]
#: Those that something is to be done for; of each cell there is one, at most.
OPEN: frozenset[RolloutState] = frozenset({"going", "paused", "going-back"})

#: Which states may follow which.  From `going-back` nothing leads forward again.
MOVES: dict[RolloutState, frozenset[RolloutState]] = {
    "going": frozenset({"paused", "going-back", "finished"}),
    "paused": frozenset({"going", "going-back"}),
    "going-back": frozenset({"gone-back"}),
    "finished": frozenset(),
    "gone-back": frozenset(),
}

HostOutcome = Literal["told", "proved", "back", "returned", "stuck", "left"]
#: Whoever is so is told the new program; whoever is not, but `left`, that of before.
FORWARD: frozenset[HostOutcome] = frozenset({"told", "proved"})

ROLLOUTS = Table(
    "rollouts",
    METADATA,
    column("number", Integer, purpose="order", kept=Kept.JOURNAL, primary_key=True),
    column(
        "cell",
        String(40),
        ForeignKey("cells.name"),
        purpose="whose hosts",
        kept=Kept.JOURNAL,
    ),
    column("image", Text, purpose="the program, by its digest", kept=Kept.JOURNAL),
    column(
        "release",
        Integer,
        purpose="the image's number, as hosts told it; 0: not yet",
        kept=Kept.JOURNAL,
    ),
    column(
        "state", Word(RolloutState), purpose="what is true of it", kept=Kept.JOURNAL
    ),
    column("canaries", Integer, purpose="hosts of the first step", kept=Kept.JOURNAL),
    column("step", Integer, purpose="percent of the hosts", kept=Kept.JOURNAL),
    column("pause", Integer, purpose="seconds between steps", kept=Kept.JOURNAL),
    column("who", String(80), purpose="who moved it last", kept=Kept.JOURNAL),
    column("why", Text, purpose="and why", kept=Kept.JOURNAL),
    column("begun_at", Moment, purpose="when it was started", kept=Kept.JOURNAL),
    column("changed_at", Moment, purpose="when the state changed", kept=Kept.JOURNAL),
    only_one(
        "uq_rollouts_open", "cell", where="state NOT IN ('finished', 'gone-back')"
    ),
    sqlite_autoincrement=True,
)

ROLLOUT_HOSTS = Table(
    "rollout_hosts",
    METADATA,
    column(
        "rollout",
        Integer,
        ForeignKey("rollouts.number"),
        purpose="which",
        primary_key=True,
    ),
    signup_column(primary_key=True),
    column("generation", Integer, purpose="which of the hosts", primary_key=True),
    column("step", Integer, purpose="with which step; 0: a canary"),
    column("outcome", Word(HostOutcome), purpose="what became of it"),
    column("before", Text, purpose="what it ran, and goes back to"),
    column("since", Moment, purpose="when the outcome changed"),
    column("heard_at", Moment, purpose="when the host was told it", nullable=True),
    column("came_at", Moment, purpose="when it first said so", nullable=True),
    column("what", Text, purpose="what went wrong, for operators", nullable=True),
    Index("ix_rollout_hosts_signup_id", "signup_id"),
)


@define(frozen=True)
class RolloutRow:
    """A row."""

    number: int
    cell: str
    image: str
    release: int
    state: RolloutState
    canaries: int
    step: int
    pause: int
    who: str
    why: str
    begun_at: datetime
    changed_at: datetime


@define(frozen=True)
class RolloutHost:
    """A row."""

    rollout: int
    signup_id: SignupId
    generation: Generation
    step: int
    outcome: HostOutcome
    before: str
    since: datetime
    heard_at: datetime | None
    came_at: datetime | None
    what: str | None


def begin(
    tx: WriteTx,
    cell: str,
    image: str,
    *,
    canaries: int,
    step: int,
    pause: int,
    who: str,
    why: str,
) -> RolloutRow:
    """Start one; raises :class:`RolloutOpen` while another of the cell is open."""
    present = newest(tx, cell)
    if present is not None and present.state in OPEN:
        raise RolloutOpen(f"rollout {present.number} is {present.state}")
    number = tx.insert(
        insert(ROLLOUTS).values(
            cell=cell,
            image=image,
            release=0,
            state="going",
            canaries=canaries,
            step=step,
            pause=pause,
            who=who,
            why=why,
            begun_at=tx.now,
            changed_at=tx.now,
        )
    )
    events.note(tx, None, "rollout-started", who, f"{number}: {image}: {why}")
    return get(tx, number)


def move(
    tx: WriteTx,
    number: int,
    frm: AbstractSet[RolloutState],
    to: RolloutState,
    *,
    who: str,
    why: str,
) -> RolloutRow:
    """Compare and set the state; the row then.

    One that goes back takes with it, in the same commit, all hosts that were told the
    new program; when they have returned, the row says still who took it back, and why.
    Raises :class:`StateChanged`, :class:`Unknown` and :class:`ForbiddenMove`.
    """
    astray = [state for state in frm if to not in MOVES[state]]
    if astray:
        raise ForbiddenMove(f"from {words(astray)} no rollout becomes {to}")
    here = (ROLLOUTS.c.number == number, ROLLOUTS.c.state.in_(sorted(frm)))
    values: dict[str, Any] = {"state": to, "changed_at": tx.now}
    if to != "gone-back":
        values |= {"who": who, "why": why}
    if not tx.run(update(ROLLOUTS).where(*here).values(**values)):
        raise StateChanged(f"rollout {number}", get(tx, number).state)
    if to == "going-back":
        told = ROLLOUT_HOSTS.c.outcome.in_(sorted(FORWARD))
        every = update(ROLLOUT_HOSTS).where(ROLLOUT_HOSTS.c.rollout == number, told)
        tx.run(every.values(outcome="back", since=tx.now, heard_at=None))
    events.note(tx, None, f"rollout-{to}", who, f"{number}: {why}")
    return get(tx, number)


def floor_of(tx: ReadTx, cell: str) -> int:
    """The release below which nothing runs again: the highest that was finished."""
    here = (ROLLOUTS.c.cell == cell, ROLLOUTS.c.state == "finished")
    return int(tx.scalar(select(func.max(ROLLOUTS.c.release)).where(*here)) or 0)


def newest(tx: ReadTx, cell: str) -> RolloutRow | None:
    """The newest of the cell, whatever became of it."""
    return _newest(tx, ROLLOUTS.c.cell == cell)


def newest_finished(tx: ReadTx, cell: str) -> RolloutRow | None:
    """The newest that was finished: hosts are launched with its image."""
    return _newest(tx, ROLLOUTS.c.cell == cell, ROLLOUTS.c.state == "finished")


def newest_of_all(tx: ReadTx) -> RolloutRow | None:
    """The newest of any cell, whatever became of it."""
    return _newest(tx)


def newest_open(tx: ReadTx) -> RolloutRow | None:
    """The newest that something is to be done for, of any cell."""
    return _newest(tx, ROLLOUTS.c.state.in_(sorted(OPEN)))


def get(tx: ReadTx, number: int) -> RolloutRow:
    """The row; raises :class:`Unknown`."""
    row = tx.first(select(ROLLOUTS).where(ROLLOUTS.c.number == number))
    if row is None:
        raise Unknown(f"no rollout {number}")
    return RolloutRow(*row)


def _newest(tx: ReadTx, *which: Any) -> RolloutRow | None:
    row = tx.first(select(ROLLOUTS).where(*which).order_by(ROLLOUTS.c.number.desc()))
    return None if row is None else RolloutRow(*row)
