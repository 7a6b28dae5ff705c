"""Long lists, a page at a time, newest first."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Select

from lae_flapp.journal.errors import BadCursor
from lae_flapp.journal.transaction import ReadTx

#: No page is longer, whatever is asked for.
LONGEST = 500


def paged(
    tx: ReadTx,
    query: Select[Any],
    number: ColumnElement[int],
    cursor: str | None,
    limit: int,
) -> tuple[Sequence[Any], str | None]:
    """Rows of a query whose first column is *number*, newest first; and the cursor of
    the next page, None on the last.  Raises :class:`BadCursor`.
    """
    length = max(1, min(limit, LONGEST))
    if cursor is not None:
        query = query.where(number < number_of(cursor))
    # One more than asked for tells whether another page follows.
    found = tx.all(query.order_by(number.desc()).limit(length + 1))
    shown = found[:length]
    return shown, str(shown[-1][0]) if len(found) > length else None


def number_of(cursor: str) -> int:
    """Read a number out of a cursor; raises :class:`BadCursor`."""
    if not cursor.isdecimal() or len(cursor) > 18:  # noqa: PLR2004 - fits SQLite
        raise BadCursor("not a cursor")
    return int(cursor)
