"""``lae health``: what needs somebody now, and how is the daemon?"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import click

from lae_flapp.laptop import tables
from lae_flapp.laptop.columns import printable
from lae_flapp.laptop.commands.switches import print_switches
from lae_flapp.laptop.line import Away, Line, run
from lae_flapp.laptop.options import AWAY, WRONG, asks_daemon, gives_json
from lae_flapp.laptop.settings import Where
from lae_protocol.looking_messages import AskHealth, Health, Need
from lae_protocol.operator_messages import AskSwitches, Switches

#: A paid signup that waits for longer needs somebody.
LONG = 600  # s


@click.command()
@asks_daemon
@gives_json
def health(where: Where, as_json: bool) -> None:
    """Say what needs somebody now, and how the daemon is.

    Each thing comes with its page of the manual and the commands to begin with: causes
    of trouble, signups that cannot go on, mails that were refused, hosts that cannot
    serve.  The exit status is 4 when something needs somebody, 3 when the daemon does
    not answer.
    """

    async def work(line: Line) -> Any:
        told = await line.ask(AskHealth())
        return told, await line.ask(AskSwitches())

    try:
        told, paused = run(where, work)
    except Away as e:
        _say_away(e.message, as_json=as_json)
        raise click.exceptions.Exit(AWAY) from None
    needs = (*told.needs, *unjournaled(told, paused))
    if as_json:
        tables.print_json(
            health=told, paused=paused.paused, problems=[n.what for n in needs]
        )
    else:
        print_needs(needs)
        _print(told, paused)
    if needs:
        raise click.exceptions.Exit(WRONG)


def unjournaled(told: Health, paused: Switches) -> list[Need]:
    """What needs somebody, and is no cause yet: that lasts too short to be mailed.
    What is paused on purpose is told, and is no problem.
    """
    found = []
    kinds = {need.kind for need in told.needs}
    on_purpose = any(p.name == "signups" for p in paused.paused)
    closed = told.closed_because
    if not told.canary_opened and closed is None:
        closed = "the checks of AWS, canary and Stripe have not all passed"
    shut = not told.canary_opened or (not told.signups_open and not on_purpose)
    if shut and not kinds & {"closed", "journal-full"}:
        found.append(
            _need(
                "closed",
                f"no signups are taken: {closed or 'the log says why'}",
                "S4SignupsClosed",
                "journalctl -u s4-daemon -p warning -n 50",
            )
        )
    waits = told.oldest_unserved_seconds
    if waits is not None and waits > LONG and not kinds & {"signup", "signup-late"}:
        found.append(
            _need(
                "signup-late",
                f"somebody has paid and waits for {_duration(waits)}",
                "S4PaidNotReady",
                "lae subscriptions list --state paid",
            )
        )
    return found


def _need(kind: str, what: str, section: str, *commands: str) -> Need:
    page = f"docs/alerts.rst#{section.lower()}"
    return Need(kind, "", what, None, "page", page, commands)


def _say_away(problem: str, *, as_json: bool) -> None:
    """The daemon cannot say what is wrong: say where to look on its machine."""
    away = _need(
        "daemon-down",
        problem,
        "S4DaemonDown",
        "systemctl status s4-daemon",
        "journalctl -u s4-daemon -p err -n 50",
        "df -h /var/lib/s4",
    )
    if as_json:
        tables.print_json(health=None, needs=[away], problems=[problem])
        return
    print_needs((away,))
    click.echo(
        "These commands are for the daemon's machine; customers' hosts serve on."
    )


def print_needs(needs: Sequence[Need]) -> None:
    """What, since when, the page, the commands: those that wake somebody first."""
    if not needs:
        click.echo("Nothing needs you.")
    for need in needs:
        loud = need.severity == "page"
        what, *quoted = need.what.splitlines() or [""]
        head = f"{'NOW' if loud else 'BY DAY':<6}  {what}"
        if need.subject and need.subject.partition(" ")[0] not in need.what:
            head += f" ({need.subject})"
        click.secho(printable(head), fg="red" if loud else "yellow", bold=loud)
        for line in quoted:
            click.echo(f"        | {printable(line)}")
        if need.since is not None:
            lasted = int((datetime.now(UTC) - need.since).total_seconds())
            since = tables.moment(need.since)
            click.echo(f"        for {_duration(lasted)}, since {since} UTC")
        click.echo(f"        {need.page}")
        for command in need.commands:
            click.echo(f"        $ {printable(command)}")
    click.echo()


def _print(told: Health, paused: Switches) -> None:
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
