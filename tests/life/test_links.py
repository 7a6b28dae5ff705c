"""A mail's link does one thing, for one payment, and tells nobody its code."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lae_flapp.journal import signups
from lae_flapp.life.links import GOOD_FOR
from lae_protocol.secret import Secret
from tests.life.conftest import LINKS

NOW = datetime(2026, 11, 30, tzinfo=UTC)


def code(url: str) -> Secret:
    return Secret(url.partition("#")[2])


def test_for_one_signup_purpose_payment_and_address(world) -> None:
    """The code stands behind the #, and is good for nothing else."""
    first, other = world.served(b"a"), world.served(b"b")
    signup = world.read(signups.get, first)
    url = LINKS.url(signup, "cancel", 1, NOW)
    assert url.startswith(f"https://s4.example/signup/{first}/cancel#")
    assert "?" not in url
    later = NOW + timedelta(days=3650)
    assert LINKS.holds(signup, "cancel", 1, code(url), later)
    assert not LINKS.holds(signup, "return", 1, code(url), NOW)
    assert not LINKS.holds(signup, "cancel", 2, code(url), NOW)
    assert not LINKS.holds(world.read(signups.get, other), "cancel", 1, code(url), NOW)
    world.cancel(first, at_once=True)
    world.advance(10)
    world.come_back(first)
    assert not LINKS.holds(world.read(signups.get, first), "cancel", 1, code(url), NOW)


@pytest.mark.parametrize("purpose", GOOD_FOR)
def test_a_time_ends_it(world, purpose) -> None:
    """What no payment ends is good for its time, and not a second longer."""
    signup = world.read(signups.get, world.served(b"a"))
    made = code(LINKS.url(signup, purpose, 1, NOW))
    end = NOW + GOOD_FOR[purpose]
    assert LINKS.holds(signup, purpose, 1, made, end - timedelta(seconds=1))
    assert not LINKS.holds(signup, purpose, 1, made, end)


@given(st.text(max_size=400))
def test_rubbish(text) -> None:
    """Whatever somebody types is no link, and breaks nothing."""
    made = SIGNUP
    assert not LINKS.holds(made, "cancel", 1, Secret(text), NOW)


class _Signup:
    """What a link is bound to."""

    signup_id, payment = "su" + "a" * 20, None


SIGNUP = _Signup()
