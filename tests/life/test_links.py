"""A mail's link does one thing, for one payment, and tells nobody its code."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from lae_flapp.journal import signups
from lae_protocol.secret import Secret
from tests.life.conftest import LINKS


def code(url: str) -> Secret:
    return Secret(url.partition("#")[2])


def test_for_one_signup_purpose_payment_and_address(world) -> None:
    """The code stands behind the #, and is good for nothing else."""
    first, other = world.served(b"a"), world.served(b"b")
    signup = world.read(signups.get, first)
    url = LINKS.url(signup, "cancel", 1)
    assert url.startswith(f"https://s4.example/signup/{first}/cancel#")
    assert "?" not in url
    assert LINKS.holds(signup, "cancel", 1, code(url))
    assert not LINKS.holds(signup, "return", 1, code(url))
    assert not LINKS.holds(signup, "cancel", 2, code(url))
    assert not LINKS.holds(world.read(signups.get, other), "cancel", 1, code(url))
    world.cancel(first, at_once=True)
    world.advance(10)
    world.come_back(first)
    assert not LINKS.holds(world.read(signups.get, first), "cancel", 1, code(url))


@given(st.text(max_size=400))
def test_rubbish(text) -> None:
    """Whatever somebody types is no link, and breaks nothing."""
    made = SIGNUP
    assert not LINKS.holds(made, "cancel", 1, Secret(text))


class _Signup:
    """What a link is bound to."""

    signup_id, payment = "su" + "a" * 20, None


SIGNUP = _Signup()
