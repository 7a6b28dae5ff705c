"""``lae rollout``: a new program for every host, step by step, or back again."""

from __future__ import annotations

from typing import Any

import click

from lae_flapp.laptop import tables
from lae_flapp.laptop.columns import printable
from lae_flapp.laptop.line import Line, run
from lae_flapp.laptop.options import AGE, asks_daemon, changes, gives_json
from lae_flapp.laptop.settings import Where
from lae_protocol.question import Question
from lae_protocol.rollout_messages import (
    AskRollout,
    RolloutLine,
    RolloutState,
    RolloutWay,
    StartRollout,
    SteerRollout,
)

_NONE = "No rollout is under way."
_REASON = click.option("--reason", required=True, help="For the event log.")
#: What a command does, and what it says afterwards.
_WORDS: dict[RolloutWay, tuple[str, str]] = {
    "pause": ("pause", "is paused: no host is told the program until it is resumed"),
    "resume": ("resume", "goes on"),
    "back": ("take back", "goes back: its hosts are told what they ran before"),
}


@click.group()
def rollout() -> None:
    """Bring a new program to every host, step by step, or take it back."""


@rollout.command()
@asks_daemon
@gives_json
@changes
@click.argument("image", metavar="DIGEST")
@click.option(
    "--canary",
    "canaries",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="Hosts that are told it first.",
)
@click.option(
    "--step",
    type=click.IntRange(1, 100),
    default=10,
    show_default=True,
    help="Percent of all hosts in each step after that.",
)
@click.option(
    "--pause", type=AGE, default="30m", show_default=True, help="Before each step."
)
@_REASON
def start(
    where: Where,
    as_json: bool,
    dry_run: bool,
    image: str,
    canaries: int,
    step: int,
    pause: int,
    reason: str,
) -> None:
    """Bring the program DIGEST (sha256:...) to every host.

    The canaries are told it first.  Each host must pass its self-test and say no
    problem; at the canaries and at some hosts of each step a client writes, reads and
    deletes.  Where that fails, every host is told to run what it ran before.  One
    rollout is under way at a time.
    """
    asked: Question[RolloutState] = StartRollout(image, canaries, step, pause, reason)
    told = _ask(where, AskRollout() if dry_run else asked)
    if as_json:
        tables.print_json(rollout=told, done=not dry_run)
        return
    if dry_run:
        hosts = sum(one.hosts for one in told.running if one.image)
        click.echo(
            f"Would bring {printable(image)} to {hosts} hosts: to {canaries} first,"
            f" then in steps of {step} %, with {pause} s before each."
        )
    print_state(told)


@rollout.command()
@asks_daemon
@gives_json
def status(where: Where, as_json: bool) -> None:
    """Show how the newest rollout is, and what hosts run."""
    told = _ask(where, AskRollout())
    if as_json:
        tables.print_json(rollout=told)
    else:
        print_state(told)


@rollout.command()
@asks_daemon
@gives_json
@changes
@_REASON
def pause(where: Where, as_json: bool, dry_run: bool, reason: str) -> None:
    """Tell no more hosts the program, until it is resumed.

    Hosts that were told it are judged all the same.
    """
    _steer(where, "pause", reason, as_json=as_json, dry_run=dry_run)


@rollout.command()
@asks_daemon
@gives_json
@changes
@_REASON
def resume(where: Where, as_json: bool, dry_run: bool, reason: str) -> None:
    """Let a paused rollout go on."""
    _steer(where, "resume", reason, as_json=as_json, dry_run=dry_run)


@rollout.command()
@asks_daemon
@gives_json
@changes
@_REASON
def back(where: Where, as_json: bool, dry_run: bool, reason: str) -> None:
    """Have every host of the rollout run what it ran before.

    That is possible until the rollout is finished; then the floor has risen.
    """
    _steer(where, "back", reason, as_json=as_json, dry_run=dry_run)


def _steer(
    where: Where, way: RolloutWay, reason: str, *, as_json: bool, dry_run: bool
) -> None:
    """The rollout that is meant is the one that is seen: by its number."""

    async def work(line: Line) -> RolloutState:
        seen = await line.ask(AskRollout())
        if dry_run:
            return seen
        if seen.rollout is None:
            raise click.ClickException(_NONE)
        return await line.ask(SteerRollout(seen.rollout.number, way, reason))

    told = run(where, work)
    if as_json:
        tables.print_json(rollout=told, done=not dry_run)
        return
    verb, said = _WORDS[way]
    if told.rollout is None:
        click.echo(f"Would {verb} the rollout. {_NONE}")
        return
    number = told.rollout.number
    click.echo(
        f"Would {verb} rollout {number}." if dry_run else f"Rollout {number} {said}."
    )
    print_state(told)


def _ask(where: Where, asked: Question[RolloutState]) -> RolloutState:
    async def work(line: Line) -> RolloutState:
        return await line.ask(asked)

    return run(where, work)


def print_state(told: RolloutState) -> None:
    """The rollout, then what hosts run."""
    facts: list[tuple[str, str]] = []
    if told.rollout is None:
        facts.append(("rollout", "none yet"))
    else:
        facts += _facts(told.rollout)
    facts.append(("new hosts run", told.launched or "the command of the settings"))
    facts.append(("floor", f"release {told.floor}" if told.floor else "none"))
    facts += [
        ("hosts", f"{one.hosts} run {one.image or 'what they do not say'}")
        for one in told.running
    ]
    tables.print_facts(*facts)


def _facts(line: RolloutLine) -> list[tuple[str, str]]:
    counts: list[Any] = [f"{one.hosts} {one.outcome}" for one in line.outcomes]
    counts += [f"{line.left} not told yet"] if line.left else []
    counts += [f"{line.unfit} that cannot be told now"] if line.unfit else []
    release = f" (release {line.release})" if line.release else ""
    return [
        ("rollout", f"{line.number}, {line.state}"),
        ("program", f"{line.image}{release}"),
        ("begun", f"{tables.moment(line.begun_at)} UTC"),
        ("moved", f"{tables.moment(line.changed_at)} UTC by {line.who}: {line.why}"),
        (
            "pace",
            f"{line.canaries} first, then {line.step} %, {line.pause} s before each",
        ),
        ("of its hosts", ", ".join(counts) or "none"),
        *([("waits", line.waits)] if line.waits else []),
        *(
            ("trouble", f"{one.signup_id}, {one.outcome}: {one.what}")
            for one in line.troubles
        ),
    ]
