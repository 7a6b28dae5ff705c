"""Anti-forgery tokens: good for one browser, for a while, under any current key."""

from __future__ import annotations

import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lae_protocol.secret import Secret
from lae_site.form_token import (
    LIFETIME,
    SKEW,
    FormRefused,
    is_action_token,
    make_action_token,
    make_token,
    new_form_cookie,
    open_token,
)

KEYS = [Secret("k" * 40)]
NOW = 1_800_000_000
MOMENTS = st.integers(0, 2**33)


def fresh(now: int = NOW, keys=KEYS) -> tuple[Secret, str]:
    """A cookie and a token for it."""
    cookie = new_form_cookie(os.urandom)
    return cookie, make_token(keys, cookie, now, os.urandom)


@settings(max_examples=60)
@given(MOMENTS, st.integers(-SKEW, LIFETIME))
def test_a_form_sent_in_time_is_good(made, age) -> None:
    """A token opens for as long as a form may stay open, always to the same signup."""
    cookie, token = fresh(made)
    opened = open_token(KEYS, cookie.reveal(), token, made + age)
    assert opened == open_token(KEYS, cookie.reveal(), token, made)


@settings(max_examples=60)
@given(MOMENTS, st.one_of(st.integers(LIFETIME + 1, 2**33), st.integers(-9999, -61)))
def test_a_stale_form_is_refused(made, age) -> None:
    """A token opens neither later nor earlier."""
    cookie, token = fresh(made)
    with pytest.raises(FormRefused):
        open_token(KEYS, cookie.reveal(), token, made + age)


@settings(max_examples=100)
@given(st.data())
def test_no_changed_token_opens_to_another_signup(data) -> None:
    """A token with one character changed opens to nothing else than the old one."""
    cookie, token = fresh()
    at = data.draw(st.integers(0, len(token) - 1))
    character = data.draw(st.sampled_from("0123456789ABCabc._-\nä"))
    changed = token[:at] + character + token[at + 1 :]
    try:
        opened = open_token(KEYS, cookie.reveal(), changed, NOW)
    except FormRefused:
        return
    # The last character of base64 has bits that mean nothing.
    assert opened == open_token(KEYS, cookie.reveal(), token, NOW)


@settings(max_examples=60)
@given(st.text(max_size=120), st.text(max_size=60))
def test_no_text_breaks_it(token, cookie) -> None:
    """Whatever is sent as token and cookie is refused."""
    with pytest.raises(FormRefused):
        open_token(KEYS, cookie, token, NOW)


def test_another_browsers_token_is_refused() -> None:
    """A token is good with its own cookie alone."""
    (one, _), (_, two) = fresh(), fresh()
    with pytest.raises(FormRefused):
        open_token(KEYS, one.reveal(), two, NOW)


def test_keys_can_be_changed_under_open_forms() -> None:
    """A form shown under the previous key is taken, as of the same owner; one under
    a key that is gone is not.
    """
    old, new = Secret("o" * 40), Secret("n" * 40)
    cookie, token = fresh(keys=[old])
    before = open_token([old], cookie.reveal(), token, NOW)
    assert open_token([new, old], cookie.reveal(), token, NOW) == before
    with pytest.raises(FormRefused):
        open_token([new], cookie.reveal(), token, NOW)


def test_nothing_in_a_page_tells_the_owners_secret() -> None:
    """Who reads the page but not the cookie cannot compute the secret: another cookie
    gives another, and so does another key.
    """
    cookie, token = fresh()
    opened = open_token(KEYS, cookie.reveal(), token, NOW)
    assert opened.owner_secret.reveal() not in token
    assert len(opened.owner_secret.reveal()) == 52


def test_a_release_makes_no_customer_another() -> None:
    """The same form has the same token, signup, owner and status page in each release:
    it may be sent twice, to the copies of two of them.
    """
    cookie = new_form_cookie(lambda size: b"c" * size)
    token = make_token(KEYS, cookie, NOW, lambda size: b"n" * size)
    opened = open_token(KEYS, cookie.reveal(), token, NOW)
    action = make_action_token(KEYS[0], opened.signup_id, opened.owner_secret)
    assert (
        token
        == "1800000000.bm5ubm5ubm5ubm5ubm5ubm5ubm4.XlBqWQypU6DGWAJgd3mMUjkzSBuuUrNN3_0WIB1QLrQ"
    )
    assert opened.signup_id == "suijdlh4icwec3rypimjqe"
    assert (
        opened.owner_secret.reveal()
        == "xtium4z5prnadliyxkjdjuyd4darwensw2nyyt3dondnkohok2sq"
    )
    assert action == "3WjIIsMYuit1k5UXR-Mh7LU-G-lz4R7NvmN8Z-DTLxE"


def test_a_form_may_stay_open_for_two_hours() -> None:
    """Copies of the site whose clocks differ by a minute take it from one another."""
    assert (LIFETIME, SKEW) == (7200, 60)


def test_an_action_token_is_for_one_signup_and_owner() -> None:
    """It is good under any current key, for its own signup and owner alone."""
    cookie, token = fresh()
    opened = open_token(KEYS, cookie.reveal(), token, NOW)
    other = open_token(KEYS, *((c.reveal(), t) for c, t in [fresh()]).__next__(), NOW)
    made = make_action_token(KEYS[0], opened.signup_id, opened.owner_secret)
    rotated = [Secret("n" * 40), *KEYS]
    assert is_action_token(rotated, opened.signup_id, opened.owner_secret, made)
    assert not is_action_token(KEYS, other.signup_id, opened.owner_secret, made)
    assert not is_action_token(KEYS, opened.signup_id, other.owner_secret, made)
    assert not is_action_token(KEYS, opened.signup_id, opened.owner_secret, "ä")
