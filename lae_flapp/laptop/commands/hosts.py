"""``lae hosts``: customers' hosts, and what they wrote to their console."""

from __future__ import annotations

from typing import Any

import click

from lae_flapp.laptop import tables
from lae_flapp.laptop.columns import Column, columns, printable
from lae_flapp.laptop.line import Line, run
from lae_flapp.laptop.meant import meant
from lae_flapp.laptop.options import SIGNUP, asks_daemon, gives_json, paged
from lae_flapp.laptop.pages import Listed
from lae_flapp.laptop.settings import Where
from lae_protocol.operator_messages import (
    AskConsole,
    ConsoleAnswer,
    HostLine,
    HostsAnswer,
    ListHosts,
)

#: Seconds that the cloud may need, beside ours.
OUTSIDE = 30.0


@click.group()
def hosts() -> None:
    """See customers' hosts, and read their consoles."""


def _table() -> Any:
    if tables.narrow():
        return columns(
            Column("signup"),
            Column("no"),
            tables.state(),
            tables.text("instance, heard"),
        )
    return columns(
        *(Column("signup"), Column("no"), tables.state(), Column("grid")),
        *(Column("instance"), Column("address")),
        *(Column("launched (UTC)"), Column("heard (UTC)")),
    )


def _cells(h: HostLine) -> tuple[str, ...]:
    instance, heard = h.instance_id or "", tables.moment(h.reported_at)
    if tables.narrow():
        last = f"{instance} {heard}".strip()
        return (h.signup_id, str(h.generation), h.state, last)
    launched = tables.moment(h.launched_at)
    return (
        *(h.signup_id, str(h.generation), h.state, h.grid_label),
        *(instance, h.address or "", launched, heard),
    )


@hosts.command("list")
@asks_daemon
@gives_json
@paged
@click.option("--state", help="Only these, gone ones too.")
def list_(where: Where, as_json: bool, limit: int | None, state: str | None) -> None:
    """List hosts that are not gone, of the newest subscription first."""
    listed = Listed(
        "list_hosts",
        lambda cursor, rows: ListHosts(state, cursor, rows),
        HostsAnswer,
        "hosts",
        "No such hosts.",
        _table,
        _cells,
    )

    async def work(line: Line) -> None:
        await listed.show(line, limit, as_json=as_json)

    run(where, work)


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
        return await line.ask("console", asked, ConsoleAnswer, OUTSIDE)

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
