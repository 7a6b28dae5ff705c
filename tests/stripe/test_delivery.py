"""Webhooks: signed, repeated, and as lost or doubled as a test asks for."""

from __future__ import annotations

import json
from random import Random
from typing import Any

import stripe
from attrs import define, field
from hypothesis import given, settings
from hypothesis import strategies as st
from klein import Klein
from twisted.internet import reactor
from twisted.internet.defer import Deferred, DeferredList
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.server import Site

from lae_localcloud.stripe.delivery import signature
from lae_localcloud.stripe.weather import Weather, departures
from tests.stripe.bench import LocalStripeCase


@define(eq=False)
class Taker:
    """An endpoint: keeps what it is sent, and answers *statuses*, then 200."""

    statuses: list[int] = field(factory=list)
    taken: list[tuple[str, bytes, str]] = field(factory=list)
    enough: tuple[int, Deferred[None]] | None = None
    url: str = ""
    port: Any = None

    def start(self) -> None:
        """Listen."""
        app = Klein()
        app.route("/hook", methods=["POST"])(self.take)
        loop: Any = reactor
        self.port = loop.listenTCP(0, Site(app.resource()), interface="127.0.0.1")
        self.url = f"http://127.0.0.1:{self.port.getHost().port}/hook"

    def take(self, request: Any) -> bytes:
        """One webhook."""
        payload = request.content.read()
        header = request.getHeader("stripe-signature")
        name = json.loads(payload)["type"]
        self.taken.append((name, payload, header))
        request.setResponseCode(self.statuses.pop(0) if self.statuses else 200)
        if self.enough is not None and len(self.taken) >= self.enough[0]:
            (_, waiting), self.enough = self.enough, None
            waiting.callback(None)
        return b""

    def until(self, count: int) -> Deferred[None]:
        """Fires when so many webhooks have come."""
        waiting: Deferred[None] = Deferred()
        if len(self.taken) >= count:
            waiting.callback(None)
        else:
            self.enough = (count, waiting)
        return waiting

    @property
    def kinds(self) -> list[str]:
        """The types taken, in order."""
        return [kind for kind, _, _ in self.taken]


COMPLETED = "checkout.session.completed"


