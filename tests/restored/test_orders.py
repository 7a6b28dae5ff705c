"""What was ordered, read from the local Stripe by the real client; and read back."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from twisted.trial.unittest import TestCase

from lae_flapp.restored.orders import StripeOrders, order_from
from tests.money.bench import PLAN, StripeBench, request


class OrderTests(TestCase):
    def setUp(self) -> None:
        self.bench = StripeBench()
        self.bench.start()

    def tearDown(self) -> Any:
        return self.bench.stop()

    async def paid(self) -> Any:
        opened = await self.bench.payments.open_checkout(request())
        await self.bench.pay(opened.session_id)
        return await self.bench.payments.fetch_session(opened.session_id)

    async def test_an_order(self) -> None:
        """Address, plan, price and language are as they were when it was ordered."""
        order = await StripeOrders(self.bench.payments.calls).fetch(await self.paid())
        self.assertEqual(order.email.reveal(), "o'neil+x&co@xn--exmple-cua.org")
        self.assertEqual(order.price.lookup_key, PLAN.plan_id)
        self.assertTrue(order.price.agrees(PLAN.price, PLAN.currency, PLAN.interval))
        self.assertEqual((order.language, order.lives), ("de", True))

    async def test_unpaid(self) -> None:
        """A session without a subscription is no order."""
        opened = await self.bench.payments.open_checkout(request())
        orders = StripeOrders(self.bench.payments.calls)
        self.assertIsNone(await orders.fetch(opened))

    async def test_what_is_read_back_names_the_session(self) -> None:
        """What is read back names the session, as a webhook would have."""
        session = await self.paid()
        since = datetime.now(UTC) - timedelta(hours=1)
        found = await self.bench.payments.hints_since(since)
        [completed] = [h for h in found if h.kind == "checkout.session.completed"]
        self.assertEqual(completed.object_id, session.session_id)


def test_a_customer_without_an_address() -> None:
    """Without an address nobody could be written to: no order."""
    subscription = {"items": {"data": [{"price": {}}]}, "status": "active"}
    assert order_from(subscription, {"email": None}, {"customer_details": None}) is None
