"""``lae hosts``: customers' hosts, and what they wrote to their console."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

from lae_flapp.laptop import tables
from lae_flapp.laptop.columns import Column, printable
from lae_flapp.laptop.commands.helping import described, done_row
from lae_flapp.laptop.line import Line, run
from lae_flapp.laptop.meant import meant
from lae_flapp.laptop.nouns import Noun, list_command
from lae_flapp.laptop.options import (
    SIGNUP,
    asks_daemon,
    changes,
    gives_json,
    loses,
)
from lae_flapp.laptop.settings import Where
from lae_flapp.laptop.several import Several, run_each, several
from lae_protocol.looking_messages import SignupDetail
from lae_protocol.messages import Done
from lae_protocol.operator_messages import (
    AskConsole,
    ListHosts,
    ReplaceHost,
)

#: Seconds that the cloud may need, beside ours.
OUTSIDE = 30.0


@click.group()
def hosts() -> None:
    """See customers' hosts, read their consoles, and replace them."""


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

    It is the cloud's newest copy; furls and keys in it are replaced.
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


@hosts.command()
@asks_daemon
@gives_json
@changes
@loses
@click.option("--reason", required=True, help="For the event log.")
@several
def replace(
    where: Where,
    as_json: bool,
    dry_run: bool,
    yes: bool,
    reason: str,
    chosen: Several,
) -> None:
    """Replace the hosts of served customers, one for one, under the same furl.

    The instance is terminated, and the next one launched: the grid cannot be reached
    until that is ready, some minutes later.  The data stays in the bucket.
    """

    async def act(line: Line, detail: SignupDetail) -> Done:
        row = detail.row
        return await line.ask(ReplaceHost(row.signup_id, row.instance_id, reason))

    async def sure(line: Line, details: Sequence[SignupDetail]) -> None:
        named = ", ".join(described(one) for one in details[:5])
        more = ", ..." if len(details) > 5 else ""  # noqa: PLR2004  (as many are named)
        question = (
            f"Replace the host of {named}{more}? Until the next one is ready nobody"
            " reaches the grid."
        )
        await line.sure(question, yes=yes)

    def say(detail: SignupDetail, done: Done | None) -> None:
        if done is None:
            instance = detail.row.instance_id or "which is none now"
            click.echo(f"Would replace the host of {described(detail)}, {instance}.")
        else:
            click.echo(f"The host of {detail.row.signup_id} is replaced.")

    run_each(
        where,
        chosen,
        act,
        row=done_row,
        say=say,
        as_json=as_json,
        dry_run=dry_run,
        sure=sure,
    )
