"""A local Stripe for one test, and clients of it that run on threads."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from typing import Any, TypeVar

import stripe
from attrs import define
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from lae_localcloud.stripe.service import LocalStripe
from lae_protocol.messages import Plan
from lae_protocol.secret import Secret

T = TypeVar("T")
PLANS = (
    Plan("small", "Small grid", 900, "eur", "month", 10**10, 10**11, "2026-11"),
    Plan("free", "Free grid", 0, "eur", "month", 10**9, 10**10, "2026-11"),
)
SECRET_KEY, RESTRICTED_KEY = "sk_test_secret", "rk_test_restricted"
GOOD, ASKS, DECLINED = "4242424242424242", "4000002500003155", "4000000000000002"


@define
class Answer:
    """An HTTP answer; redirects are not followed."""

    status: int
    headers: dict[str, str]
    text: str


class _Stay(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        return None


def http(method: str, url: str, body: bytes | None = None, **headers: str) -> Answer:
    """One request, as a browser without JavaScript would send it."""
    named = {k.replace("_", "-"): v for k, v in headers.items()}
    asked = urllib.request.Request(url, body, named, method=method)
    try:
        got = urllib.request.build_opener(_Stay()).open(asked, timeout=10)
    except urllib.error.HTTPError as e:
        got = e
    with got:
        lower = {k.lower(): v for k, v in got.headers.items()}
        return Answer(got.status, lower, got.read().decode())


def submit(url: str, **fields: str) -> Answer:
    """Submit a form."""
    return http("POST", url, urllib.parse.urlencode(fields).encode())


class LocalStripeCase(TestCase):
    """Has a running local Stripe, and its customers and callers on threads."""

    timeout = 60

    def setUp(self) -> None:
        loop: Any = reactor
        self.local = LocalStripe(loop, Secret(SECRET_KEY), Secret(RESTRICTED_KEY))
        self.local.sell(PLANS)
        self.local.startService()
        self.account = self.local.account

    def tearDown(self) -> Any:
        return self.local.stopService()

    def away(self, work: Callable[..., T], *given: Any, **named: Any) -> Deferred[T]:
        """Run on a thread, as every caller of ours does."""
        return deferToThread(work, *given, **named)

    def client(self, key: str = SECRET_KEY) -> stripe.StripeClient:
        """stripe-python itself."""
        return stripe.StripeClient(
            key,
            base_addresses={"api": self.local.url},
            max_network_retries=0,
            http_client=stripe.RequestsClient(timeout=5),
        )

    def price(self, key: str = "small") -> str:
        """The id of a plan's price."""
        found = [p for p in self.account.all("price") if p["lookup_key"] == key]
        return str(found[0]["id"])

    def wanted(self, plan: str = "small", **other: Any) -> Any:
        """Parameters of a session."""
        return {
            "mode": "subscription",
            "line_items": [{"price": self.price(plan), "quantity": 1}],
            "customer_email": "alice@example.org",
            "client_reference_id": "su1",
            "metadata": {"s4_signup_id": "su1"},
            "subscription_data": {"metadata": {"s4_signup_id": "su1"}},
            "success_url": "http://127.0.0.1:1/back?session={CHECKOUT_SESSION_ID}",
            "cancel_url": "http://127.0.0.1:1/stopped",
            "expires_at": int(time.time()) + 31 * 60,
            **other,
        }

    def opened(self, plan: str = "small", **other: Any) -> Deferred[Any]:
        """A session, by the API."""
        wanted = self.wanted(plan, **other)
        return self.away(lambda: self.client().v1.checkout.sessions.create(wanted))

    def pay(self, url: str, number: str = GOOD, **other: str) -> Deferred[Answer]:
        """Fill in the hosted page and press its button."""
        fields = {"number": number, "expiry": "12/40", "cvc": "123", **other}
        return self.away(submit, url, **fields)

    async def control(self, method: str, path: str, said: Any = None) -> Any:
        """Ask the control endpoint; fails on a refusal."""
        answer = await self.away(
            http,
            method,
            f"{self.local.url}/_control/{path}",
            None if said is None else json.dumps(said).encode(),
            content_type="application/json",
        )
        self.assertEqual(answer.status, 200, answer.text)
        return json.loads(answer.text)

    def kinds(self) -> list[str]:
        """The types of all events so far, oldest first."""
        return [event["type"] for event in self.account.all("event")][::-1]
