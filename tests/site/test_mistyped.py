"""Which domains are probably a slip."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lae_site.mistyped import KNOWN, guess_domain, is_one_slip

LETTERS = st.characters(min_codepoint=97, max_codepoint=122)


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("gmial.com", "gmail.com"),
        ("gmal.com", "gmail.com"),
        ("gmaill.com", "gmail.com"),
        ("gmail.con", "gmail.com"),
        ("GNAIL.com", "gmail.com"),
        ("hotmial.com", "hotmail.com"),
        ("mail.com", None),
        ("gmail.com", None),
        ("Gmail.com", None),
        ("gmx.dk", None),
        ("example.org", None),
        ("gmx.com.gmail.com.example.org", None),
    ],
)
def test_what_was_meant(typed, meant) -> None:
    """One slip from a well-known domain is asked about; what is known is not."""
    assert guess_domain(typed) == meant


@given(st.sampled_from(KNOWN), st.data())
def test_one_slip(known, data) -> None:
    """Leaving out, adding, replacing and swapping are each one slip, both ways."""
    at = data.draw(st.integers(0, len(known) - 2))
    letter = data.draw(LETTERS)
    for slip in (
        known[:at] + known[at + 1 :],
        known[:at] + letter + known[at:],
        known[:at] + letter + known[at + 1 :],
        known[:at] + known[at + 1] + known[at] + known[at + 2 :],
    ):
        assert (slip == known) or is_one_slip(slip, known)
        assert (slip == known) or is_one_slip(known, slip)


@given(st.text(LETTERS, max_size=6), st.text(LETTERS, min_size=2, max_size=4))
def test_two_letters_more_are_no_slip(text, more) -> None:
    """What differs by more than one letter's length is another domain."""
    assert not is_one_slip(text, text + more)
    assert not is_one_slip(text, text)
