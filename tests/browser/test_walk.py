"""A signup as a customer's browser has it, with JavaScript and without."""

from __future__ import annotations

import re
import signal

import pytest

from tests.browser.conftest import SCREENSHOTS

pytestmark = pytest.mark.browser

ADDRESS = "o'neil+x&co@exämple.org"
BUILT = (
    *("bucket-ready", "role-ready", "instance-launched", "address-ready"),
    *("claimed", "self-test-passed", "ready"),
)


#: Keeps what the button says while the form is under way, for the page that follows.
REMEMBER_BUTTON = """
document.querySelector("main form").addEventListener("submit", (event) =>
  queueMicrotask(() => {
    sessionStorage.said = event.target.querySelector("[type=submit]").textContent;
  }));
"""


def sign_up(window, email=ADDRESS) -> str:
    """From the landing page to Stripe's; the id of the signup."""
    page = window.page
    page.goto("/")
    page.get_by_role("button", name="Choose Small").click()
    page.get_by_label("Email address").fill(email)
    page.get_by_role("checkbox").check()
    page.get_by_role("button", name="Go on to payment").click()
    page.wait_for_url("**/c/pay/*")
    return re.search(r"su[a-z2-7]{20}", page.url)[0]


def see(window, text) -> None:
    """Wait until the page has this; without JavaScript, load it again."""
    if window.look.endswith("no-js"):
        window.page.reload()
    window.page.get_by_text(text).wait_for()


@pytest.mark.parametrize(
    "look", ["phone-light", "desktop-dark", "phone-dark-no-js", "desktop-light-no-js"]
)
def test_a_signup_in_a_real_browser(open_window, running, look) -> None:
    """A customer chooses, registers, pays, watches, and ends with a furl that works
    to be copied; each page on the way is kept as a picture.
    """
    window = open_window(look)
    page = window.page
    signup_id = sign_up(window)
    assert running.say()[signup_id] == ADDRESS

    page.get_by_role("link", name="Back").click()
    page.get_by_text("Nothing was charged").wait_for()
    window.shoot("status-not-paid")
    page.get_by_role("button", name="Go to the payment page").click()
    page.get_by_role("button", name="Pay").click()

    page.locator("#furl").wait_for()
    assert page.url.endswith(f"/signup/{signup_id}")
    furl = page.locator("#furl").text_content()
    assert furl.startswith("pb://")
    running.happen(signup_id, "bucket-ready", "role-ready", "instance-launched")
    see(window, "Your own server is started")
    window.shoot("status-building")

    running.happen(signup_id, *BUILT[3:], "mail-accepted")
    see(window, "You can join now. We mailed you how.")
    assert page.get_by_role("heading", name="Your grid is ready").is_visible()
    assert ADDRESS in page.locator("strong.email").text_content()
    window.shoot("status-ready")

    page.get_by_role("button", name="Send the mail again").click()
    page.get_by_text("sending the mail again").wait_for()
    page.get_by_role("link", name="Correct the email address").click()
    page.get_by_label("Email address").fill("ann@")
    page.get_by_role("button", name="Use this email address").click()
    page.get_by_text("part after the @ sign is missing").wait_for()
    window.shoot("address-wrong")
    page.get_by_label("Email address").fill("ann@example.org")
    page.get_by_role("button", name="Use this email address").click()
    page.get_by_text("Your email address is corrected").wait_for()
    assert running.say()[signup_id] == "ann@example.org"


def test_without_javascript_the_page_loads_itself(open_window, running) -> None:
    """A page without JavaScript shows after some seconds what happened meanwhile."""
    window = open_window("phone-light-no-js")
    signup_id = sign_up(window)
    window.page.goto(f"/signup/{signup_id}")
    window.page.get_by_text("Waiting for your payment").wait_for()
    running.happen(signup_id, "paid", "identity-sealed")
    window.page.locator("#furl").wait_for()


@pytest.mark.parametrize("look", ["phone-light", "desktop-dark-no-js"])
def test_an_order_that_was_never_paid(open_window, running, look) -> None:
    """After the payment page expired the customer can pay after all, or cancel."""
    window = open_window(look)
    page = window.page
    signup_id = sign_up(window)
    running.happen(signup_id, "checkout-expired")
    page.goto(f"/signup/{signup_id}")
    window.shoot("status-expired")
    page.get_by_role("button", name="Open a new payment page").click()
    page.wait_for_url("**/c/pay/*-1")
    running.happen(signup_id, "checkout-expired")
    page.goto(f"/signup/{signup_id}")
    page.get_by_role("link", name="Cancel this order").click()
    window.shoot("cancel")
    page.get_by_role("button", name="Cancel the order").click()
    page.get_by_text("This order is cancelled").wait_for()
    window.shoot("status-cancelled")


def test_the_furl_comes_to_the_open_page(open_window, running) -> None:
    """The furl comes to the page as it was opened, and can be copied with one click."""
    window = open_window("desktop-light")
    page = window.page
    signup_id = sign_up(window)
    page.goto(f"/signup/{signup_id}")
    page.get_by_role("heading", name="Waiting for your payment").wait_for()
    page.evaluate("window.sameDocument = true")
    running.happen(signup_id, "paid", "identity-sealed")
    page.locator("#furl").wait_for()
    page.get_by_role("button", name="Copy").click()
    page.get_by_role("button", name="Copied").wait_for()
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied == page.locator("#furl").text_content()
    assert page.evaluate("window.sameDocument")


