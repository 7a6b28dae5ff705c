"""What a rollout sees of the journal: each host of its cell by its last report."""

from __future__ import annotations

from datetime import timedelta

from lae_flapp.journal import epoch, rollout_hosts
from lae_flapp.journal.rollout_hosts import HostOfCell
from lae_flapp.journal.rollouts import RolloutHost, RolloutRow
from lae_flapp.journal.transaction import ReadTx
from lae_flapp.rollout.states import HostSeen, Rollout, RolloutSeen, ToldHost

#: Customers whose hosts serve.
SERVED = frozenset({"active", "past-due", "suspended"})
#: Those of them who may write.
WRITING = frozenset({"active", "past-due"})


def see(tx: ReadTx, rollout: RolloutRow) -> RolloutSeen:
    """Look at a rollout and at all hosts of its cell."""
    rows = {
        (row.signup_id, row.generation): row
        for row in rollout_hosts.of(tx, rollout.number)
    }
    found = rollout_hosts.hosts_of_cell(tx, rollout.cell, rollout.number)
    return RolloutSeen(
        rollout=Rollout(
            number=rollout.number,
            image=rollout.image,
            state=rollout.state,
            canaries=rollout.canaries,
            step=rollout.step,
            pause=timedelta(seconds=rollout.pause),
        ),
        hosts=tuple(
            _seen(host, rows.get((host.signup_id, host.generation)), rollout)
            for host in found
        ),
        now=tx.now,
        up=epoch.taken_at(tx),
    )


def _seen(host: HostOfCell, row: RolloutHost | None, rollout: RolloutRow) -> HostSeen:
    report = host.report
    capped = report is not None and report.capped
    refused = report is not None and report.program_refused == rollout.image
    return HostSeen(
        signup_id=host.signup_id,
        generation=host.generation,
        zone=host.zone,
        alive=host.state == "ready",
        wanted=host.signup_state in SERVED,
        writes=host.signup_state in WRITING,
        program="" if report is None else report.program,
        ready=report is not None and report.phase == "ready",
        # What a client met is the client's doing.
        problem=None if report is None or capped else report.problem,
        trouble=report.program_trouble if report is not None and refused else "",
        heard=host.reported_at,
        told=None if row is None else _told(row),
    )


def _told(row: RolloutHost) -> ToldHost:
    return ToldHost(
        step=row.step,
        outcome=row.outcome,
        before=row.before,
        since=row.since,
        heard_at=row.heard_at,
        came_at=row.came_at,
        what=row.what,
    )
