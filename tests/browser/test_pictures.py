"""Every page in every look: nothing sticks out, nothing is refused by the policy."""

from __future__ import annotations

import re

import pytest

pytestmark = pytest.mark.browser

LOOKS = [
    "phone-light",
    "phone-dark",
    "desktop-light",
    "desktop-dark",
    "phone-light-no-js",
    "desktop-dark-no-js",
]
PAGES = {
    "landing": "/",
    "how-it-works": "/how-it-works",
    "join": "/join",
    "support": "/support",
    "terms": "/terms",
    "privacy": "/privacy",
    "signup": "/signup?plan=s4-large-monthly",
}


@pytest.mark.parametrize("look", LOOKS)
@pytest.mark.parametrize("name", PAGES)
def test_public_pages(open_window, look, name) -> None:
    """The page fits the window and says nothing on the console."""
    window = open_window(look)
    window.page.goto(PAGES[name])
    window.shoot(name)


@pytest.mark.parametrize("look", LOOKS)
def test_a_form_with_mistakes(open_window, look) -> None:
    """Each mistake is told beside its field, and what was typed is kept."""
    window = open_window(look)
    page = window.page
    page.goto("/signup")
    page.get_by_label("Email address").fill("änn@example.org")
    page.get_by_role("button", name="Go on to payment").click()
    page.get_by_text("characters that many mail servers cannot").wait_for()
    page.get_by_text("Please agree to the terms").wait_for()
    assert page.get_by_label("Email address").input_value() == "änn@example.org"
    window.shoot("signup-wrong")


@pytest.mark.parametrize("look", LOOKS)
def test_what_a_stranger_sees(open_window, running, look) -> None:
    """A signup's page in a browser that does not own it."""
    owner = open_window("desktop-light").page
    owner.goto("/signup")
    owner.get_by_label("Email address").fill("ann@example.org")
    owner.get_by_role("checkbox").check()
    owner.get_by_role("button", name="Go on to payment").click()
    owner.wait_for_url("**/c/pay/*")
    signup_id = re.search(r"su[a-z2-7]{20}", owner.url)[0]
    running.happen(signup_id, "paid", "identity-sealed", "delayed", "troubled")
    window = open_window(look)
    window.page.goto(f"/signup/{signup_id}")
    assert "pb://" not in window.page.content()
    window.shoot("status-stranger")


@pytest.mark.parametrize("look", LOOKS)
def test_pages_that_say_no(open_window, running, look) -> None:
    """A page that is not there, and signups that are paused."""
    window = open_window(look)
    window.page.goto("/nothing")
    window.shoot("not-found")
    running.say(close="We are full until Monday. Please come back then.")
    try:
        running.wait_until(lambda: running.health()["signups_open"] is False)
        window.page.goto("/")
        window.shoot("landing-paused")
    finally:
        running.say(close=None)
        running.wait_until(lambda: running.health()["signups_open"] is True)