def test_an_open_page_outlives_the_daemon(open_window, running) -> None:
    """While the daemon is away the open page says so; when it is back the page goes on
    by itself.  The site serves the rest, and is not restarted.
    """
    window = open_window("phone-dark")
    page = window.page
    signup_id = sign_up(window)
    page.goto(f"/signup/{signup_id}")
    page.get_by_role("heading", name="Waiting for your payment").wait_for()
    site = running.site.pid
    running.stop_twin()
    page.locator("#away").wait_for()
    window.shoot("status-daemon-away")
    running.wait_until(lambda: not running.health()["daemon"]["answers"])
    other = open_window("phone-light")
    other.page.goto("/")
    other.page.get_by_text("You cannot sign up at the moment").wait_for()
    other.shoot("landing-daemon-away")
    other.page.goto("/signup")
    other.page.get_by_label("Email address").fill(ADDRESS)
    other.page.get_by_role("checkbox").check()
    other.page.get_by_role("button", name="Go on to payment").click()
    other.page.get_by_text("You have not been charged").wait_for()
    assert other.page.get_by_label("Email address").input_value() == ADDRESS
    other.shoot("signup-daemon-away")
    running.start_twin()
    running.wait_until(lambda: running.health()["daemon"]["answers"])
    other.page.get_by_role("button", name="Go on to payment").click()
    other.page.wait_for_url("**/c/pay/*")
    assert running.site.pid == site
    assert running.site.poll() is None


def test_going_offline_is_said(open_window, running) -> None:
    """A page whose browser goes offline says so, and goes on by itself afterwards."""
    window = open_window("phone-light")
    page = window.page
    signup_id = sign_up(window)
    running.happen(signup_id, "paid", "identity-sealed")
    page.goto(f"/signup/{signup_id}")
    page.get_by_role("heading", name="Building your grid").wait_for()
    assert not page.locator("#offline").is_visible()
    page.context.set_offline(True)
    page.locator("#offline").wait_for()
    window.shoot("status-offline")
    running.happen(signup_id, "bucket-ready")
    page.context.set_offline(False)
    page.locator("#offline").wait_for(state="hidden")
    page.get_by_text("Your own storage bucket is made").wait_for()


def test_a_frozen_daemon_at_submit(open_window, running) -> None:
    """While a form is under way its button says so; a daemon that hangs is told beside
    the form, with all that was typed.
    """
    window = open_window("desktop-light")
    page = window.page
    page.goto("/signup")
    page.get_by_label("Email address").fill("ann@example.org")
    page.get_by_role("checkbox").check()
    page.evaluate(REMEMBER_BUTTON)
    running.twin.send_signal(signal.SIGSTOP)
    try:
        page.get_by_role("button", name="Go on to payment").click()
        page.get_by_text("You have not been charged. Please send").wait_for()
        assert page.evaluate("sessionStorage.said") == "Opening the payment page…"
        assert page.get_by_label("Email address").input_value() == "ann@example.org"
        assert page.get_by_role("checkbox").is_checked()
    finally:
        running.twin.send_signal(signal.SIGCONT)
    running.wait_until(lambda: running.health()["daemon"]["answers"])
    page.get_by_role("button", name="Go on to payment").click()
    page.wait_for_url("**/c/pay/*")


@pytest.mark.parametrize("look", ["phone-light", "desktop-dark-no-js"])
def test_two_tabs_with_one_address(open_window, running, look) -> None:
    """The second of two forms with one address is asked about before it is an order."""
    window = open_window(look)
    page = window.page
    second = page.context.new_page()
    second.goto("/signup")
    signup_id = sign_up(window, "ann@example.org")
    second.get_by_label("Email address").fill("ann@example.org")
    second.get_by_role("checkbox").check()
    second.get_by_role("button", name="Go on to payment").click()
    second.get_by_text("you have an order with this email address already").wait_for()
    link = second.get_by_role("link", name="See that order")
    assert link.get_attribute("href") == f"/signup/{signup_id}"
    second.screenshot(path=SCREENSHOTS / f"signup-two-tabs-{look}.png", full_page=True)
    second.get_by_label("I want another subscription").check()
    second.get_by_role("button", name="Go on to payment").click()
    second.wait_for_url("**/c/pay/*")
    assert signup_id not in second.url


@pytest.mark.parametrize("look", ["phone-dark", "desktop-light-no-js"])
def test_a_slip_in_the_address(open_window, look) -> None:
    """A mail domain that is probably a slip is asked about, and the box answers."""
    window = open_window(look)
    page = window.page
    page.goto("/signup")
    page.get_by_label("Email address").fill("ann@gmial.com")
    page.get_by_role("checkbox").check()
    page.get_by_role("button", name="Go on to payment").click()
    page.get_by_text("Did you mean ann@gmail.com?").wait_for()
    window.shoot("signup-slip")
    page.get_by_label("No, ann@gmial.com is right.").check()
    page.get_by_role("button", name="Go on to payment").click()
    page.wait_for_url("**/c/pay/*")


def test_the_focus_is_on_what_is_missing(open_window) -> None:
    """With only the terms left out, the focus is on their box."""
    window = open_window("desktop-light")
    page = window.page
    page.goto("/signup")
    page.get_by_label("Email address").fill("ann@example.org")
    page.get_by_role("button", name="Go on to payment").click()
    page.get_by_text("Please agree to the terms").wait_for()
    assert page.evaluate("document.activeElement.name") == "terms"


def test_a_browser_that_leaves_is_no_error(open_window, running) -> None:
    """Closing a page that watches leaves no error in the site's log."""
    window = open_window("phone-light")
    signup_id = sign_up(window)
    window.page.goto(f"/signup/{signup_id}")
    running.wait_until(lambda: running.health()["streams"] > 0)
    window.page.goto("about:blank")
    running.wait_until(lambda: running.health()["streams"] == 0)
    running.happen(signup_id, "paid")
    levels = re.findall(r'"level": "(\w+)"', running.log())
    assert levels
    assert not {"error", "critical"} & set(levels)
    assert "Traceback" not in running.log()
