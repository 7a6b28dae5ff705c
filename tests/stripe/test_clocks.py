"""Test clocks: months pass in an API call, and bring what they bring at Stripe."""

from __future__ import annotations

import time
from typing import Any

import stripe

from lae_localcloud.stripe import payment
from lae_localcloud.stripe.cards import Card
from tests.stripe.bench import DECLINED, GOOD, LocalStripeCase, submit

DAY = 24 * 3600
RENEWED = [
    "customer.subscription.updated",
    "invoice.created",
    "invoice.finalized",
    "payment_intent.created",
    "charge.succeeded",
    "payment_intent.succeeded",
    "invoice_payment.paid",
    "invoice.paid",
    "invoice.payment_succeeded",
]
FAILED = [
    "charge.failed",
    "payment_intent.payment_failed",
    "invoice.payment_failed",
]


class ClockTests(LocalStripeCase):
    """One subscriber on a clock."""

    async def subscribed(self, plan: str = "small") -> Any:
        """A customer who has paid and lives on a clock from now on."""
        session = await self.opened(plan)
        payment.complete(self.account, session.id, Card(GOOD, 12, 2040), 1.0)
        (subscription,) = self.account.all("subscription")
        self.start = int(time.time())
        self.clock = await self.away(
            self.client().v1.test_helpers.test_clocks.create,
            {"frozen_time": self.start, "customer": subscription["customer"]},
        )
        self.seen = len(self.kinds())
        return subscription

    async def pass_days(self, days: float) -> list[str]:
        """So many days after the start; what happened since the last look."""
        clocks = self.client().v1.test_helpers.test_clocks
        to = self.start + int(days * DAY)
        told = await self.away(clocks.advance, self.clock.id, {"frozen_time": to})
        self.assertEqual(told.status, "advancing")
        now = await self.away(clocks.retrieve, self.clock.id)
        self.assertEqual((now.status, now.frozen_time), ("ready", to))
        every = self.kinds()
        new, self.seen = every[self.seen :], len(every)
        return [k for k in new if not k.startswith("test_helpers")]

    async def refuse(self, customer: str, number: str = DECLINED) -> None:
        """The bank says no from now on."""
        await self.control("POST", f"customers/{customer}/card", {"number": number})

    async def test_renewal(self) -> None:
        """A month later it is charged again, with the events in Stripe's order; the
        period has moved on, and the hosted invoice is paid.
        """
        subscription = await self.subscribed()
        before = subscription["items"]["data"][0]["current_period_end"]
        self.assertEqual(await self.pass_days(29.9), [])
        self.assertEqual(await self.pass_days(30.5), RENEWED)
        self.assertEqual(subscription["status"], "active")
        item = subscription["items"]["data"][0]
        self.assertEqual(item["current_period_start"], before)
        self.assertEqual(item["current_period_end"], before + 30 * DAY)
        invoice = self.account.get("invoice", subscription["latest_invoice"])
        self.assertEqual(invoice["billing_reason"], "subscription_cycle")
        self.assertEqual((invoice["status"], invoice["attempt_count"]), ("paid", 1))
        self.assertEqual(invoice["test_clock"], self.clock.id)

    async def test_two_months(self) -> None:
        """Two intervals in one go are two renewals; more is refused."""
        await self.subscribed()
        self.assertEqual(await self.pass_days(60), [*RENEWED, *RENEWED[:2]])
        with self.assertRaises(stripe.InvalidRequestError):
            await self.pass_days(200)
        with self.assertRaises(stripe.InvalidRequestError):
            await self.pass_days(1)

    async def test_cancelled_at_the_periods_end(self) -> None:
        """It ends then, and nothing is charged any more."""
        subscription = await self.subscribed()
        asked = {"cancel_at_period_end": True}
        await self.away(
            self.client().v1.subscriptions.update, subscription["id"], asked
        )
        self.assertEqual(
            await self.pass_days(31),
            ["customer.subscription.updated", "customer.subscription.deleted"],
        )
        self.assertEqual(subscription["status"], "canceled")
        self.assertEqual(await self.pass_days(90), [])

    async def test_never_paid(self) -> None:
        """A refused renewal is past due, tried again three times, and then over."""
        subscription = await self.subscribed()
        await self.refuse(subscription["customer"])
        first = await self.pass_days(30.5)
        begun = [*RENEWED[:4], *FAILED, "customer.subscription.updated"]
        self.assertEqual(first, begun)
        self.assertEqual(subscription["status"], "past_due")
        invoice = self.account.get("invoice", subscription["latest_invoice"])
        self.assertEqual(
            invoice["next_payment_attempt"] - invoice["created"], 3 * DAY + 3600
        )
        self.assertEqual(await self.pass_days(34), FAILED)
        self.assertEqual(await self.pass_days(39), FAILED)
        over = [*FAILED, "customer.subscription.deleted"]
        self.assertEqual(await self.pass_days(46), over)
        self.assertEqual(subscription["status"], "canceled")
        reason = subscription["cancellation_details"]["reason"]
        self.assertEqual(reason, "payment_failed")
        self.assertEqual((invoice["status"], invoice["attempt_count"]), ("open", 4))

    async def test_left_unpaid(self) -> None:
        """By the account's setting it is left unpaid instead."""
        subscription = await self.subscribed()
        await self.control("PUT", "settings", {"after_retries": "unpaid"})
        await self.refuse(subscription["customer"])
        await self.pass_days(50)
        self.assertEqual(subscription["status"], "unpaid")

    async def test_a_retry_that_works(self) -> None:
        """The bank thinks better of it: paid, and active again."""
        subscription = await self.subscribed()
        await self.refuse(subscription["customer"])
        await self.pass_days(31)
        await self.refuse(subscription["customer"], GOOD)
        happened = await self.pass_days(35)
        self.assertIn("invoice.paid", happened)
        self.assertEqual(happened[-1], "customer.subscription.updated")
        self.assertEqual(subscription["status"], "active")

    async def test_paid_on_the_invoices_page(self) -> None:
        """The customer pays there with another card, which then renews."""
        subscription = await self.subscribed()
        await self.refuse(subscription["customer"])
        await self.pass_days(31)
        invoice = self.account.get("invoice", subscription["latest_invoice"])
        url = invoice["hosted_invoice_url"]
        fields = {"expiry": "12/40", "cvc": "123"}
        declined = await self.away(submit, url, number=DECLINED, **fields)
        self.assertEqual(declined.status, 402)
        self.assertEqual(subscription["status"], "past_due")
        paid = await self.away(submit, url, number=GOOD, **fields)
        self.assertEqual(paid.status, 303)
        self.assertEqual(
            (subscription["status"], invoice["status"]), ("active", "paid")
        )
        await self.pass_days(61)
        self.assertEqual(subscription["status"], "active")

    async def test_void(self) -> None:
        """A void invoice cannot be paid, nor made void again."""
        subscription = await self.subscribed()
        await self.refuse(subscription["customer"])
        await self.pass_days(31)
        name = subscription["latest_invoice"]
        void = self.client().v1.invoices.void_invoice
        self.assertEqual((await self.away(void, name)).status, "void")
        with self.assertRaises(stripe.InvalidRequestError):
            await self.away(void, name)
        url = self.account.get("invoice", name)["hosted_invoice_url"]
        await self.away(submit, url, number=GOOD, expiry="12/40", cvc="123")
        self.assertEqual(self.account.get("invoice", name)["status"], "void")

    async def test_another_customer_lives_on_no_clock(self) -> None:
        """Time passes for the clock's customers alone."""
        subscription = await self.subscribed()
        session = await self.opened()
        payment.complete(self.account, session.id, Card(GOOD, 12, 2040), 1.0)
        self.seen = len(self.kinds())
        self.assertEqual(await self.pass_days(30.5), RENEWED)
        other = next(
            s for s in self.account.all("subscription") if s["id"] != subscription["id"]
        )
        self.assertIsNone(other["test_clock"])

    async def test_dispute(self) -> None:
        """A bank that asks a charge back makes a dispute that names it."""
        await self.subscribed()
        charge = next(self.account.all("charge"))
        made = await self.control("POST", f"charges/{charge['id']}/dispute", {})
        self.assertEqual((made["object"], made["charge"]), ("dispute", charge["id"]))
        self.assertEqual(self.kinds()[-1], "charge.dispute.created")
