"""The hosted pages in a real Chromium, with JavaScript and without."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, sync_playwright

from tests.chromium import ARGUMENTS, CHROMIUM, MISSING
from tests.stripe.bench import ASKS, DECLINED, LocalStripeCase

SCREENSHOTS = Path(__file__).parents[2] / "build" / "screenshots" / "stripe"
DESK: dict[str, Any] = {"viewport": {"width": 1100, "height": 760}}
PHONE: dict[str, Any] = {
    "viewport": {"width": 360, "height": 740},
    "color_scheme": "dark",
    "java_script_enabled": False,
}


def fill(page: Page, number: str) -> None:
    """Type a card and press the button."""
    page.fill("#number", " ".join(number[i : i + 4] for i in range(0, 16, 4)))
    page.fill("#expiry", "12 / 40")
    page.fill("#cvc", "123")
    page.click("#pay")


def walk(url: str, portal: str, name: str, options: dict[str, Any]) -> dict[str, Any]:
    """A customer's way through every page; what they saw."""
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    seen: dict[str, Any] = {"wide": []}
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        page = browser.new_page(**options)
        width = options["viewport"]["width"]

        def picture(what: str) -> None:
            path = SCREENSHOTS / f"{name}-{what}.png"
            page.screenshot(path=path, full_page=True)
            # A page that is too wide makes a picture that is.
            if int.from_bytes(path.read_bytes()[16:20], "big") > width:
                seen["wide"].append(what)

        page.goto(url)
        seen["email"] = page.inner_text("#email")
        page.click("summary")
        picture("pay")
        fill(page, DECLINED)
        seen["declined"] = page.inner_text("[role=alert]")
        picture("declined")
        fill(page, ASKS)
        picture("authenticate")
        page.click("#complete")
        seen["back"] = page.url
        page.goto(url)
        seen["done"] = page.inner_text("h1")
        picture("done")
        page.goto(portal)
        picture("portal")
        browser.close()
    return seen


@pytest.mark.browser
@pytest.mark.skipif(CHROMIUM is None, reason=MISSING)
class BrowserTests(LocalStripeCase):
    async def walked(self, name: str, options: dict[str, Any]) -> None:
        """Walk and check."""
        kept = await self.opened()
        await self.pay(kept.url)
        customer = next(self.account.all("customer"))["id"]
        create = self.client().v1.billing_portal.sessions.create
        portal: Any = await self.away(create, {"customer": customer})
        back = f"{self.local.url}/pages.css?session={{CHECKOUT_SESSION_ID}}"
        opened = await self.opened(success_url=back, cancel_url=back)
        seen = await self.away(walk, opened.url, portal.url, name, options)
        self.assertEqual(seen["email"], "alice@example.org")
        self.assertEqual(seen["declined"], "Your card was declined.")
        self.assertIn(opened.id, seen["back"])
        self.assertIn("all done", seen["done"])
        self.assertEqual(seen["wide"], [])
        found = self.account.get("checkout.session", opened.id)
        self.assertEqual(found["payment_status"], "paid")

    async def test_desk(self) -> None:
        """On a desk, in light, with JavaScript, the pages lead to a payment."""
        await self.walked("desk", DESK)

    async def test_phone(self) -> None:
        """On a phone, in the dark, without JavaScript, they do as well."""
        await self.walked("phone", PHONE)
