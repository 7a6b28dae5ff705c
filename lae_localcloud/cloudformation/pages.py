"""Lists that are longer than one answer.  Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from lae_localcloud.cloudformation.stack_book import refused

T = TypeVar("T")
#: Rows of one answer; few, so that whoever reads one page alone is found out.
ROWS = 25


def page_of(
    rows: Sequence[T], token: str | None, what: str
) -> tuple[Sequence[T], str | None]:
    """The page that a token leads to, and the next one's token.

    A token counts from the end, so that new rows in front shift no page.
    """
    left = len(rows)
    if token is not None:
        kind, _, number = token.partition("-")
        if kind != what or not number.isdecimal() or int(number) > left:
            raise refused("NextToken is invalid")
        left = int(number)
    start = len(rows) - left
    page = rows[start : start + ROWS]
    after = left - len(page)
    return page, f"{what}-{after}" if after else None
