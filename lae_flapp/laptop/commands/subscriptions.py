"""``lae subscriptions``: look at what customers have, and help those that are stuck."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any, get_args

import click

from lae_flapp.laptop import tables
from lae_flapp.laptop.commands.helping import comp, resend, retry
from lae_flapp.laptop.commands.leaving import cancel, delete_data, reactivate
from lae_flapp.laptop.line import Line, run
from lae_flapp.laptop.meant import meant
from lae_flapp.laptop.options import DAY, SIGNUP, asks_daemon, gives_json, paged
from lae_flapp.laptop.pages import Listed
from lae_flapp.laptop.settings import Where
from lae_protocol.looking_messages import DetailAnswer, ListSignups, Named, PageAnswer
from lae_protocol.messages import SignupState


@click.group()
def subscriptions() -> None:
    """See customers' subscriptions, and help those that are stuck."""


def _narrowed(command: Callable[..., Any]) -> Callable[..., Any]:
    """The filters of list and search."""
    for option in (
        click.option("--waiting", is_flag=True, help="Only those with a problem."),
        click.option("--until", type=DAY, help="Only those registered before."),
        click.option("--since", type=DAY, help="Only those registered since then."),
        click.option("--plan", "plan_id", help="Only those of this plan."),
        click.option(
            "--state", type=click.Choice(get_args(SignupState)), help="Only these."
        ),
    ):
        command = option(command)
    return command


@subscriptions.command("list")
@asks_daemon
@gives_json
@paged
@_narrowed
@click.option("--search", "text", help="Part of an address; start of an id or label.")
def list_(**asked: Any) -> None:
    """List subscriptions, newest first."""
    _list(**asked)


@subscriptions.command()
@asks_daemon
@gives_json
@paged
@_narrowed
@click.argument("text")
def search(**asked: Any) -> None:
    """List those with TEXT in their address, or at the start of their id or label."""
    _list(**asked)


def _list(
    *,
    where: Where,
    as_json: bool,
    limit: int | None,
    text: str | None,
    state: str | None,
    plan_id: str | None,
    since: datetime | None,
    until: datetime | None,
    waiting: bool,
) -> None:
    def asked(cursor: str | None, rows: int) -> ListSignups:
        return ListSignups(state, text, cursor, rows, plan_id, since, until, waiting)

    listed = Listed(
        "list_signups",
        asked,
        PageAnswer,
        "signups",
        "No such subscriptions.",
        tables.signup_table,
        tables.signup_cells(),
    )

    async def work(line: Line) -> None:
        await listed.show(line, limit, as_json=as_json)

    run(where, work)


@subscriptions.command()
@asks_daemon
@gives_json
@click.argument("signup", type=SIGNUP)
def show(where: Where, as_json: bool, signup: str) -> None:
    """Show one subscription: what was agreed, what was done, what happened.

    SIGNUP is an id, or anything that finds one alone.
    """

    async def work(line: Line) -> Any:
        named = Named(await meant(line, signup))
        return await line.ask("show_signup", named, DetailAnswer)

    detail = run(where, work)
    if as_json:
        tables.print_json(signup=detail)
    else:
        tables.print_detail(detail)


for _command in (retry, resend, cancel, reactivate, delete_data, comp):
    subscriptions.add_command(_command)
