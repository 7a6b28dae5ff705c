"""What became of the hosts in rollouts, and what each is told to run."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from attrs import define
from sqlalchemy import exists, func, insert, or_, select, update

from lae_flapp.journal import events, rollouts
from lae_flapp.journal.cells import CELLS
from lae_flapp.journal.hosts import HOSTS, HostState
from lae_flapp.journal.rollouts import (
    FORWARD,
    ROLLOUT_HOSTS,
    ROLLOUTS,
    HostOutcome,
    RolloutHost,
)
from lae_flapp.journal.signups import SIGNUPS
from lae_flapp.journal.transaction import ReadTx, WriteTx
from lae_flapp.journal.usage import read_report
from lae_protocol.host_messages import Report
from lae_protocol.ids import Generation, SignupId
from lae_protocol.messages import SignupState


@define(frozen=True)
class HostOfCell:
    """A host, and whose; *report* is its last one."""

    signup_id: SignupId
    generation: Generation
    zone: str
    signup_state: SignupState
    state: HostState
    reported_at: datetime | None
    report: Report | None


def tell(
    tx: WriteTx,
    number: int,
    signup_id: SignupId,
    generation: Generation,
    *,
    step: int,
    before: str,
) -> None:
    """Have this host told the rollout's program at its next report."""
    tx.run(
        insert(ROLLOUT_HOSTS).values(
            rollout=number,
            signup_id=signup_id,
            generation=generation,
            step=step,
            outcome="told",
            before=before,
            since=tx.now,
        )
    )


def mark(
    tx: WriteTx,
    number: int,
    signup_id: SignupId,
    generation: Generation,
    *,
    outcome: HostOutcome,
    what: str | None,
) -> None:
    """Say what became of a host, and what went wrong with it."""
    values: dict[str, Any] = {"outcome": outcome, "what": what, "since": tx.now}
    if outcome == "back":
        values["heard_at"] = None
    tx.run(_at(number, signup_id, generation).values(**values))
    if what is not None:
        why = f"{number}: {outcome}: {what}"
        events.note(tx, signup_id, "rollout-host-failed", "daemon", why)


def heard(
    tx: WriteTx,
    signup_id: SignupId,
    generation: Generation,
    report: Report,
) -> None:
    """Note that a host spoke, is told its program in the answer, and may run it."""
    row = _last_of(tx, signup_id, generation)
    if row is None:
        return
    values: dict[str, Any] = {}
    if row.heard_at is None and row.outcome in {"told", "back"}:
        values["heard_at"] = tx.now
    rollout = rollouts.get(tx, row.rollout)
    runs = row.outcome == "told" and report.program == rollout.image
    if runs and row.came_at is None:
        values["came_at"] = tx.now
    if values:
        tx.run(_at(row.rollout, signup_id, generation).values(**values))
    if runs and report.release > rollout.release:
        here = update(ROLLOUTS).where(ROLLOUTS.c.number == row.rollout)
        tx.run(here.values(release=report.release))


def wished(
    tx: ReadTx, cell: str, signup_id: SignupId, generation: Generation
) -> tuple[str, int]:
    """What a host shall run (empty: whatever it does), and the floor of releases."""
    finished = rollouts.newest_finished(tx, cell)
    floor = rollouts.floor_of(tx, cell)
    latest = rollouts.newest(tx, cell)
    for rollout in (latest, finished):
        if rollout is None:
            continue
        row = _row(tx, rollout.number, signup_id, generation)
        if row is not None and row.outcome != "left":
            forward = row.outcome in FORWARD
            return (rollout.image if forward else row.before), floor
    return ("" if finished is None else finished.image), floor


def of(tx: ReadTx, number: int) -> tuple[RolloutHost, ...]:
    """The hosts that a rollout told something."""
    query = select(ROLLOUT_HOSTS).where(ROLLOUT_HOSTS.c.rollout == number)
    ordered = query.order_by(ROLLOUT_HOSTS.c.step, ROLLOUT_HOSTS.c.signup_id)
    return tuple(RolloutHost(*row) for row in tx.all(ordered))


def outcomes(tx: ReadTx, number: int) -> dict[HostOutcome, int]:
    """How many hosts of a rollout are so."""
    query = select(ROLLOUT_HOSTS.c.outcome, func.count().label("hosts"))
    here = query.where(ROLLOUT_HOSTS.c.rollout == number)
    grouped = here.group_by(ROLLOUT_HOSTS.c.outcome)
    return {row.outcome: int(row.hosts) for row in tx.all(grouped)}


def hosts_of_cell(tx: ReadTx, cell: str, number: int = 0) -> tuple[HostOfCell, ...]:
    """All hosts of a cell that are not gone, and those that this rollout told."""
    told = exists().where(
        ROLLOUT_HOSTS.c.rollout == number,
        ROLLOUT_HOSTS.c.signup_id == HOSTS.c.signup_id,
        ROLLOUT_HOSTS.c.generation == HOSTS.c.generation,
    )
    query = (
        select(
            HOSTS.c.signup_id,
            HOSTS.c.generation,
            CELLS.c.zone,
            SIGNUPS.c.state.label("signup_state"),
            HOSTS.c.state,
            HOSTS.c.reported_at,
            HOSTS.c.report,
        )
        .join(SIGNUPS, SIGNUPS.c.signup_id == HOSTS.c.signup_id)
        .join(CELLS, CELLS.c.name == SIGNUPS.c.cell)
        .where(or_(HOSTS.c.state != "gone", told), SIGNUPS.c.cell == cell)
    )
    return tuple(
        HostOfCell(
            signup_id=row.signup_id,
            generation=row.generation,
            zone=row.zone,
            signup_state=row.signup_state,
            state=row.state,
            reported_at=row.reported_at,
            report=read_report(row.report),
        )
        for row in tx.all(query.order_by(HOSTS.c.signup_id))
    )


def images(tx: ReadTx) -> frozenset[str]:
    """What hosts are told, or may be: of open rollouts, of finished ones the newest,
    and what their hosts go back to.
    """
    found: set[str] = set()
    for row in tx.all(select(ROLLOUTS.c.cell).distinct()):
        for rollout in (
            rollouts.newest(tx, row.cell),
            rollouts.newest_finished(tx, row.cell),
        ):
            if rollout is not None:
                found.add(rollout.image)
                found.update(one.before for one in of(tx, rollout.number))
    return frozenset(found)


def _row(
    tx: ReadTx, number: int, signup_id: SignupId, generation: Generation
) -> RolloutHost | None:
    row = tx.first(
        select(ROLLOUT_HOSTS).where(
            ROLLOUT_HOSTS.c.rollout == number,
            ROLLOUT_HOSTS.c.signup_id == signup_id,
            ROLLOUT_HOSTS.c.generation == generation,
        )
    )
    return None if row is None else RolloutHost(*row)


def _last_of(
    tx: ReadTx, signup_id: SignupId, generation: Generation
) -> RolloutHost | None:
    """The host's row in the newest rollout that told it something."""
    query = select(ROLLOUT_HOSTS).where(
        ROLLOUT_HOSTS.c.signup_id == signup_id,
        ROLLOUT_HOSTS.c.generation == generation,
    )
    row = tx.first(query.order_by(ROLLOUT_HOSTS.c.rollout.desc()))
    return None if row is None else RolloutHost(*row)


def _at(number: int, signup_id: SignupId, generation: Generation) -> Any:
    return update(ROLLOUT_HOSTS).where(
        ROLLOUT_HOSTS.c.rollout == number,
        ROLLOUT_HOSTS.c.signup_id == signup_id,
        ROLLOUT_HOSTS.c.generation == generation,
    )
