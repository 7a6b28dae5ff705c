"""What can be listed, shown and tried again: how it is asked for, and its columns.

Each noun stands with its group of commands; :func:`list_command`,
:func:`show_command` and :func:`retry_command` make the commands of any of them.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Sequence
from functools import reduce
from typing import Any

import click
from attrs import define

from lae_flapp.laptop import tables
from lae_flapp.laptop.columns import Column, columns
from lae_flapp.laptop.line import Line, run
from lae_flapp.laptop.meant import meant
from lae_flapp.laptop.options import asks_daemon, changes, gives_json, paged
from lae_flapp.laptop.settings import Where
from lae_flapp.laptop.several import one_by_one
from lae_protocol import wire
from lae_protocol.looking_messages import Page
from lae_protocol.question import Question

#: Rows of the first question, so that the first row is there at once.
FIRST_PAGE = 50
#: Rows of each other question.
PAGE = 500

#: A column, and the text of a row in it.
Cell = tuple[Column, Callable[[Any], str]]
#: An option or argument of click's; ``signup`` is looked up, and asked for as an id.
Parameter = Callable[..., Any]


@define(frozen=True)
class Noun:
    """*question* takes the filters by their names; *key* names the rows in JSON;
    *narrow* are the columns where there is no room for the *wide* ones.
    """

    question: Callable[..., Question[Page[Any]]]
    key: str
    nothing: str
    wide: Sequence[Cell]
    narrow: Sequence[Cell]
    filters: Sequence[Parameter] = ()


@define(frozen=True)
class One:
    """One of a noun, meant by *argument*; *key* names it in JSON."""

    key: str
    argument: Parameter
    question: Callable[..., Question[Any]]
    show: Callable[[Any], object]


@define(frozen=True)
class Retry:
    """Try some now, meant by the argument *several*, which is ``named``; *key_of* a row
    is what means it, *would* and *done* say so of what was told.
    """

    several: Parameter
    question: Callable[..., Question[Any]]
    key_of: Callable[[Any], Any]
    would: Callable[[Any], str]
    done: Callable[[Any], str]


def list_command(
    noun: Noun, words: str, *more: Parameter, name: str = "list"
) -> click.Command:
    """Make the command that prints all rows that the filters leave."""

    def list_(
        *, where: Where, as_json: bool, limit: int | None, **filters: Any
    ) -> None:
        async def work(line: Line) -> None:
            asked = await _looked_up(line, filters)
            shown = _AsJson(noun.key) if as_json else _AsTable(noun)
            left = False
            async for rows, left in _pages(line, noun, limit, asked):  # noqa: B007  (the last one's)
                shown.add(rows)
            shown.end(more=left)

        run(where, work)

    return _command(name, words, list_, paged, *noun.filters, *more)


def show_command(one: One, words: str) -> click.Command:
    """Make the command that shows one."""

    def show(*, where: Where, as_json: bool, **named: Any) -> None:
        told = _ask(where, one.question, named)
        if as_json:
            tables.print_json(**{one.key: told})
        else:
            one.show(told)

    return _command("show", words, show, one.argument)


def retry_command(one: One, noun: Noun, retry: Retry, words: str) -> click.Command:
    """Make the command that has some tried now: those named, or all in a state."""

    def again(
        *,
        where: Where,
        as_json: bool,
        dry_run: bool,
        state: str | None,
        named: tuple[Any, ...],
    ) -> None:
        if bool(named) == (state is not None):
            raise click.UsageError("Name some, or say --state: waiting, or refused.")
        question, say = (
            (one.question, retry.would) if dry_run else (retry.question, retry.done)
        )
        every: list[Any] = []

        async def tried(line: Line, key: Any) -> None:
            every.append(await line.ask(question(key)))
            if not as_json:
                click.echo(say(every[-1]))

        async def work(line: Line) -> bool:
            if len(named) == 1:
                await tried(line, named[0])
                return True
            keys = named or await _keys(line, noun, retry, state)
            return not await one_by_one(keys, lambda key: tried(line, key))

        well = run(where, work)
        if as_json:
            told: dict[str, Any] = {one.key: every[0]} if len(named) == 1 else {}
            told = told or {noun.key: every}
            tables.print_json(**told, done=not dry_run)
        elif well and not every:
            click.echo(noun.nothing)
        if not well:
            raise click.exceptions.Exit(1)

    chosen = click.option("--state", help="All in this state: waiting, for example.")
    return _command("retry", words, again, changes, chosen, retry.several)


async def _keys(
    line: Line, noun: Noun, retry: Retry, state: str | None
) -> tuple[Any, ...]:
    """What means each row that is in this state."""
    found: list[Any] = []
    async for rows, _ in _pages(line, noun, None, {"state": state}):
        found += [retry.key_of(row) for row in rows]
    return tuple(found)


def _command(
    name: str, words: str, function: Callable[..., None], *parameters: Parameter
) -> click.Command:
    every = (asks_daemon, gives_json, *parameters)
    taking = reduce(lambda inner, outer: outer(inner), reversed(every), function)
    return click.command(name, help=words)(taking)


def _ask(
    where: Where, question: Callable[..., Question[Any]], named: dict[str, Any]
) -> Any:
    async def work(line: Line) -> Any:
        return await line.ask(question(**await _looked_up(line, named)))

    return run(where, work)


async def _looked_up(line: Line, given: dict[str, Any]) -> dict[str, Any]:
    """The fields of the question: a signup that is meant by a text is looked up."""
    fields = dict(given)
    text = fields.pop("signup", None)
    if text is not None:
        fields["signup_id"] = await meant(line, text)
    return fields


async def _pages(
    line: Line, noun: Noun, limit: int | None, asked: dict[str, Any]
) -> AsyncIterator[tuple[Sequence[Any], bool]]:
    """Pages of at most *limit* rows in all, and whether there is more."""
    cursor, count, most = None, 0, FIRST_PAGE
    while True:
        wanted = most if limit is None else min(most, limit - count)
        page = await line.ask(noun.question(cursor=cursor, limit=wanted, **asked))
        cursor, count, most = page.cursor, count + len(page.rows), PAGE
        yield page.rows, cursor is not None
        if cursor is None or (limit is not None and count >= limit):
            return


class _AsTable:
    """Prints the columns that there is room for."""

    def __init__(self, noun: Noun) -> None:
        cells = noun.narrow if tables.narrow() else noun.wide
        self._nothing, self._count = noun.nothing, 0
        self._table = columns(*(column for column, _ in cells))
        self._texts = [text for _, text in cells]

    def add(self, rows: Sequence[Any]) -> None:
        self._count += len(rows)
        if rows:
            self._table.page([text(row) for text in self._texts] for row in rows)

    def end(self, *, more: bool) -> None:
        if not self._count:
            click.echo(self._nothing)
        elif more:
            click.echo(
                f"There are more than these {self._count}: narrow the list, or --all."
            )


class _AsJson:
    """Prints one object, while its rows come."""

    def __init__(self, key: str) -> None:
        self._comma = ""
        click.echo(f'{{"version": {tables.VERSION},\n "{key}": [', nl=False)

    def add(self, rows: Sequence[Any]) -> None:
        texts = []
        for row in rows:
            texts.append(f"{self._comma}\n  {_on_one_line(row)}")
            self._comma = ","
        click.echo("".join(texts), nl=False)

    def end(self, *, more: bool) -> None:
        click.echo(f'],\n "more": {json.dumps(more)}}}')


def _on_one_line(row: Any) -> str:
    return json.dumps(wire.converter().unstructure(row), ensure_ascii=False)
