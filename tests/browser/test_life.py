"""A subscription's end, its way back and its bills, in a real browser."""

from __future__ import annotations

import re

import pytest

pytestmark = pytest.mark.browser

LOOKS = ["phone-light", "desktop-dark-no-js"]
SERVED = ("paid", "identity-sealed", "ready", "mail-accepted")


@pytest.fixture
def customer(open_window, running):
    """A window whose owner is served; what happens next is the test's."""

    def make(look: str, *kinds: str):
        window = open_window(look)
        page = window.page
        page.goto("/signup")
        page.get_by_label("Email address").fill("ann@example.org")
        page.get_by_role("checkbox").check()
        page.get_by_role("button", name="Go on to payment").click()
        page.wait_for_url("**/c/pay/*")
        signup_id = re.search(r"su[a-z2-7]{20}", page.url)[0]
        running.happen(signup_id, *SERVED, *kinds)
        page.goto(f"/signup/{signup_id}")
        return window, signup_id

    return make


@pytest.mark.parametrize("look", LOOKS)
def test_cancelling_and_thinking_better_of_it(customer, look) -> None:
    """The page asks and says what it means; then the way back is offered."""
    window, _ = customer(look)
    page = window.page
    page.get_by_role("link", name="Cancel the subscription").click()
    page.get_by_role("heading", name="Cancel your subscription?").wait_for()
    window.shoot("cancel-asks")
    page.get_by_role("button", name="Cancel the subscription").click()
    page.get_by_role("heading", name="Cancelled, and still running").wait_for()
    window.shoot("status-leaving")
    page.get_by_role("button", name="Withdraw the cancellation").click()
    page.get_by_role("heading", name="Withdraw the cancellation?").wait_for()
    window.shoot("return-asks")
    page.get_by_role("button", name="Keep my subscription").click()
    page.get_by_text("Your subscription continues.").wait_for()
    page.get_by_role("heading", name="Your grid is ready").wait_for()


@pytest.mark.parametrize(
    ("kinds", "heading"),
    [
        (("past-due",), "Please pay"),
        (("past-due", "suspended"), "Read-only"),
        (("past-due", "suspended", "stopped"), "Shut down"),
        (("ending", "ended"), "Ended"),
        (("ending", "ended", "deleting", "deleted"), "Deleted"),
    ],
)
def test_what_the_page_says(customer, kinds, heading) -> None:
    """Each state says what is so, and what can be done."""
    window, _ = customer("phone-light", *kinds)
    window.page.get_by_role("heading", name=heading, exact=True).wait_for()
    window.shoot(f"status-{kinds[-1]}")


def test_subscribing_again(customer) -> None:
    """The page of an ended subscription leads to the payment page."""
    window, signup_id = customer("phone-light", "ending", "ended")
    page = window.page
    page.get_by_role("button", name="Subscribe again").click()
    page.get_by_role("heading", name="Come back?").wait_for()
    window.shoot("come-back-asks")
    page.get_by_role("button", name="Subscribe again").click()
    page.wait_for_url(f"**/c/pay/{signup_id}-*")


def test_paid_again_in_another_browser(customer, open_window, running) -> None:
    """Of a subscription that has ended, the browser that pays reads that the payment is
    arriving, and the owner's open page awaits it; both go on by themselves.
    """
    owner, signup_id = customer("desktop-light", "ending", "ended")
    owner.page.get_by_role("heading", name="Ended", exact=True).wait_for()
    window = open_window("phone-light")
    page = window.page
    page.goto(f"/signup/{signup_id}/return#return-{signup_id}")
    page.get_by_role("button", name="Subscribe again").click()
    page.wait_for_url(f"**/c/pay/{signup_id}-*")
    owner.page.get_by_role("heading", name="Waiting for your payment").wait_for()
    page.get_by_role("button", name="Pay").click()
    page.get_by_role("heading", name="Your payment is arriving").wait_for()
    window.shoot("status-paid-again")
    running.happen(signup_id, "paid")
    for one in (page, owner.page):
        one.get_by_role("heading", name="Building your grid").wait_for()


