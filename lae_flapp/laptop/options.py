"""What the commands of operators have in common: options, questions, refusals."""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import UTC, datetime
from functools import wraps
from pathlib import Path
from typing import Any, ClassVar

import click

from lae_flapp.laptop.settings import Where
from lae_protocol.ids import SIGNUP_ID

#: How a command ends, for scripts; docs/lae.rst has them.
AWAY, WRONG, INTERRUPTED = 3, 4, 130


class SignupText(click.ParamType[str]):
    """An id, or what finds one alone: an address, the start of an id or label."""

    name = "signup"
    #: With less, half of all signups would match.
    SHORTEST = 3

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> str:
        """Refuse early what can find none."""
        text = str(value).strip()
        if not SIGNUP_ID.match(text) and len(text) < self.SHORTEST:
            self.fail(
                f"{value!r} is no signup id, and too short to search by", param, ctx
            )
        return text


class Day(click.ParamType[datetime]):
    """A day, or a time; without a zone it is UTC."""

    name = "time"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> datetime:
        """Read ISO 8601."""
        if isinstance(value, datetime):
            return value
        try:
            at = datetime.fromisoformat(str(value))
        except ValueError:
            self.fail(f"{value!r} is no time such as 2026-11-28T18:00", param, ctx)
        return at.replace(tzinfo=UTC) if at.tzinfo is None else at


class Age(click.ParamType[int]):
    """A time such as ``90m``, ``36h`` or ``7d``, in seconds."""

    name = "age"
    UNITS: ClassVar[dict[str, int]] = {"m": 60, "h": 3600, "d": 86_400}
    #: Digits: with more, none would be a time that anybody means.
    LONGEST = 5

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> int:
        """Read a number and its unit."""
        if isinstance(value, int):
            return value
        number, unit = str(value)[:-1], str(value)[-1:]
        digits = number.isascii() and number.isdecimal()
        if unit not in self.UNITS or not digits or len(number) > self.LONGEST:
            self.fail(f"{value!r} is no time such as 90m, 36h or 7d", param, ctx)
        return int(number) * self.UNITS[unit]


SIGNUP, DAY, AGE = SignupText(), Day(), Age()


def asks_daemon(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give the command ``where``: how the daemon is found."""

    @wraps(command)
    def asking(
        *, config: Path | None, furl_file: Path | None, address: str | None, **rest: Any
    ) -> Any:
        return command(where=Where(config, furl_file, address), **rest)

    for option in (
        click.option(
            "--address",
            metavar="HOST:PORT",
            help="Where the daemon is reached from here.",
        ),
        click.option(
            "--furl-file",
            type=click.Path(path_type=Path),
            help="File with your operator furl (mode 600).",
        ),
        click.option(
            "--config",
            type=click.Path(path_type=Path),
            help="Settings of lae [~/.config/s4/lae.yaml].",
        ),
    ):
        asking = option(asking)
    return asking


def gives_json(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give the command ``as_json``."""
    return click.option(
        "--json", "as_json", is_flag=True, help="For programs: one JSON object."
    )(command)


def paged(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give the command ``limit``: how many rows, None for all."""

    @wraps(command)
    def limited(*, limit: int, everything: bool, **rest: Any) -> Any:
        return command(limit=None if everything else limit, **rest)

    every = click.option("--all", "everything", is_flag=True, help="However many.")
    most = click.option(
        "--limit", default=100, show_default=True, type=click.IntRange(1)
    )
    return most(every(limited))


def changes(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give the command ``dry_run``."""
    return click.option(
        "--dry-run", is_flag=True, help="Say what would be done, and do nothing."
    )(command)


def loses(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give the command ``yes``: something would be lost."""
    return click.option("--yes", is_flag=True, help="Do not ask; for scripts.")(command)


def confirm(question: str) -> None:
    """Ask; no raises click's Abort.  Without a terminal nobody can answer."""
    if not sys.stdin.isatty():
        raise click.UsageError(f"{question} Say --yes where there is no terminal.")
    click.confirm(question, abort=True, err=True)
