"""``lae health``: is the daemon well, and what does it say?"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import click

from lae_flapp.laptop import tables
from lae_flapp.laptop.commands.switches import print_switches
from lae_flapp.laptop.line import Line, run
from lae_flapp.laptop.options import WRONG, asks_daemon, gives_json
from lae_flapp.laptop.settings import Where
from lae_protocol.looking_messages import AskHealth, Health
from lae_protocol.operator_messages import AskSwitches, Switches

#: A paid signup that waits for longer needs somebody.
LONG = 600  # s


@click.command()
@asks_daemon
@gives_json
def health(where: Where, as_json: bool) -> None:
    """Say how the daemon is; the exit status is 4 when something needs somebody."""

    async def work(line: Line) -> Any:
        told = await line.ask(AskHealth())
        return told, await line.ask(AskSwitches())

    told, paused = run(where, work)
    wrong = problems(told, paused)
    if as_json:
        tables.print_json(health=told, paused=paused.paused, problems=wrong)
    else:
        _print(told, paused, wrong)
    if wrong:
        raise click.exceptions.Exit(WRONG)


def problems(told: Health, paused: Switches) -> list[str]:
    """What needs somebody; what is paused on purpose is told, and is no problem."""
    found = []
    if not told.canary_opened:
        found.append(
            "the checks of AWS, canary and Stripe have not all passed: see the log"
        )
    elif not told.signups_open and not any(p.name == "signups" for p in paused.paused):
        found.append("signups are closed: see the daemon's log")
    waits = told.oldest_unserved_seconds
    if waits is not None and waits > LONG:
        found.append(
            f"somebody has paid and waits for {_duration(waits)}:"
            " lae subscriptions list --state paid"
        )
    return found


def _print(told: Health, paused: Switches, wrong: list[str]) -> None:
    since = int((datetime.now(UTC) - told.started_at).total_seconds())
    oldest = told.oldest_unserved_seconds
    tables.print_facts(
        ("daemon", f"release {told.release}, {told.environment}, epoch {told.epoch}"),
        ("up for", f"{_duration(since)}, since {tables.moment(told.started_at)} UTC"),
        ("signups", "open" if told.signups_open else "closed"),
        ("seals open", "yes" if told.canary_opened else "not yet"),
        ("paid, unserved", "none" if oldest is None else f"for {_duration(oldest)}"),
        ("inbox", f"{told.inbox_waiting} waiting"),
        ("outbox", f"{told.outbox_waiting} waiting"),
        ("paused", ", ".join(p.name for p in paused.paused) or "nothing"),
    )
    print_switches(paused)
    for one in wrong:
        click.secho(f"PROBLEM: {one}", fg="red", bold=True)


def _duration(seconds: int) -> str:
    """``3 d 4 h``, ``5 min 7 s``: the two largest units."""
    parts: list[str] = []
    for size, name in ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s")):
        count, seconds = divmod(max(0, seconds), size)
        if count or (parts and len(parts) == 1):
            parts.append(f"{count} {name}")
        if len(parts) > 1:
            break
    return " ".join(parts) or "0 s"