@pytest.mark.parametrize("look", LOOKS)
def test_cancelled_while_it_is_built(open_window, running, look) -> None:
    """Who cancels while the grid is being built reads that it was done as asked, and
    what goes back.
    """
    window = open_window(look)
    page = window.page
    page.goto("/signup")
    page.get_by_label("Email address").fill("ann@example.org")
    page.get_by_role("checkbox").check()
    page.get_by_role("button", name="Go on to payment").click()
    page.wait_for_url("**/c/pay/*")
    signup_id = re.search(r"su[a-z2-7]{20}", page.url)[0]
    running.happen(signup_id, "paid", "identity-sealed")
    page.goto(f"/signup/{signup_id}/cancel")
    page.get_by_role("button", name="Cancel and refund me").click()
    page.get_by_text("Cancelled as you asked. Everything that you paid").wait_for()
    assert "could not build" not in page.content()
    window.shoot("status-withdrawn")


def test_a_mails_link_in_another_browser(customer, open_window) -> None:
    """Its code goes into the form and out of the address; the button cancels.  Another
    link takes the furl from the browser that ordered to this one.
    """
    owner, signup_id = customer("desktop-light")
    window = open_window("phone-dark")
    page = window.page
    page.goto(f"/signup/{signup_id}/cancel#cancel-{signup_id}")
    page.get_by_role("heading", name="Cancel your subscription?").wait_for()
    page.wait_for_url(re.compile("/cancel$"))
    assert not page.get_by_label("The link from our mail").is_visible()
    window.shoot("cancel-by-mail")
    page.get_by_role("button", name="Cancel the subscription").click()
    page.get_by_role("heading", name="Cancelled, and still running").wait_for()
    page.get_by_role("link", name="use this browser").click()
    window.shoot("browser")
    page.get_by_role("button", name="Mail me the link").click()
    page.get_by_text("We mailed a link").wait_for()
    assert "pb://" not in page.content()
    page.goto(f"/signup/{signup_id}/log-in#log-in-{signup_id}")
    page.wait_for_url(re.compile("/log-in$"))
    window.shoot("log-in")
    page.get_by_role("button", name="Use this browser").click()
    page.get_by_role("heading", name="furl").wait_for()
    window.shoot("logged-in")
    owner.page.reload()
    owner.page.get_by_text("Is this your signup?").wait_for()
    assert "pb://" not in owner.page.content()


@pytest.mark.parametrize("look", ["phone-light", "phone-dark-no-js"])
def test_a_damaged_link(customer, open_window, look) -> None:
    """The page of a link that lost its end says what to do, and takes the whole one."""
    _, signup_id = customer("desktop-light")
    window = open_window(look)
    page = window.page
    page.goto(f"/signup/{signup_id}/cancel#cancel-{signup_id[:-2]}")
    if window.look.endswith("no-js"):
        page.get_by_label("The link from our mail").fill(page.url)
    page.get_by_role("button", name="Cancel the subscription").click()
    page.get_by_text("This link is damaged, or no longer valid.").wait_for()
    window.shoot("cancel-damaged")
    page.get_by_label("The link from our mail").fill(f"x#cancel-{signup_id}")
    page.get_by_role("button", name="Cancel the subscription").click()
    page.get_by_role("heading", name="Cancelled, and still running").wait_for()


def test_a_mails_link_without_a_script(customer, open_window) -> None:
    """The link can be pasted by hand."""
    _, signup_id = customer("desktop-light")
    window = open_window("phone-light-no-js")
    page = window.page
    page.goto(f"/signup/{signup_id}/cancel#cancel-{signup_id}")
    field = page.get_by_label("The link from our mail")
    field.fill(f"http://localhost/signup/{signup_id}/cancel#cancel-{signup_id}")
    window.shoot("cancel-by-hand")
    page.get_by_role("button", name="Cancel the subscription").click()
    page.get_by_role("heading", name="Cancelled, and still running").wait_for()
