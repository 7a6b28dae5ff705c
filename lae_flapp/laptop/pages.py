"""Lists of the daemon's, printed as their pages come."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import click
from attrs import define

from lae_flapp.laptop.columns import Columns
from lae_flapp.laptop.line import Line
from lae_protocol import wire

#: The shape of what --json prints; it grows when a key goes or changes its meaning.
VERSION = 1
#: Rows of the first question, so that the first row is there at once, and of others.
FIRST, PAGE = 50, 500


@define(frozen=True)
class Listed:
    """One kind of list: how it is asked for, and how it is shown.

    *asked* makes the message of a cursor and a number of rows.
    """

    method: str
    asked: Callable[[str | None, int], Any]
    answer: Any
    key: str
    nothing: str
    table: Callable[[], Columns]
    cells: Callable[[Any], Sequence[str]]

    async def pages(
        self, line: Line, limit: int | None
    ) -> AsyncIterator[tuple[Sequence[Any], bool]]:
        """Pages of at most *limit* rows in all, and whether there is more."""
        cursor, count, most = None, 0, FIRST
        while True:
            wanted = most if limit is None else min(most, limit - count)
            page = await line.ask(self.method, self.asked(cursor, wanted), self.answer)
            cursor, count, most = page.cursor, count + len(page.rows), PAGE
            yield page.rows, cursor is not None
            if cursor is None or (limit is not None and count >= limit):
                return

    async def show(self, line: Line, limit: int | None, *, as_json: bool) -> None:
        """Print it."""
        shown = _AsJson(self.key) if as_json else _AsTable(self)
        more = False
        async for rows, more in self.pages(line, limit):  # noqa: B007  (the last one's)
            shown.add(rows)
        shown.end(more=more)


class _AsTable:
    def __init__(self, listed: Listed) -> None:
        self._listed, self._table, self._count = listed, listed.table(), 0

    def add(self, rows: Sequence[Any]) -> None:
        self._count += len(rows)
        if rows:
            self._table.page(self._listed.cells(row) for row in rows)

    def end(self, *, more: bool) -> None:
        if not self._count:
            click.echo(self._listed.nothing)
        elif more:
            click.echo(
                f"There are more than these {self._count}: narrow the list, or --all."
            )


class _AsJson:
    """One object, written while its rows come."""

    def __init__(self, key: str) -> None:
        self._comma = ""
        click.echo(f'{{"version": {VERSION},\n "{key}": [', nl=False)

    def add(self, rows: Sequence[Any]) -> None:
        texts = []
        for row in rows:
            texts.append(f"{self._comma}\n  {as_json(row)}")
            self._comma = ","
        click.echo("".join(texts), nl=False)

    def end(self, *, more: bool) -> None:
        click.echo(f'],\n "more": {json.dumps(more)}}}')


def as_json(value: Any) -> str:
    """A message on one line."""
    return json.dumps(wire.converter().unstructure(value), ensure_ascii=False)
