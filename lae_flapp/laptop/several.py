"""One command for several signups, over one connection: named, read from standard
input, or all that a filter leaves.
"""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from functools import wraps
from typing import Any, TypeVar, get_args

import click
from attrs import define

from lae_flapp.laptop import tables
from lae_flapp.laptop.line import Away, Line, run
from lae_flapp.laptop.meant import meant
from lae_flapp.laptop.options import SignupText
from lae_flapp.laptop.settings import Where
from lae_protocol.looking_messages import ListSignups, ShowSignup, SignupDetail
from lae_protocol.messages import SignupState

K = TypeVar("K")
T = TypeVar("T")

#: Stands for the lines of standard input.
INPUT = "-"
#: Of many, so many are named in a question.
NAMED = 5
#: Rows of one question.
_PAGE = 500


class _SignupOrInput(SignupText):
    """A signup, or ``-``."""

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> str:
        """Leave ``-`` as it is."""
        return INPUT if value == INPUT else super().convert(value, param, ctx)


@define(frozen=True)
class Several:
    """Which signups: *texts* that each mean one, and a filter's."""

    texts: tuple[str, ...]
    filters: Mapping[str, Any]

    @property
    def is_one(self) -> bool:
        """Whether one is named, so that its failure is the command's."""
        return len(self.texts) == 1 and INPUT not in self.texts and not self.filters

    async def look_up(self, line: Line) -> list[SignupDetail]:
        """Find each once, in the order given; raises a ClickException."""
        found = [await meant(line, text) for text in self._all_texts()]
        cursor = None
        while self.filters:
            asked = ListSignups(cursor=cursor, limit=_PAGE, **self.filters)
            page = await line.ask(asked)
            found += [row.signup_id for row in page.rows]
            cursor = page.cursor
            if cursor is None:
                break
        return [await line.ask(ShowSignup(one)) for one in dict.fromkeys(found)]

    def _all_texts(self) -> list[str]:
        read = sys.stdin.read().split() if INPUT in self.texts else []
        return [*(text for text in self.texts if text != INPUT), *read]


def several(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give the command ``chosen``: the signups that it is about."""

    @wraps(command)
    def choosing(
        *,
        signups: tuple[str, ...],
        waiting: bool,
        state: str | None,
        plan_id: str | None,
        **rest: Any,
    ) -> Any:
        given = {"waiting": waiting, "state": state, "plan_id": plan_id}
        filters = {name: value for name, value in given.items() if value}
        if not signups and not filters:
            raise click.UsageError(
                "Name a signup, '-' for standard input, or --waiting, --state, --plan."
            )
        return command(chosen=Several(signups, filters), **rest)

    for option in (
        click.argument("signups", metavar="SIGNUP...", nargs=-1, type=_SignupOrInput()),
        click.option("--plan", "plan_id", help="All those of this plan."),
        click.option(
            "--state", type=click.Choice(get_args(SignupState)), help="All in this."
        ),
        click.option("--waiting", is_flag=True, help="All those with a problem."),
    ):
        choosing = option(choosing)
    return choosing


def run_each(
    where: Where,
    chosen: Several,
    act: Callable[[Line, SignupDetail], Awaitable[T]],
    *,
    row: Callable[[SignupDetail, T | None], dict[str, Any]],
    say: Callable[[SignupDetail, T | None], object],
    as_json: bool,
    dry_run: bool,
    first: Callable[[Line, Sequence[SignupDetail]], Awaitable[None]] | None = None,
    sure: Callable[[Line, Sequence[SignupDetail]], Awaitable[None]] | None = None,
) -> None:
    """*act* on each, over one connection, after *first* looked at all of them, and
    *sure* asked about them once; *row* is JSON and *say* words of what was done (None:
    of what would be).

    One that is refused does not keep the others; then the exit status is 1.
    """
    rows: list[dict[str, Any]] = []

    async def one(line: Line, detail: SignupDetail) -> None:
        done = None if dry_run else await act(line, detail)
        rows.append(row(detail, done))
        if not as_json:
            say(detail, done)

    async def work(line: Line) -> bool:
        details = await chosen.look_up(line)
        if first is not None:
            await first(line, details)
        if sure is not None and not dry_run and details:
            await sure(line, details)
        if chosen.is_one:
            await one(line, details[0])
            return True
        of = {detail.row.signup_id: detail for detail in details}
        refused = await one_by_one(of, lambda key: one(line, of[key]))
        rows.extend(row(of[key], None) | {"problem": refused[key]} for key in refused)
        return not refused

    well = run(where, work)
    if as_json:
        tables.print_json(**(rows[0] if chosen.is_one else {"signups": rows}))
    elif not rows:
        click.echo("No such subscriptions.")
    if not well:
        raise click.exceptions.Exit(1)


async def one_by_one(
    keys: Iterable[K], work: Callable[[K], Awaitable[object]]
) -> dict[K, str]:
    """*work* for each; those refused, with why, keep no other from its turn."""
    refused: dict[K, str] = {}
    for key in keys:
        try:
            await work(key)
        except Away:
            raise
        except click.ClickException as e:
            refused[key] = e.message
            click.echo(f"{key}: {e.message}", err=True)
    return refused
