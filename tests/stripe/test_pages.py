"""The hosted pages, as a browser without JavaScript walks through them."""

from __future__ import annotations

import re
import time
from typing import Any

import stripe

from lae_localcloud.stripe import checkout
from lae_localcloud.stripe.hosted import price_text
from tests.stripe.bench import ASKS, DECLINED, GOOD, LocalStripeCase, http, submit


class PageTests(LocalStripeCase):
    async def test_form(self) -> None:
        """The page shows plan, price, address and the way back, escaped."""
        opened = await self.opened(customer_email="o'neil+x&co@example.org")
        page = await self.away(http, "GET", opened.url)
        self.assertEqual(page.status, 200)
        for text in (
            "Small grid",
            "€9.00",
            "o&#39;neil+x&amp;co@example.org",
            "http://127.0.0.1:1/stopped",
            "4242 4242 4242 4242",
        ):
            self.assertIn(text, page.text)
        self.assertNotIn("<script", page.text)
        self.assertIn("default-src 'none'", page.headers["content-security-policy"])

    async def test_paid(self) -> None:
        """A good card pays, leads back with the session's id, and is charged once."""
        opened = await self.opened()
        before = time.time()
        answer = await self.pay(opened.url)
        self.assertEqual(answer.status, 303)
        self.assertEqual(
            answer.headers["location"], f"http://127.0.0.1:1/back?session={opened.id}"
        )
        found = self.account.get("checkout.session", opened.id)
        self.assertEqual(
            (found["status"], found["payment_status"]), ("complete", "paid")
        )
        self.assertEqual(found["customer_details"]["email"], "alice@example.org")
        subscription = self.account.get("subscription", found["subscription"])
        self.assertEqual(subscription["metadata"], {"s4_signup_id": "su1"})
        told = await self.control("GET", "sessions/su1")
        self.assertTrue(before <= told["t0"] <= time.time())

    async def test_doubled(self) -> None:
        """The button pressed twice pays once, and both lead back."""
        opened = await self.opened()
        first = await self.pay(opened.url)
        second = await self.pay(opened.url)
        self.assertEqual(first.headers["location"], second.headers["location"])
        self.assertEqual(len(list(self.account.all("charge"))), 1)
        page = await self.away(http, "GET", opened.url)
        self.assertEqual(page.status, 410)
        self.assertIn("all done", page.text)

    async def test_declined(self) -> None:
        """A declined card is told in the bank's words, and another may follow."""
        for number, words in (
            (DECLINED, "Your card was declined."),
            ("4000000000009995", "insufficient funds"),
            ("4000000000000341", "Your card was declined."),
        ):
            opened = await self.opened()
            answer = await self.pay(opened.url, number)
            self.assertEqual(answer.status, 402)
            self.assertIn(words, answer.text)
            # The card itself goes back to no page.
            self.assertNotIn(f'value="{number}"', answer.text)
            found = self.account.get("checkout.session", opened.id)
            self.assertEqual(found["payment_status"], "unpaid")
            again = await self.pay(opened.url)
            self.assertEqual(again.status, 303)

    async def test_authentication(self) -> None:
        """A card that asks leads to the bank's question; only a yes pays."""
        opened = await self.opened()
        for answer, paid in (("fail", False), ("complete", True)):
            asked = await self.pay(opened.url, ASKS)
            self.assertEqual(asked.status, 303)
            where = self.local.url + asked.headers["location"]
            page = await self.away(http, "GET", where)
            self.assertIn("Complete authentication", page.text)
            found = self.account.get("checkout.session", opened.id)
            self.assertEqual(found["status"], "open")
            done = await self.away(submit, where, answer=answer)
            self.assertEqual(done.status, 303 if paid else 402)
            if not paid:
                # The form that is shown then pays, for all that the page's address is
                # that of the bank's question, which was answered.
                (action,) = re.findall(
                    r'<form method="post" action="([^"]+)"', done.text
                )
                self.assertEqual(self.local.url + action, opened.url)
            self.assertEqual(found["status"], "complete" if paid else "open")

    async def test_mistyped(self) -> None:
        """A card that is none, is too old or not a test card is turned away."""
        opened = await self.opened()
        cases: list[tuple[dict[str, str], str]] = [
            ({"number": "4242424242424241"}, "number is invalid"),
            ({"number": "4111111111111111"}, "only test cards"),
            ({"number": "૪૨૪૨૪૨૪૨૪૨૪૨૪૨૪૨"}, "number is invalid"),
            ({"expiry": "12/20"}, "in the past"),
            ({"expiry": "13/40"}, "date is invalid"),
            ({"expiry": "soon"}, "incomplete"),
            ({"cvc": "12"}, "security code is incomplete"),
        ]
        for change, words in cases:
            given = {"number": GOOD, **change}
            answer = await self.pay(opened.url, **given)
            self.assertIn(words, answer.text)
        self.assertEqual(list(self.account.all("charge")), [])

    async def test_address_asked(self) -> None:
        """Where the session names no address, the page asks for it."""
        wanted = self.wanted()
        del wanted["customer_email"]
        create = self.client().v1.checkout.sessions.create
        opened: Any = await self.away(create, wanted)
        answer = await self.pay(opened.url)
        self.assertIn("Your email is invalid", answer.text)
        await self.pay(opened.url, email="bob@example.org")
        found = self.account.get("checkout.session", opened.id)
        self.assertEqual(found["customer_details"]["email"], "bob@example.org")

    async def test_gone(self) -> None:
        """An expired or unknown session's page says so and takes no money."""
        opened = await self.opened()
        checkout.expire_session(self.account, opened.id)
        for url, status in ((opened.url, 410), (f"{opened.url}x", 404)):
            self.assertEqual((await self.away(http, "GET", url)).status, status)
            self.assertEqual((await self.pay(url)).status, status)
        self.assertEqual(list(self.account.all("charge")), [])

    async def test_free(self) -> None:
        """Where nothing is due nothing is charged, and the status says so."""
        opened = await self.opened("free")
        await self.pay(opened.url)
        found = self.account.get("checkout.session", opened.id)
        self.assertEqual(found["payment_status"], "no_payment_required")
        self.assertEqual(list(self.account.all("charge")), [])

    async def test_allowed(self) -> None:
        """A session that allows cards alone takes no bank debit."""
        opened = await self.opened(allowed_payment_method_types=["card"])
        path = f"sessions/{opened.id}/pay"
        with self.assertRaises(AssertionError):
            await self.control("POST", path, {"method": "bank-debit"})
        session = self.account.get("checkout.session", opened.id)
        self.assertEqual(session["status"], "open")

    async def test_tax(self) -> None:
        """With automatic tax the page asks where the customer lives, and says how much
        of the price is tax; a price that does not say whether it is in it is refused.
        """
        with self.assertRaisesRegex(stripe.InvalidRequestError, "tax_behavior"):
            await self.opened(automatic_tax={"enabled": True})
        for price in self.account.all("price"):
            price["tax_behavior"] = "inclusive"
        opened = await self.opened(automatic_tax={"enabled": True})
        page = await self.away(http, "GET", opened.url)
        self.assertIn("of tax", page.text)
        lost = await self.pay(opened.url)
        self.assertIn("Your country is incomplete.", lost.text)
        lost = await self.pay(opened.url, country="AT")
        self.assertIn("Your postal code is incomplete.", lost.text)
        await self.pay(opened.url, country="at", postal_code="1010")
        session = self.account.get("checkout.session", opened.id)
        self.assertEqual(session["customer_details"]["address"]["country"], "AT")
        self.assertEqual(session["total_details"]["amount_tax"], 150)
        self.assertEqual(session["automatic_tax"]["status"], "complete")

    async def test_bank_debit(self) -> None:
        """A bank debit completes the session unpaid; the money comes later, or not."""
        for succeeded in (True, False):
            opened = await self.opened()
            path = f"sessions/{opened.id}"
            done = await self.control("POST", f"{path}/pay", {"method": "bank-debit"})
            self.assertEqual(
                (done["status"], done["payment_status"]), ("complete", "unpaid")
            )
            done = await self.control(
                "POST", f"{path}/settle", {"succeeded": succeeded}
            )
            paid = "paid" if succeeded else "unpaid"
            self.assertEqual(done["payment_status"], paid)
            outcome = "succeeded" if succeeded else "failed"
            kind = f"checkout.session.async_payment_{outcome}"
            self.assertEqual(self.kinds()[-1], kind)

    async def test_portal(self) -> None:
        """The portal cancels at the period's end, and takes it back."""
        opened = await self.opened()
        await self.pay(opened.url)
        customer = next(self.account.all("customer"))["id"]
        create = self.client().v1.billing_portal.sessions.create
        asked: Any = {"customer": customer, "return_url": "http://127.0.0.1:1/"}
        session: Any = await self.away(create, asked)
        subscription = next(self.account.all("subscription"))
        for do, ending, word in (
            ("cancel", True, "Ends on"),
            ("resume", False, "Renews on"),
        ):
            fields = {"subscription": subscription["id"], "do": do}
            await self.away(submit, session.url, **fields)
            self.assertEqual(subscription["cancel_at_period_end"], ending)
            page = await self.away(http, "GET", session.url)
            self.assertIn(word, page.text)
        unknown = await self.away(http, "GET", f"{session.url}x")
        self.assertEqual(unknown.status, 404)

    async def test_control_refuses(self) -> None:
        """The control endpoint takes no form of another page, and no nonsense."""
        for body, kind, status in (
            (b"kind=error", "application/x-www-form-urlencoded", 415),
            (b"kind", "application/json", 400),
            (b'{"kind": "storm"}', "application/json", 400),
            (b'{"kind": "error", "colour": 1}', "application/json", 400),
        ):
            answer = await self.away(
                http,
                "POST",
                f"{self.local.url}/_control/faults",
                body,
                content_type=kind,
            )
            self.assertEqual(answer.status, status, answer.text)
        self.assertEqual(self.local.api.faults.waiting, [])

    def test_price_text(self) -> None:
        """Amounts are written in whole units with the currency's sign."""
        self.assertEqual(price_text(123456, "eur"), "€1,234.56")
        self.assertEqual(price_text(900, "jpy"), "JPY 900")
        self.assertEqual(price_text(5, "chf"), "CHF 0.05")
