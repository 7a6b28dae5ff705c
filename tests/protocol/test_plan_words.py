"""What a plan costs and gives is told alike on pages and in mails."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from lae_protocol.plan_words import amount_in_words, size_in_words, used_in_words

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
