"""The API's edge and its rules, asked by stripe-python itself."""

from __future__ import annotations

import time
from typing import Any

import pytest
import stripe
from twisted.internet.defer import Deferred

from tests.stripe.bench import RESTRICTED_KEY, LocalStripeCase, http


class ApiTests(LocalStripeCase):
    async def refused(self, kind: type[Exception], call: Any, *given: Any) -> Any:
        """The error of a call that must fail."""
        try:
            await self.away(call, *given)
        except kind as e:
            return e
        raise AssertionError(f"{call} was not refused")

    async def test_keys(self) -> None:
        """A key that is missing, unknown or not permitted gets Stripe's own answers."""
        answer = await self.away(http, "GET", f"{self.local.url}/v1/prices")
        self.assertEqual(answer.status, 401)
        wrong = self.client("sk_test_nobody")
        await self.refused(stripe.AuthenticationError, wrong.v1.prices.list)
        restricted = self.client(RESTRICTED_KEY)
        await self.away(restricted.v1.prices.list)
        asked: Any = {"name": "Something"}
        error = await self.refused(
            stripe.PermissionError, restricted.v1.products.create, asked
        )
        self.assertEqual(error.http_status, 403)

    async def test_version(self) -> None:
        """Another version of the API is not spoken."""
        error = await self.refused(
            stripe.InvalidRequestError,
            self.client().v1.prices.list,
            {},
            {"stripe_version": "2020-08-27"},
        )
        self.assertIn("version", str(error))

    async def test_unknown(self) -> None:
        """What is not there is a 404 with Stripe's code; an unknown URL says so."""
        error = await self.refused(
            stripe.InvalidRequestError,
            self.client().v1.checkout.sessions.retrieve,
            "cs_test_no",
        )
        self.assertEqual((error.http_status, error.code), (404, "resource_missing"))
        error = await self.refused(
            stripe.InvalidRequestError, self.client().v1.coupons.list
        )
        self.assertIn("Unrecognized request URL", str(error))

    @pytest.mark.asks_wrongly
    async def test_parameters(self) -> None:
        """A parameter that stripe-python does not know, or of another type, is refused
        and told to the tests.
        """
        create = self.client().v1.checkout.sessions.create
        planted: dict[str, Any] = {
            "Received unknown parameter: costumer": {"costumer": "cus_1"},
            "Invalid mode: must be one of": {"mode": "subscribe"},
            "Invalid integer: soon": {"expires_at": "soon"},
            "line_items[0][qty]": {"line_items": [{"price": self.price(), "qty": 1}]},
        }
        for said, wrong in planted.items():
            asked = {**self.wanted(), **wrong}
            error = await self.refused(stripe.InvalidRequestError, create, asked)
            self.assertIn(said, str(error))

    async def test_request_ids(self) -> None:
        """Each answer has a request id, and an error names the same."""
        found = await self.away(self.client().v1.prices.list)
        self.assertRegex(found.last_response.request_id, "^req_")
        error = await self.refused(
            stripe.InvalidRequestError, self.client().v1.prices.retrieve, "price_no"
        )
        self.assertRegex(error.request_id, "^req_")

    def create(self, key: str, **other: Any) -> Deferred[Any]:
        """A session under an idempotency key."""
        options: Any = {"idempotency_key": key}
        return self.away(
            self.client().v1.checkout.sessions.create, self.wanted(**other), options
        )

    async def test_idempotency(self) -> None:
        """The same key gives the same answer and says so; another request with it
        is refused; a request that was refused before it began may be mended.
        """
        expires = int(time.time()) + 3600
        first = await self.create("k", expires_at=expires)
        again = await self.create("k", expires_at=expires)
        self.assertEqual(first.id, again.id)
        headers = again.last_response.headers
        self.assertEqual(headers["idempotent-replayed"], "true")
        self.assertNotIn("idempotent-replayed", first.last_response.headers)
        with self.assertRaises(stripe.IdempotencyError) as raised:
            await self.create("k", expires_at=expires + 1)
        self.assertEqual(raised.exception.http_status, 400)
        with self.assertRaises(stripe.InvalidRequestError):
            await self.create("mended", customer_email="nobody")
        await self.create("mended")
        self.assertEqual(len(list(self.account.all("checkout.session"))), 2)

    async def test_key_forgotten(self) -> None:
        """After 24 hours a key is new again, as Stripe forgets it."""
        first = await self.create("k")
        self.account.now = lambda: time.time() + 24 * 3600 + 60
        soon = int(time.time()) + 26 * 3600
        second = await self.create("k", expires_at=soon)
        self.assertNotEqual(first.id, second.id)

    async def test_session_rules(self) -> None:
        """What the types cannot say is refused as well, with the parameter's name."""
        now = int(time.time())
        cases: list[tuple[dict[str, Any], str]] = [
            ({"expires_at": now + 29 * 60}, "expires_at"),
            ({"expires_at": now + 25 * 3600}, "expires_at"),
            ({"customer_email": "é@example.org"}, "customer_email"),
            ({"customer_email": "nobody"}, "customer_email"),
            ({"success_url": "nowhere"}, "success_url"),
            ({"line_items": [{"price": "price_no"}]}, "line_items[0][price]"),
            ({"customer": "cus_no", "customer_email": ""}, "customer_email"),
            ({"client_reference_id": "x" * 201}, "client_reference_id"),
            ({"mode": "payment"}, "mode"),
            ({"payment_intent_data": {"description": "x"}}, "payment_intent_data"),
        ]
        for change, param in cases:
            error = await self.refused(
                stripe.InvalidRequestError,
                self.client().v1.checkout.sessions.create,
                self.wanted(**change),
            )
            self.assertEqual(error.param, param, change)
        self.assertEqual(list(self.account.all("checkout.session")), [])

    async def test_expiry(self) -> None:
        """A session ends by itself, or when told to; once, and with its event."""
        one, two = await self.opened(), await self.opened()
        sessions = self.client().v1.checkout.sessions
        ended = await self.away(sessions.expire, one.id)
        self.assertEqual((ended.status, ended.url), ("expired", None))
        await self.refused(stripe.InvalidRequestError, sessions.expire, one.id)
        self.account.now = lambda: time.time() + 32 * 60
        found = await self.away(sessions.retrieve, two.id)
        self.assertEqual(found.status, "expired")
        self.assertEqual(self.kinds().count("checkout.session.expired"), 2)

    async def test_lists(self) -> None:
        """Lists are paged, newest first, by cursor and by time of making."""
        ids = [(await self.opened()).id for _ in range(5)]
        sessions = self.client().v1.checkout.sessions

        def walk() -> list[str]:
            pages = sessions.list({"limit": 2})
            return [s.id for s in pages.auto_paging_iter()]

        self.assertEqual(await self.away(walk), ids[::-1])
        first = await self.away(sessions.list, {"limit": 2})
        self.assertTrue(first.has_more)
        later = {"created": {"gte": int(time.time()) + 100}}
        self.assertEqual((await self.away(sessions.list, later)).data, [])
        before = await self.away(sessions.list, {"ending_before": ids[2]})
        self.assertEqual([s.id for s in before.data], [ids[4], ids[3]])
        await self.refused(stripe.InvalidRequestError, sessions.list, {"limit": 101})

    async def test_lookup_keys(self) -> None:
        """A lookup key finds one active price, and can move to another."""
        prices = self.client().v1.prices
        old = (await self.away(prices.list, {"lookup_keys": ["small"]})).data[0]
        asked: Any = {
            "currency": "eur",
            "unit_amount": 1000,
            "recurring": {"interval": "month"},
            "product": old.product,
            "lookup_key": "small",
        }
        await self.refused(stripe.InvalidRequestError, prices.create, asked)
        new = await self.away(prices.create, {**asked, "transfer_lookup_key": True})
        found = (await self.away(prices.list, {"lookup_keys": ["small"]})).data
        self.assertEqual([p.id for p in found], [new.id])

    async def test_expand(self) -> None:
        """Ids become the objects that they name, where asked; else a refusal."""
        opened = await self.opened()
        await self.pay(opened.url)
        sessions = self.client().v1.checkout.sessions
        expand = ["subscription.latest_invoice.payments", "customer", "line_items"]
        found = await self.away(sessions.retrieve, opened.id, {"expand": expand})
        payments = found.subscription.latest_invoice.payments.data
        self.assertRegex(payments[0].payment.payment_intent, "^pi_")
        self.assertEqual(found.customer.email, "alice@example.org")
        self.assertEqual(found.line_items.data[0].amount_total, 900)
        await self.refused(
            stripe.InvalidRequestError,
            sessions.retrieve,
            opened.id,
            {"expand": ["colour"]},
        )

    async def test_refund(self) -> None:
        """A charge is refunded in parts or whole, and never beyond."""
        opened = await self.opened()
        await self.pay(opened.url)
        intent = next(self.account.all("payment_intent"))["id"]
        refunds = self.client().v1.refunds
        await self.away(refunds.create, {"payment_intent": intent, "amount": 300})
        await self.refused(
            stripe.InvalidRequestError,
            refunds.create,
            {"payment_intent": intent, "amount": 601},
        )
        await self.away(refunds.create, {"payment_intent": intent})
        error = await self.refused(
            stripe.InvalidRequestError, refunds.create, {"payment_intent": intent}
        )
        self.assertEqual(error.code, "charge_already_refunded")
        charge = next(self.account.all("charge"))
        self.assertEqual((charge["refunded"], charge["amount_refunded"]), (True, 900))

    async def test_cancel(self) -> None:
        """A cancelled subscription is gone from lists, and cannot be cancelled again."""
        opened = await self.opened()
        await self.pay(opened.url)
        v1 = self.client().v1
        name = next(self.account.all("subscription"))["id"]
        ended = await self.away(v1.subscriptions.cancel, name)
        self.assertEqual(ended.status, "canceled")
        self.assertEqual((await self.away(v1.subscriptions.list)).data, [])
        error = await self.refused(
            stripe.InvalidRequestError, v1.subscriptions.cancel, name
        )
        self.assertEqual(error.code, "resource_missing")
        self.assertIn("customer.subscription.deleted", self.kinds())

    async def test_faults(self) -> None:
        """A fault spoils as many requests as asked for, before or after the effect."""
        sessions = self.client().v1.checkout.sessions
        path = "/v1/checkout/sessions"
        for kind, error, made in (
            ("rate-limit", stripe.RateLimitError, 0),
            ("error", stripe.APIError, 0),
            ("error-after-effect", stripe.APIError, 1),
            ("reset", stripe.APIConnectionError, 0),
            ("reset-after-effect", stripe.APIConnectionError, 1),
        ):
            before = len(list(self.account.all("checkout.session")))
            said = {"kind": kind, "method": "POST", "path": path}
            await self.control("POST", "faults", said)
            await self.refused(error, sessions.create, self.wanted())
            after = len(list(self.account.all("checkout.session")))
            self.assertEqual(after - before, made, kind)
        await self.opened()
        self.assertEqual((await self.control("GET", ""))["faults"], [])
