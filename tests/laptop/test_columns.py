"""Tables that are printed while their rows come."""

from __future__ import annotations

import io
import re
from contextlib import redirect_stdout

from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from lae_flapp.laptop.columns import GAP, NARROWEST, Column, Columns, fold

TEXTS = st.text(st.characters(codec="utf-8"), max_size=60)
ROWS = st.lists(st.tuples(st.text("abc", max_size=9), TEXTS, TEXTS), max_size=5)
#: Room for the whole column, two elastic ones at their narrowest, and the gaps.
LEAST = 9 + 2 * NARROWEST + 2 * len(GAP) + 8


def printed(width: int | None, *pages) -> list[str]:
    table = Columns(
        (
            Column("id", colours=(("abc", "red"),)),
            Column("what", whole=False),
            Column("why", whole=False),
        ),
        width,
        coloured=True,
    )
    out = io.StringIO()
    with redirect_stdout(out):
        for page in pages:
            table.page(page)
    told = out.getvalue()
    return [re.sub(r"\x1b\[[0-9;]*m", "", line) for line in told.splitlines()]


@given(pages=st.lists(ROWS, min_size=1, max_size=3), width=st.integers(LEAST, 200))
def test_no_line_is_longer_than_the_terminal(pages, width) -> None:
    """Whatever the rows hold, no line is longer, the header stands once, and nothing
    commands the terminal.
    """
    lines = printed(width, *pages)
    assert all(cell_len(line) <= width for line in lines)
    assert all(line.isprintable() for line in lines)
    assert lines[0].split() == ["id", "what", "why"]


@given(rows=ROWS)
def test_a_pipe_gets_whole_lines(rows) -> None:
    """Without a terminal each row is one line, however long."""
    assert len(printed(None, rows)) == 1 + len(rows)


@given(text=st.text(st.characters(codec="utf-8", exclude_categories=("C",))),
       width=st.integers(2, 40))  # fmt: skip
def test_folding_loses_nothing(text, width) -> None:
    """What is broken over lines is all there, but for blanks at the breaks."""
    lines = fold(text, width)
    assert all(cell_len(line) <= width for line in lines)
    assert "".join(lines).replace(" ", "") == text.replace(" ", "")
