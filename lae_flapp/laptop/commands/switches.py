"""``lae pause`` and ``lae resume``: what the daemon may not do for a while."""

from __future__ import annotations

from typing import cast, get_args

import click

from lae_flapp.laptop import tables
from lae_flapp.laptop.columns import printable
from lae_flapp.laptop.line import Line, run
from lae_flapp.laptop.options import asks_daemon, changes, gives_json
from lae_flapp.laptop.settings import Where
from lae_protocol.operator_messages import (
    AskSwitches,
    Pause,
    PauseLine,
    Resume,
    Switches,
    SwitchWord,
)

_WHAT = click.Choice(get_args(SwitchWord))
#: What a pause means.
_MEANS = {
    "signups": "no new signup, and no payment page, is begun; the site says why",
    "launches": "no host is launched; who has paid waits, and the site says so",
    "deletions": "nothing is removed: no host, bucket, role, or row of the journal",
    "mails": "no mail is sent; they wait, and the site says so",
}


@click.command()
@asks_daemon
@gives_json
@changes
@click.argument("what", type=_WHAT)
@click.argument("reason")
def pause(where: Where, as_json: bool, dry_run: bool, what: str, reason: str) -> None:
    """Pause signups, launches, deletions or mails, for a REASON.

    Visitors of the site read the reason why signups are paused; of the other pauses
    they read that there is one.  A pause lasts until `lae resume`, also over restarts.
    """
    name = cast("SwitchWord", what)
    told = _ask(where, AskSwitches() if dry_run else Pause(name, reason))
    if as_json:
        tables.print_json(paused=told.paused, done=not dry_run)
        return
    said = "Would pause" if dry_run else "Paused"
    click.echo(f"{said} {what}: {_MEANS[what]}.")
    print_switches(told)


@click.command()
@asks_daemon
@gives_json
@changes
@click.argument("what", type=_WHAT)
def resume(where: Where, as_json: bool, dry_run: bool, what: str) -> None:
    """Let signups, launches, deletions or mails go on, at once."""
    name = cast("SwitchWord", what)
    told = _ask(where, AskSwitches() if dry_run else Resume(name))
    if as_json:
        tables.print_json(paused=told.paused, done=not dry_run)
        return
    click.echo(f"{'Would resume' if dry_run else 'Resumed'} {what}.")
    print_switches(told)


def _ask(where: Where, asked: AskSwitches | Pause | Resume) -> Switches:
    async def work(line: Line) -> Switches:
        return await line.ask(asked)

    return run(where, work)


def print_switches(told: Switches) -> None:
    """What is paused, a line each."""
    for one in told.paused:
        click.echo(f"  {_line(one)}")


def _line(one: PauseLine) -> str:
    since = tables.moment(one.paused_at)
    return printable(f"{one.name}: paused since {since} UTC by {one.who}: {one.why}")
