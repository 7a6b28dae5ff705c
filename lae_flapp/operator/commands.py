"""``lae subscriptions`` and ``lae events``: looking after customers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import click

from lae_flapp.operator import tables
from lae_flapp.operator.line import Line, furl_file, run
from lae_protocol.ids import MalformedId, SignupId, parse_signup_id
from lae_protocol.messages import (
    DetailAnswer,
    DoneAnswer,
    EventRow,
    EventsAnswer,
    EventsSince,
    ListSignups,
    Named,
    PageAnswer,
    SignupRow,
    SignupState,
)

#: The daemon gives at most so many rows at once.
PAGE = 500
#: Seconds that one question waits when a log is followed.
FOLLOW = 15


def _furl_option(command: Callable[..., Any]) -> Callable[..., Any]:
    return click.option(
        "--furl-file",
        type=click.Path(path_type=Path),
        default=furl_file,
        help="File with your operator furl (mode 600).",
    )(command)


def _json_option(command: Callable[..., Any]) -> Callable[..., Any]:
    return click.option(
        "--json", "as_json", is_flag=True, help="For programs: one JSON object."
    )(command)


class _SignupIdType(click.ParamType[SignupId]):
    name = "signup"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> SignupId:
        """Refuse early what can be no id."""
        try:
            return parse_signup_id(value)
        except MalformedId:
            self.fail(f"{value!r} is no signup id (su and 20 characters)", param, ctx)


_SIGNUP = _SignupIdType()


@click.group()
def subscriptions() -> None:
    """See customers' subscriptions, and help those that are stuck."""


@subscriptions.command("list")
@_furl_option
@_json_option
@click.option("--state", type=click.Choice(get_args(SignupState)), help="Only these.")
@click.option("--search", "text", help="Part of an address; start of an id or label.")
@click.option("--limit", default=100, show_default=True, type=click.IntRange(1))
def list_(
    furl_file: Path, as_json: bool, state: str | None, text: str | None, limit: int
) -> None:
    """List subscriptions, newest first."""

    async def work(line: Line) -> tuple[list[SignupRow], bool]:
        rows: list[SignupRow] = []
        cursor = None
        while True:
            asked = ListSignups(state, text, cursor, min(PAGE, limit - len(rows)))
            page = await line.ask("list_signups", asked, PageAnswer)
            rows += page.rows
            cursor = page.cursor
            if cursor is None or len(rows) >= limit:
                return rows, cursor is not None

    rows, more = run(furl_file, work)
    if as_json:
        tables.print_json(signups=rows, more=more)
    elif rows:
        tables.print_rows(tuple(rows), more)
    else:
        click.echo("No such subscriptions.")


@subscriptions.command()
@_furl_option
@_json_option
@click.argument("signup", type=_SIGNUP)
def show(furl_file: Path, as_json: bool, signup: SignupId) -> None:
    """Show one subscription: what was agreed, what was done, what happened."""

    async def work(line: Line) -> Any:
        return await line.ask("show_signup", Named(signup), DetailAnswer)

    detail = run(furl_file, work)
    if as_json:
        tables.print_json(signup=detail)
    else:
        tables.print_detail(detail)


@subscriptions.command()
@_furl_option
@click.argument("signup", type=_SIGNUP)
def retry(furl_file: Path, signup: SignupId) -> None:
    """Try what is stuck now, not when its turn comes."""

    async def work(line: Line) -> Any:
        return await line.ask("retry_signup", Named(signup), DoneAnswer)

    done = run(furl_file, work)
    click.echo(f"{signup} is {done.view.state}; it is tried again now.")
    click.echo(f"Follow it with: lae events -f {signup}")


@click.command()
@_furl_option
@_json_option
@click.option("-f", "--follow", is_flag=True, help="Go on as more happens.")
@click.option("--since", default=0, help="Only what has a greater number.")
@click.argument("signup", type=_SIGNUP, required=False)
def events(
    furl_file: Path, as_json: bool, follow: bool, since: int, signup: SignupId | None
) -> None:
    """Print the event log of one subscription, or of the whole deployment."""
    whole = signup is None

    async def follows(line: Line) -> None:
        number, patience = since, 0
        while True:
            asked = EventsSince(signup, number, patience)
            page = await line.ask("events", asked, EventsAnswer, patience)
            number, patience = page.last_number, FOLLOW
            for event in page.events:
                if as_json:
                    tables.print_json(one_line=True, event=event)
                else:
                    click.echo(tables.event_line(event, whole=whole))

    async def reads(line: Line) -> list[EventRow]:
        read: list[EventRow] = []
        while True:
            number = read[-1].number if read else since
            asked = EventsSince(signup, number)
            page = await line.ask("events", asked, EventsAnswer)
            if not page.events:
                return read
            read += page.events

    if follow:
        run(furl_file, follows)
        return
    read = run(furl_file, reads)
    if as_json:
        tables.print_json(events=read)
    else:
        tables.print_events(tuple(read), whole=whole)
