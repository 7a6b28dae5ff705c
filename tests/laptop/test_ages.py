"""How old something must be, as operators type it."""

from __future__ import annotations

import click
import pytest

from lae_flapp.laptop.options import AGE


@pytest.mark.parametrize(
    ("text", "seconds"), [("90m", 5400), ("36h", 129_600), ("7d", 604_800), ("0d", 0)]
)
def test_ages(text: str, seconds: int) -> None:
    """A number and its unit are so many seconds."""
    assert AGE.convert(text, None, None) == seconds


@pytest.mark.parametrize(
    "text", ["", "d", "7", "7w", "-7d", "7.5d", "1e3d", "٣d", "9" * 6 + "d"]
)
def test_what_is_no_age(text: str) -> None:
    """Anything else is refused: it decides what goes."""
    with pytest.raises(click.BadParameter, match="no time such as"):
        AGE.convert(text, None, None)
