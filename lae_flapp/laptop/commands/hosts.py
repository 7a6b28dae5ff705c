"""``lae hosts``: customers' hosts, and what they wrote to their console."""

from __future__ import annotations

from typing import Any

import click

from lae_flapp.laptop import tables
from lae_flapp.laptop.columns import Column, printable
from lae_flapp.laptop.line import Line, run
from lae_flapp.laptop.meant import meant
from lae_flapp.laptop.nouns import Noun, list_command
from lae_flapp.laptop.options import SIGNUP, asks_daemon, gives_json
from lae_flapp.laptop.settings import Where
from lae_protocol.operator_messages import (
    AskConsole,
    ListHosts,
)

#: Seconds that the cloud may need, beside ours.
OUTSIDE = 30.0


@click.group()
def hosts() -> None:
    """See customers' hosts, and read their consoles."""


HOSTS = Noun(
    ListHosts,
    "hosts",
    "No such hosts.",
    wide=(
        (Column("signup"), lambda h: h.signup_id),
        (Column("no"), lambda h: str(h.generation)),
        (tables.state(), lambda h: h.state),
        (Column("grid"), lambda h: h.grid_label),
        (Column("instance"), lambda h: h.instance_id or ""),
        (Column("address"), lambda h: h.address or ""),
        (Column("launched (UTC)"), lambda h: tables.moment(h.launched_at)),
        (Column("heard (UTC)"), lambda h: tables.moment(h.reported_at)),
    ),
    narrow=(
        (Column("signup"), lambda h: h.signup_id),
        (Column("no"), lambda h: str(h.generation)),
        (tables.state(), lambda h: h.state),
        (
            tables.text("instance, heard"),
            lambda h: f"{h.instance_id or ''} {tables.moment(h.reported_at)}".strip(),
        ),
    ),
    filters=(click.option("--state", help="Only these, gone ones too."),),
)

hosts.add_command(
    list_command(
        HOSTS, "List hosts that are not gone, of the newest subscription first."
    )
)


@hosts.command()
@asks_daemon
@gives_json
@click.argument("signup", type=SIGNUP)
def console(where: Where, as_json: bool, signup: str) -> None:
    """Print what the host of a subscription wrote to its console.

    It is the cloud's copy, which may be some minutes old; furls and keys in it are
    replaced.
    """

    async def work(line: Line) -> Any:
        asked = AskConsole(await meant(line, signup))
        return await line.ask(asked, OUTSIDE)

    told = run(where, work)
    if as_json:
        tables.print_json(console=told)
        return
    if told.text is None:
        click.echo(
            f"The cloud has nothing of {told.instance_id}'s console yet.", err=True
        )
        return
    click.echo(f"{told.instance_id}, copied {tables.moment(told.at)} UTC", err=True)
    if told.cut:
        click.echo("(the beginning is left out)", err=True)
    for one in told.text.splitlines():
        click.echo(printable(one.replace("\t", "    ")))