class DeliveryTests(LocalStripeCase):
    def setUp(self) -> None:
        super().setUp()
        self.taker = Taker()
        self.taker.start()

    async def tearDown(self) -> None:  # type: ignore[override]
        await super().tearDown()
        await self.taker.port.stopListening()

    async def hook(self, *events: str) -> str:
        """Have these events delivered; the secret."""
        asked: Any = {"url": self.taker.url, "enabled_events": list(events)}
        made: Any = await self.away(self.client().v1.webhook_endpoints.create, asked)
        return str(made.secret)

    async def answered(self) -> None:
        """Wait until what is on its way has been answered."""
        await DeferredList(list(self.local.delivery._running))

    async def test_signed(self) -> None:
        """What is sent verifies with stripe's own check, and with no other secret."""
        secret = await self.hook(COMPLETED)
        opened = await self.opened()
        await self.pay(opened.url)
        await self.taker.until(1)
        _, payload, header = self.taker.taken[0]
        event = stripe.Webhook.construct_event(payload, header, secret)
        self.assertEqual(event.data.object.id, opened.id)
        with self.assertRaises(stripe.SignatureVerificationError):
            stripe.Webhook.construct_event(payload, header, "whsec_other")
        with self.assertRaises(stripe.SignatureVerificationError):
            stripe.Webhook.construct_event(payload + b" ", header, secret)

    async def test_only_wanted(self) -> None:
        """An endpoint hears of the events that it asked for, and no others."""
        await self.hook("invoice.paid", COMPLETED)
        opened = await self.opened()
        await self.pay(opened.url)
        await self.taker.until(2)
        self.assertEqual(set(self.taker.kinds), {"invoice.paid", COMPLETED})
        self.assertGreater(len(self.kinds()), 10)
        await self.answered()
        self.assertEqual(len(await self.control("GET", "deliveries")), 2)

    async def test_retried(self) -> None:
        """A webhook that is not taken comes again, signed anew, until it is."""
        secret = await self.hook(COMPLETED)
        self.taker.statuses = [503, 500]
        opened = await self.opened()
        await self.pay(opened.url)
        await self.taker.until(3)
        for _, payload, header in self.taker.taken:
            stripe.Webhook.construct_event(payload, header, secret)
        stamps = {header.partition(",")[0] for _, _, header in self.taker.taken}
        self.assertGreater(len(stamps), 1)
        # The bodies are the same event; only how many still wait may differ.
        bodies = {payload for _, payload, _ in self.taker.taken}
        self.assertEqual(len(bodies), 1)

    async def test_doubled(self) -> None:
        """Each event comes as often as asked for."""
        await self.hook(COMPLETED)
        await self.control("PUT", "weather", {"copies": 3})
        opened = await self.opened()
        await self.pay(opened.url)
        await self.taker.until(3)
        self.assertEqual(len({payload for _, payload, _ in self.taker.taken}), 1)

    async def test_reversed(self) -> None:
        """What is gathered for a moment comes in another order."""
        await self.hook("invoice.paid", COMPLETED)
        await self.control("PUT", "weather", {"window": 0.2, "order": "reversed"})
        opened = await self.opened()
        await self.pay(opened.url)
        await self.taker.until(2)
        self.assertEqual(
            [e for e in self.kinds() if e in (COMPLETED, "invoice.paid")],
            ["invoice.paid", COMPLETED],
        )
        self.assertEqual(set(self.taker.kinds), {COMPLETED, "invoice.paid"})

    async def test_dropped_and_sent_again(self) -> None:
        """A dropped webhook never comes; the event is there, and can be sent."""
        await self.hook(COMPLETED, "invoice.paid")
        await self.control("PUT", "weather", {"drop": [COMPLETED]})
        opened = await self.opened()
        await self.pay(opened.url)
        await self.taker.until(1)
        self.assertEqual(self.taker.kinds, ["invoice.paid"])
        listed: Any = await self.away(self.client().v1.events.list, {"type": COMPLETED})
        await self.control("POST", f"events/{listed.data[0].id}/send", {})
        await self.taker.until(2)
        self.assertEqual(self.taker.kinds, ["invoice.paid", COMPLETED])
        await self.answered()
        told = await self.control("GET", "deliveries")
        self.assertEqual([d["status"] for d in told], [200, 200])

    async def test_loopback_alone(self) -> None:
        """No endpoint beyond this machine is taken."""
        create = self.client().v1.webhook_endpoints.create
        for url in ("https://example.org/", "http://10.0.0.1/", "ftp://127.0.0.1/"):
            asked: Any = {"url": url, "enabled_events": ["*"]}
            with self.assertRaises(stripe.InvalidRequestError):
                await self.away(create, asked)


events = st.lists(
    st.builds(
        lambda kind, number: {"type": kind, "id": f"evt_{number}"},
        st.sampled_from([COMPLETED, "invoice.paid", "charge.refunded"]),
        st.integers(0, 99),
    ),
    max_size=6,
)


class WeatherTests(SynchronousTestCase):
    @settings(max_examples=100)
    @given(
        events,
        st.integers(1, 4),
        st.floats(0, 5),
        st.floats(0, 5),
        st.sampled_from(["as-made", "reversed", "shuffled"]),
        st.booleans(),
        st.integers(),
    )
    def test_departures(
        self,
        gathered: Any,
        copies: int,
        delay: float,
        spread: float,
        order: Any,
        drop: bool,
        seed: int,
    ) -> None:
        """Each event leaves as often as asked, within its time; dropped ones never."""
        dropped = ("invoice.*",) if drop else ()
        weather = Weather(copies, delay, spread, dropped, 0.0, order)
        found = departures(weather, gathered, Random(seed))
        expected = [
            e["id"]
            for e in gathered
            if not (drop and e["type"] == "invoice.paid")
            for _ in range(copies)
        ]
        left = [d.event["id"] for d in found]
        self.assertEqual(sorted(left), sorted(expected))
        if order != "shuffled":
            self.assertEqual(left if order == "as-made" else left[::-1], expected)
        for departure in found:
            self.assertTrue(delay <= departure.after <= delay + spread + 1e-9)

    def test_signature(self) -> None:
        """The header is the one that stripe itself would make."""
        expected = stripe.WebhookSignature.generate_signature_header(
            '{"a": "é"}', "whsec_x", 1234567890
        )
        made = signature("whsec_x", '{"a": "é"}'.encode(), 1234567890)
        self.assertEqual(made, expected)
