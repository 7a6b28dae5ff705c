"""Ids from outside are checked whole."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lae_protocol.ids import (
    GRID_LABEL,
    SIGNUP_ID,
    MalformedId,
    OwnerSecret,
    base32,
    new_grid_label,
    new_request_id,
    parse_signup_id,
    signup_id_of_form,
)

GOOD = "su" + "a2" * 10


@given(st.binary(max_size=64))
def test_a_nonce_makes_one_id(nonce) -> None:
    """A form makes the same well-formed id however often it is sent."""
    made = signup_id_of_form(nonce)
    assert parse_signup_id(made) == made == signup_id_of_form(nonce)


@given(st.binary(max_size=20), st.binary(max_size=20))
def test_two_nonces_make_two_ids(one, other) -> None:
    """Different forms are different signups."""
    same = signup_id_of_form(one) == signup_id_of_form(other)
    assert same == (one == other)


@pytest.mark.parametrize(
    "text",
    ["", GOOD[:-1], GOOD + "a", GOOD + "\n", "\n" + GOOD, GOOD.upper(), GOOD[:-1] + "1",
     GOOD[:-1] + "²", "g" + GOOD[1:], f"{GOOD[:10]}\x00{GOOD[11:]}"],
)  # fmt: skip
def test_near_misses(text) -> None:
    """What is nearly an id is none, and the error does not repeat it."""
    with pytest.raises(MalformedId) as e:
        parse_signup_id(text)
    assert SIGNUP_ID.match(text) is None
    assert not text or text not in str(e.value)


def test_labels() -> None:
    """Labels are well-formed, differ, and are no labels with anything after them."""
    labels = {new_grid_label() for _ in range(100)}
    assert len(labels) == 100
    for label in labels:
        assert GRID_LABEL.match(label)
        assert not GRID_LABEL.match(label + "\n")
        assert len(f"{'d' * 20}-{label}") <= 63


def test_request_ids() -> None:
    """Request ids differ, and fit what the remote interfaces take."""
    made = {new_request_id() for _ in range(100)}
    assert len(made) == 100
    assert all(len(one.encode("ascii")) <= 64 for one in made)


@given(st.binary(max_size=64))
def test_base32(data) -> None:
    """Base32 is of Foolscap's alphabet alone."""
    assert set(base32(data)) <= set("abcdefghijklmnopqrstuvwxyz234567")


def test_owner_secret() -> None:
    """What the journal keeps of an owner secret is a hash that tells nothing."""
    one, other = OwnerSecret("a" * 52), OwnerSecret("b" * 52)
    assert one.hashed() != other.hashed()
    assert len(one.hashed()) == 64
    assert "aaaa" not in one.hashed() + repr(one) + str(one)
