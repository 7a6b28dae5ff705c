"""What a plan costs and gives is told alike on pages and in mails."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lae_protocol.plan_words import (
    amount_in_words,
    amount_of_words,
    size_in_words,
    used_in_words,
)

UNITS = {"bytes": 1, "MB": 10**6, "GB": 10**9, "TB": 10**12}


@given(st.integers(0, 10**15))
def test_sizes(size: int) -> None:
    """A size is told within half a hundredth of its unit."""
    number, unit = size_in_words(size).split()
    told = float(number.replace(",", "")) * UNITS[unit]
    assert abs(told - size) <= UNITS[unit] * 0.005


def test_amounts() -> None:
    """An amount is told in the currency's own unit, and in ASCII for mails."""
    assert amount_in_words(905, "eur") == "€9.05"
    assert amount_in_words(905, "eur", ascii_only=True) == "EUR 9.05"
    assert amount_in_words(905, "jpy") == "JPY 905"
    assert amount_in_words(123456, "chf") == "CHF 1,234.56"


def test_too_little_to_matter() -> None:
    """What a customer uses is told in megabytes: our own test file is below one."""
    assert used_in_words(0) == "less than 1 MB"
    assert used_in_words(294_337) == "less than 1 MB"
    assert used_in_words(1_500_000) == "1.5 MB"


@given(st.integers(0, 10**12), st.sampled_from(["eur", "usd", "jpy", "chf"]))
def test_amounts_are_read_as_they_are_written(amount: int, currency: str) -> None:
    """An amount that is told is the same amount when it is typed."""
    told = amount_in_words(amount, currency, ascii_only=True).split()[1]
    assert amount_of_words(told.replace(",", ""), currency) == amount


@pytest.mark.parametrize(
    ("text", "currency", "amount"),
    [("4", "eur", 400), ("4.5", "eur", 450), (" 4.05 ", "eur", 405), ("7", "jpy", 7)],
)
def test_amounts_in_short(text: str, currency: str, amount: int) -> None:
    """Cents may be left out, and whole currencies have none."""
    assert amount_of_words(text, currency) == amount


@pytest.mark.parametrize(
    ("text", "currency"),
    [
        *((t, "eur") for t in ("", ".", ".5", "-1", "1e2", "4.505", "4,50", "1_0")),
        *((t, "eur") for t in ("nan", "\u0664", "4.5.0", "EUR 4")),
        ("4.0", "jpy"),
    ],
)
def test_what_is_no_amount(text: str, currency: str) -> None:
    """Nothing else is guessed at: it is about money."""
    with pytest.raises(ValueError, match="is no amount such as"):
        amount_of_words(text, currency)
