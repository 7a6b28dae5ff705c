"""Rollouts, as operators start, steer and see them."""

from __future__ import annotations

from collections import Counter

from lae_flapp.cell_settings import CellSettings
from lae_flapp.desk.operators.asked import Asker, line_of, reason
from lae_flapp.journal import rollout_hosts, rollouts
from lae_flapp.journal.errors import RolloutOpen
from lae_flapp.journal.rollouts import RolloutRow, RolloutState
from lae_flapp.journal.transaction import ReadTx, WriteTx
from lae_flapp.rollout.seeing import see
from lae_flapp.rollout.states import RolloutBounds
from lae_flapp.rollout.waiting import count_fit, what_it_waits_for
from lae_protocol import rollout_messages as messages
from lae_protocol.messages import Refused
from lae_protocol.process.answer import Refusal
from lae_protocol.rollout_messages import (
    AskRollout,
    OutcomeCount,
    RolloutLine,
    RolloutTrouble,
    RunningLine,
    StartRollout,
    SteerRollout,
)
from lae_provision.hosts.programs import is_reference

MOST_CANARIES = 1000
LONGEST_PAUSE = 7 * 86_400  # s
#: Of hosts that something went wrong with, so many are told.
MOST_TROUBLES = 50

#: Which states may be left which way.
WAYS: dict[str, tuple[frozenset[RolloutState], RolloutState]] = {
    "pause": (frozenset({"going"}), "paused"),
    "resume": (frozenset({"paused"}), "going"),
    "back": (frozenset({"going", "paused"}), "going-back"),
}


async def show_rollout(by: Asker, _: AskRollout) -> messages.RolloutState:
    """How the newest rollout is."""
    cell = _cell(by)
    return await by.read(lambda tx: _state(tx, cell))


async def start(by: Asker, asked: StartRollout) -> messages.RolloutState:
    """Begin one; refused while another is open, and where no host could be told it."""
    await by.who()
    cell, why = _cell(by), reason(asked.why)
    image = _reference(asked.image, cell)
    _check_numbers(asked)

    def started(tx: WriteTx, who: str) -> messages.RolloutState:
        try:
            row = rollouts.begin(
                tx,
                cell.name,
                image,
                canaries=asked.canaries,
                step=asked.step,
                pause=asked.pause,
                who=who,
                why=why,
            )
        except RolloutOpen as e:
            said = f"One rollout at a time: {e}."
            raise Refusal(Refused("not-now", said)) from None
        fit, unfit = count_fit(see(tx, row), RolloutBounds())
        if not fit:
            raise Refusal(Refused("not-now", _nobody(unfit)))
        return _state(tx, cell)

    return await by.write(started)


async def steer(by: Asker, asked: SteerRollout) -> messages.RolloutState:
    """Pause it, let it go on, or take it back."""
    cell, why = _cell(by), reason(asked.why)
    before, after = WAYS[asked.way]

    def steered(tx: WriteTx, who: str) -> messages.RolloutState:
        row = rollouts.get(tx, asked.number)
        if asked.way == "back" and row.state == "finished":
            said = (
                f"Rollout {row.number} is finished: start one of another release, since"
                " none below the floor runs again."
            )
            raise Refusal(Refused("not-now", said))
        rollouts.move(tx, asked.number, before, after, who=who, why=why)
        return _state(tx, cell)

    return await by.write(steered)


def _cell(by: Asker) -> CellSettings:
    (cell,) = by.desk.shop.cells.values()
    return cell


def _reference(text: str, cell: CellSettings) -> str:
    """The whole reference of a program of the cell's; raises :class:`Refusal`."""
    repository = cell.program.repository
    if repository is None:
        said = "The hosts of this deployment run a command, and no rollout changes it."
        raise Refusal(Refused("not-now", said))
    image = f"{repository}@{text}" if text.startswith("sha256:") else text
    if not is_reference(image):
        said = "a program is named sha256:DIGEST, or REGISTRY/NAME@sha256:DIGEST"
        raise Refusal(Refused("malformed", said))
    if image.partition("@")[0] != repository:
        said = f"Hosts take programs of {repository} alone."
        raise Refusal(Refused("malformed", said))
    return image


def _check_numbers(asked: StartRollout) -> None:
    for name, number, least, most in (
        ("canaries", asked.canaries, 1, MOST_CANARIES),
        ("step", asked.step, 1, 100),
        ("pause", asked.pause, 0, LONGEST_PAUSE),
    ):
        if not least <= number <= most:
            said = f"{name} is a number from {least} to {most}"
            raise Refusal(Refused("malformed", said))


def _nobody(unfit: int) -> str:
    if not unfit:
        return "Every host runs it already, or there is no host that could."
    return (
        f"No host can be told it now: {unfit} say a problem, or nothing, or not what"
        " they run (lae hosts list)."
    )


def _state(tx: ReadTx, cell: CellSettings) -> messages.RolloutState:
    newest, finished = (
        rollouts.newest(tx, cell.name),
        rollouts.newest_finished(tx, cell.name),
    )
    running = Counter(
        "" if host.report is None else host.report.program
        for host in rollout_hosts.hosts_of_cell(tx, cell.name)
        if host.state == "ready"
    )
    launched = cell.program.image if finished is None else finished.image
    return messages.RolloutState(
        rollout=None if newest is None else _line(tx, newest),
        launched=launched or "",
        floor=rollouts.floor_of(tx, cell.name),
        running=tuple(RunningLine(*one) for one in running.most_common()),
    )


def _line(tx: ReadTx, row: RolloutRow) -> RolloutLine:
    seen, bounds = see(tx, row), RolloutBounds()
    hosts = rollout_hosts.of(tx, row.number)
    fit, unfit = count_fit(seen, bounds)
    troubles = [
        RolloutTrouble(host.signup_id, host.outcome, host.what)
        for host in hosts
        if host.what is not None
    ]
    outcomes = Counter(host.outcome for host in hosts)
    return line_of(
        RolloutLine,
        row,
        outcomes=tuple(OutcomeCount(*one) for one in outcomes.most_common()),
        left=fit,
        unfit=unfit,
        waits=what_it_waits_for(seen, bounds),
        troubles=tuple(troubles[:MOST_TROUBLES]),
    )
