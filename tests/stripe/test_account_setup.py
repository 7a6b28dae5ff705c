"""What Stripe refuses whoever sets an account up, asked by stripe-python itself."""

from __future__ import annotations

from typing import Any

import pytest
import stripe

from lae_localcloud.stripe.notices import MOST_ENDPOINTS
from tests.stripe.bench import RESTRICTED_KEY, LocalStripeCase

HOOK: Any = {"url": "http://127.0.0.1:1/", "enabled_events": ["invoice.paid"]}


class SettingUpTests(LocalStripeCase):
    async def refusal(self, call: Any, *given: Any) -> stripe.StripeError:
        """The error of a call that must fail."""
        try:
            await self.away(call, *given)
        except stripe.StripeError as e:
            return e
        raise AssertionError(f"{call} was not refused")

    async def test_missing_right(self) -> None:
        """Of a missing right the message alone tells the name, beside parts of the
        key.
        """
        client = self.client(RESTRICTED_KEY)
        for call, right in (
            (client.v1.products.create, "rak_product_write"),
            (client.v1.prices.create, "rak_plan_write"),
            (client.v1.webhook_endpoints.create, "rak_webhook_write"),
            (client.v1.accounts.retrieve_current, "rak_accounts_kyc_basic_read"),
        ):
            error = await self.refusal(call, {})
            self.assertIsInstance(error, stripe.PermissionError)
            self.assertIsNone(error.code)
            self.assertIn(f"'{right}'", str(error))
            self.assertIn(RESTRICTED_KEY[-6:], str(error))

    @pytest.mark.asks_wrongly
    async def test_price_is_for_life(self) -> None:
        """A price's amount never changes, nor its tax once it is said."""
        prices, price = self.client().v1.prices, self.price()
        asked: Any = {"unit_amount": 1}
        error = await self.refusal(prices.update, price, asked)
        self.assertIn("unknown parameter: unit_amount", str(error))
        await self.away(prices.update, price, {"tax_behavior": "inclusive"})
        await self.away(prices.update, price, {"nickname": "as before"})
        asked = {"tax_behavior": "exclusive"}
        error = await self.refusal(prices.update, price, asked)
        self.assertIn("cannot change tax_behavior", str(error))

    async def test_archived_price_keeps_its_key(self) -> None:
        """A lookup key goes to another price only by a transfer, even from one that
        is sold no more.
        """
        prices, old = self.client().v1.prices, self.price()
        await self.away(prices.update, old, {"active": False})
        asked: Any = {
            "currency": "eur",
            "lookup_key": "small",
            "unit_amount": 1,
            "product_data": {"name": "Small"},
        }
        error = await self.refusal(prices.create, asked)
        self.assertIn("already uses that lookup key", str(error))
        await self.away(prices.create, {**asked, "transfer_lookup_key": True})
        self.assertIsNone(self.account.get("price", old)["lookup_key"])

    async def test_most_endpoints(self) -> None:
        """There are sixteen endpoints at most, those included that are disabled."""
        endpoints = self.client().v1.webhook_endpoints
        for _ in range(MOST_ENDPOINTS):
            made = await self.away(endpoints.create, HOOK)
        await self.away(endpoints.update, made.id, {"disabled": True})
        error = await self.refusal(endpoints.create, HOOK)
        self.assertIn("maximum of 16", str(error))
        await self.away(endpoints.delete, made.id)
        await self.away(endpoints.create, HOOK)

    @pytest.mark.asks_wrongly
    async def test_endpoint_is_of_one_version(self) -> None:
        """An endpoint's secret is told when it is made and never again, and its
        version stays.
        """
        endpoints = self.client().v1.webhook_endpoints
        made = await self.away(endpoints.create, HOOK)
        self.assertTrue(made.secret.startswith("whsec_"))
        seen = await self.away(endpoints.retrieve, made.id)
        (listed,) = (await self.away(endpoints.list)).data
        for thing in (seen, listed):
            self.assertNotIn("secret", thing.to_dict())
        asked: Any = {"api_version": "2026-10-28.endive"}
        error = await self.refusal(endpoints.update, made.id, asked)
        self.assertIn("unknown parameter: api_version", str(error))

    async def test_made_once(self) -> None:
        """A key gives the same answer again, with the secret in it; with other
        parameters it is refused.
        """
        endpoints = self.client().v1.webhook_endpoints
        with_key: Any = {"idempotency_key": "endpoint-1"}
        made = await self.away(endpoints.create, HOOK, with_key)
        again = await self.away(endpoints.create, HOOK, with_key)
        self.assertEqual((made.id, made.secret), (again.id, again.secret))
        other: Any = {**HOOK, "description": "another"}
        error = await self.refusal(endpoints.create, other, with_key)
        self.assertIsInstance(error, stripe.IdempotencyError)

    async def test_portal(self) -> None:
        """A configuration of the portal offers what it is told to, keeps the rest,
        and is never deleted.
        """
        portal = self.client().v1.billing_portal.configurations
        features: Any = {"invoice_history": {"enabled": True}}
        made = await self.away(portal.create, {"features": features})
        self.assertFalse(made.features.subscription_cancel.enabled)
        self.assertFalse(made.is_default)
        changed: Any = {"features": {"payment_method_update": {"enabled": True}}}
        await self.away(portal.update, made.id, changed)
        asked: Any = {"active": False, "login_page": {"enabled": True}}
        seen = await self.away(portal.update, made.id, asked)
        self.assertTrue(seen.features.invoice_history.enabled)
        self.assertTrue(seen.features.payment_method_update.enabled)
        self.assertTrue(seen.login_page.url)
        self.assertEqual((await self.away(portal.list, {"active": True})).data, [])
        asked = {"features": {"customer_update": {"enabled": True}}}
        error = await self.refusal(portal.update, made.id, asked)
        self.assertIn("at least one allowed update", str(error))
