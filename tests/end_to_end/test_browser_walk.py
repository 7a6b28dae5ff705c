"""The whole signup in a real browser: our pages, Stripe's, and the grid that works."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.browser.conftest import SCREENSHOTS, SIZES, Window, chromium
from tests.end_to_end.checks import check_served
from tests.end_to_end.customer import Customer

pytestmark = pytest.mark.browser

__all__ = ["chromium"]  # the fixture of tests/browser: one way to have a browser

ADDRESS = "o'neil+{look}&co@exämple.org"


def open_window(browser: Any, site_url: str, look: str) -> Window:
    """One window; its complaints are kept."""
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    size, scheme, *rest = look.split("-", 2)
    context = browser.new_context(
        base_url=site_url,
        viewport=SIZES[size],
        color_scheme=scheme,
        java_script_enabled=not rest,
    )
    context.set_default_timeout(60_000)
    window = Window(context.new_page(), [], look)
    window.page.on("pageerror", lambda e: window.complaints.append(str(e)))
    return window


@pytest.mark.parametrize("look", ["desktop-light", "phone-dark-no-js"])
def test_a_customer_walks_from_the_landing_page_to_a_ready_grid(
    stack,
    chromium,
    look,
) -> None:
    """Landing, form, Stripe's page with a card, and the status page, which comes to the
    furl and to "ready" by itself, with JavaScript and without.
    """
    window = open_window(chromium, stack.layout.site_url, look)
    page = window.page
    page.goto("/")
    window.shoot("walk-1-landing")
    page.get_by_role("button", name="Choose Small").click()
    address = ADDRESS.format(look=look)
    page.get_by_label("Email address").fill(address)
    page.get_by_role("checkbox").check()
    window.shoot("walk-2-form")
    page.get_by_role("button", name="Go on to payment").click()
    page.wait_for_url("**/c/pay/*")
    page.get_by_label("Card number").fill("4242 4242 4242 4242")
    page.get_by_label("Expiry").fill("12 / 39")
    page.get_by_label("CVC").fill("123")
    window.shoot("walk-3-stripe")
    page.get_by_role("button", name="Pay").click()
    page.wait_for_url(re.compile(r"/signup/su[a-z2-7]{20}$"))

    page.locator("#furl").wait_for()
    furl = page.locator("#furl").text_content()
    window.shoot("walk-4-furl")
    page.get_by_role("heading", name="Your grid is ready").wait_for()
    page.locator("#headline", has_text="You can join now").wait_for()
    assert page.locator("#furl").text_content() == furl
    assert address in page.locator("strong.email").text_content()
    window.shoot("walk-5-ready")

    customer = Customer(stack, address)
    customer.visit.signup_id = page.url.rsplit("/", 1)[1]
    for cookie in page.context.cookies():
        customer.visit.http.cookies.set(cookie["name"], cookie["value"])
    check_served(stack, customer)
    assert customer.furl_on_page() == furl
    page.context.close()
