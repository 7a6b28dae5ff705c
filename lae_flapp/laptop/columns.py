"""Tables that are printed while their rows come, a page at a time.

A table library measures all rows before it prints the first; here each page has the
widths that its rows need, and a pipe gets whole lines however long.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterable, Sequence

import click
from attrs import Factory, define
from rich.cells import cell_len, chop_cells

GAP = "  "
#: An elastic column is never narrower.
NARROWEST = 8


@define(frozen=True)
class Column:
    """*whole* ones are copied from or read at a glance, and are never broken."""

    name: str
    whole: bool = True
    colours: tuple[tuple[str, str], ...] = ()

    def painted(self, padded: str, text: str) -> str:
        """The padded cell in the colour of its text."""
        colour = dict(self.colours).get(text)
        return padded if colour is None else click.style(padded, fg=colour)


@define
class Columns:
    """Prints pages of rows below one header.  *width* None is without a bound."""

    columns: Sequence[Column]
    width: int | None
    coloured: bool
    _widths: list[int] = Factory(list)
    _begun: bool = False

    def page(self, rows: Iterable[Sequence[str]]) -> None:
        """Print some rows; the first page brings the header."""
        clean = [[printable(cell) for cell in row] for row in rows]
        self._fit(clean)
        lines: list[str] = []
        if not self._begun:
            header = self._lines([c.name for c in self.columns], paint=False)
            lines += [click.style(one, bold=True) for one in header]
            self._begun = True
        for row in clean:
            lines += self._lines(row, paint=self.coloured)
        if lines:
            text = "\n".join(lines)
            click.echo(text if self.coloured else click.unstyle(text))

    def _fit(self, rows: Sequence[Sequence[str]]) -> None:
        wanted = [cell_len(c.name) for c in self.columns]
        for row in rows:
            wanted = [max(w, length(cell)) for w, cell in zip(wanted, row, strict=True)]
        if self.width is None:
            before = self._widths or wanted
            self._widths = [max(w, b) for w, b in zip(wanted, before, strict=True)]
        else:
            self._widths = self._shared(wanted, self.width)

    def _shared(self, wanted: list[int], width: int) -> list[int]:
        """What is left beside the whole columns is shared, to each what it needs."""
        elastic = [i for i, c in enumerate(self.columns) if not c.whole]
        fixed = sum(w for i, w in enumerate(wanted) if i not in elastic)
        left = width - fixed - len(GAP) * (len(wanted) - 1)
        for done, i in enumerate(sorted(elastic, key=lambda i: wanted[i])):
            share = max(NARROWEST, left // (len(elastic) - done))
            wanted[i] = min(wanted[i], share)
            left -= wanted[i]
        return wanted

    def _lines(self, row: Sequence[str], *, paint: bool) -> list[str]:
        cells = [fold(text, w) for text, w in zip(row, self._widths, strict=True)]
        made: list[str] = []
        for n in range(max(map(len, cells))):
            line = ""
            for i, column in enumerate(self.columns):
                piece = cells[i][n] if n < len(cells[i]) else ""
                padded = piece + " " * (self._widths[i] - length(piece))
                if paint and piece:
                    padded = column.painted(padded, row[i])
                line += padded if i == 0 else GAP + padded
            made.append(line.rstrip())
        return made


def length(text: str) -> int:
    """Cells of a terminal."""
    return len(text) if text.isascii() else cell_len(text)


def fold(text: str, width: int) -> list[str]:
    """Lines of at most *width* cells, broken at blanks where there are some."""
    if length(text) <= width:
        return [text]
    lines, line = [], ""
    for word in text.split(" "):
        joined = f"{line} {word}" if line else word
        if length(joined) <= width:
            line = joined
            continue
        if line:
            lines.append(line)
        *whole, line = chop_cells(word, width) or [""]
        lines += whole
    return [*lines, line]


def printable(text: str) -> str:
    """The text as a terminal can bear it: whatever commands one is a question mark."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


def terminal_width() -> int | None:
    """Of the terminal that reads us; None into a pipe, where lines may be long."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def colours() -> bool:
    """Whether the reader sees colours and wants some (https://no-color.org)."""
    return (
        sys.stdout.isatty()
        and not os.environ.get("NO_COLOR")
        and os.environ.get("TERM") != "dumb"
    )


def columns(*which: Column) -> Columns:
    """For whoever reads our standard output."""
    return Columns(which, terminal_width(), colours())
