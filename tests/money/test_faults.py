"""When Stripe is slow, silent, limiting or broken."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from typing import Any, get_args, get_type_hints

import stripe
from stripe.params.checkout import SessionCreateParams
from twisted.internet import reactor
from twisted.trial.unittest import SynchronousTestCase, TestCase

from lae_flapp.effects.payments import GiveBack
from lae_flapp.money.stripe.calls import StripeCalls, connect
from lae_flapp.money.stripe.checkout_session import LOCALES, locale_of
from lae_flapp.money.stripe.errors import CardRefused, FailsAgain, sorted_out
from lae_flapp.money.stripe.reading import session_from
from lae_flapp.money.stripe.threads import WAITING, make_stripe_lane
from lae_flapp.money.stripe.version import API_VERSION
from lae_localcloud.stripe.faults import Fault
from lae_protocol.secret import Secret
from lae_provision.errors import ProvisionError, Refused, TryLater
from tests.money.bench import PLAN, RESTRICTED_KEY, StripeBench, request, signup

SESSIONS = "/v1/checkout/sessions"


class FaultTests(TestCase):
    """Each fault, played by the local Stripe to the real client."""

    def setUp(self) -> None:
        self.bench = StripeBench(timeouts=(0.5, 0.5))
        self.bench.start()
        self.payments = self.bench.payments

    def tearDown(self) -> Any:
        return self.bench.stop()

    def play(self, kind: Any, method: str, path: str, times: int = 1) -> None:
        """Have requests spoiled."""
        self.bench.local.api.faults.waiting.append(Fault(kind, method, path, times))

    def sessions(self) -> int:
        """How many sessions there are at Stripe."""
        return len(list(self.bench.local.account.all("checkout.session")))

    async def test_short_faults(self) -> None:
        """One fault of any kind, before or after the effect, makes one session."""
        kinds = ("rate-limit", "error", "silence", "silence-after-effect")
        for number, kind in enumerate((*kinds, "reset", "reset-after-effect")):
            self.play(kind, "POST", SESSIONS)
            before = self.sessions()
            session = await self.payments.open_checkout(
                request(signup_id=signup(number))
            )
            self.assertEqual(session.status, "open", kind)
            self.assertEqual(self.sessions(), before + 1, kind)

    async def test_kept_failure_with_effect(self) -> None:
        """A 500 that Stripe keeps for the key hides no session that was made."""
        self.play("error-after-effect", "POST", SESSIONS)
        session = await self.payments.open_checkout(request())
        self.assertEqual(session.status, "open")
        self.assertEqual(self.sessions(), 1)

    async def test_kept_failure_without_effect(self) -> None:
        """A 500 that Stripe keeps for the key, and that made no session, does not
        block the signup for a day: another key is used.
        """
        self.play("error-kept", "POST", SESSIONS)
        session = await self.payments.open_checkout(request())
        self.assertEqual((session.status, self.sessions()), ("open", 1))

    async def test_long_fault(self) -> None:
        """A Stripe that keeps failing is TryLater, and the same request works later."""
        asked = request()
        self.play("rate-limit", "POST", SESSIONS, times=100)
        with self.assertRaises(TryLater):
            await self.payments.open_checkout(asked)
        self.bench.local.api.faults.waiting.clear()
        session = await self.payments.open_checkout(asked)
        self.assertEqual((session.status, self.sessions()), ("open", 1))

    async def test_deadline(self) -> None:
        """A silent Stripe is TryLater when the deadline has passed, not later."""
        self.bench.calls.deadline = 0.2
        self.play("silence", "GET", f"{SESSIONS}/*", times=100)
        with self.assertRaises(TryLater) as raised:
            await self.payments.fetch_session("cs_test_x")
        self.assertEqual(raised.exception.code, "too-slow")

    async def test_refund_reply_lost(self) -> None:
        """A refund whose reply was lost or failed is given once."""
        for number, kind in enumerate(
            ("silence-after-effect", "error-after-effect", "reset-after-effect")
        ):
            who = signup(number)
            opened = await self.payments.open_checkout(request(signup_id=who))
            await self.bench.pay(opened.session_id)
            self.play(kind, "POST", "/v1/refunds")
            asked = GiveBack(who, "unserved", 1, opened.session_id, None)
            done = await self.payments.give_back(asked)
            self.assertEqual(done.amount, 900, kind)
            self.assertEqual(self.bench.kept(), {}, kind)

    async def test_part_reply_lost(self) -> None:
        """A part whose reply was lost, or that Stripe failed, is given back once, and
        the subscription goes on.
        """
        kinds = ("silence-after-effect", "error-after-effect", "reset-after-effect")
        for number, kind in enumerate((*kinds, "error-kept", "rate-limit")):
            who = signup(number)
            opened = await self.payments.open_checkout(request(signup_id=who))
            await self.bench.pay(opened.session_id)
            paid = await self.payments.fetch_session(opened.session_id)
            assert paid is not None
            name = paid.subscription
            assert name is not None
            last = await self.payments.last_payment(name)
            assert last is not None
            self.play(kind, "POST", "/v1/refunds")
            intent = last.payment_intent
            asked = GiveBack(who, "goodwill", 1, opened.session_id, name, intent, 300)
            done = await self.payments.give_back(asked)
            self.assertEqual(done.amount, 300, kind)
            self.assertEqual(self.bench.kept()[name], 600, kind)
            self.assertIn(name, self.bench.live(), kind)

    async def test_refund_interrupted(self) -> None:
        """Giving back that stopped after the cancelling goes on with the refund."""
        opened = await self.payments.open_checkout(request())
        await self.bench.pay(opened.session_id)
        self.play("rate-limit", "POST", "/v1/refunds", times=100)
        asked = GiveBack(signup(), "unserved", 1, opened.session_id, None)
        with self.assertRaises(TryLater):
            await self.payments.give_back(asked)
        self.assertEqual(self.bench.live(), set())
        self.bench.local.api.faults.waiting.clear()
        done = await self.payments.give_back(asked)
        self.assertEqual((done.amount, self.bench.kept()), (900, {}))

    async def test_price_differs(self) -> None:
        """No session is opened at another price than was agreed, or at none."""
        for other, code in (
            ({"price": 901}, "price-differs"),
            ({"currency": "usd"}, "price-differs"),
            ({"interval": "year"}, "price-differs"),
            ({"lookup_key": "nothing"}, "no-price"),
        ):
            with self.assertRaises(Refused) as raised:
                await self.payments.open_checkout(request(**other))
            self.assertEqual(raised.exception.code, code)
        self.assertEqual(self.sessions(), 0)

    async def test_wrong_key(self) -> None:
        """A key that Stripe does not know is refused, and told nowhere."""
        wrong = Secret("rk_test_wrong_and_secret")
        calls = StripeCalls(
            self.bench.calls.reactor,
            self.bench.threads,
            [connect(wrong, self.bench.local.url)],
            self.bench.calls.rng,
        )
        with self.assertRaises(Refused) as raised:
            await calls.ask("x", lambda c: c.v1.prices.list({}))
        self.assertEqual(raised.exception.code, "not-authorised")
        self.assertNotIn("cret", str(raised.exception))

    async def test_previous_key(self) -> None:
        """While keys are changed, the previous one serves where the first does not."""
        calls = StripeCalls(
            self.bench.calls.reactor,
            self.bench.threads,
            [
                connect(key, self.bench.local.url)
                for key in (Secret("rk_test_new"), RESTRICTED_KEY)
            ],
            self.bench.calls.rng,
        )
        found = await calls.ask("x", lambda c: c.v1.prices.list({}))
        self.assertEqual(found.data[0].lookup_key, PLAN.plan_id)

    async def test_restricted(self) -> None:
        """The daemon's key cannot change prices or where webhooks go."""

        def price(client: stripe.StripeClient) -> object:
            return client.v1.prices.create(
                {"currency": "eur", "product": "prod_x", "unit_amount": 1}
            )

        def hook(client: stripe.StripeClient) -> object:
            return client.v1.webhook_endpoints.create(
                {"url": "http://127.0.0.1:1/", "enabled_events": ["*"]}
            )

        for call in (price, hook):
            with self.assertRaises(Refused) as raised:
                await self.bench.calls.ask("x", call)
            self.assertEqual(raised.exception.code, "not-authorised")

    async def test_off_the_reactor(self) -> None:
        """The library never runs on the reactor's thread."""
        here = threading.get_ident()
        there = await self.bench.calls.ask("x", lambda _: threading.get_ident())
        self.assertNotEqual(here, there)

    async def test_hints(self) -> None:
        """What no webhook brought is found by asking, oldest first."""
        opened = await self.payments.open_checkout(request())
        await self.bench.pay(opened.session_id)
        since = datetime.now(UTC) - timedelta(minutes=1)
        found = await self.payments.hints_since(since)
        kinds = [h.kind for h in found]
        self.assertEqual(kinds, ["invoice.paid", "checkout.session.completed"])
        self.assertEqual(found[-1].object_id, opened.session_id)
        later = await self.payments.hints_since(since + timedelta(hours=1))
        self.assertEqual(later, ())


class ThreadTests(TestCase):
    """The threads that the library runs on."""

    async def test_bounded(self) -> None:
        """More calls than fit are turned away at once; those that wait are done."""
        threads = make_stripe_lane(reactor)  # type: ignore[arg-type]
        threads.start()
        self.addCleanup(threads.abandon)
        gate = threading.Event()
        waiting = [threads.run(gate.wait) for _ in range(WAITING)]
        with self.assertRaises(TryLater):
            await threads.run(gate.wait)
        gate.set()
        for one in waiting:
            self.assertTrue(await one)
        self.assertEqual(await threads.run(lambda: 1), 1)

    async def test_stopped(self) -> None:
        """Once stopped, calls are turned away; stopping waits for no hung call."""
        threads = make_stripe_lane(reactor)  # type: ignore[arg-type]
        threads.start()
        gate = threading.Event()
        self.addCleanup(gate.set)
        hung = threads.run(gate.wait)
        threads.abandon()
        with self.assertRaises(TryLater):
            await threads.run(lambda: 1)
        gate.set()
        self.assertTrue(await hung)


class SortingTests(SynchronousTestCase):
    """Errors, requests and answers: what is pure."""

    def test_errors(self) -> None:
        """Each error is sorted by what to do, and tells nothing that is private."""
        private = "alice@example.org used rk_test_abc"
        replay = {"Idempotent-Replayed": "true", "request-id": "req_1"}
        cases: list[tuple[Any, type[ProvisionError], str]] = [
            (
                stripe.CardError(private, "card", code="card_declined"),
                CardRefused,
                "card_declined",
            ),
            (stripe.RateLimitError(private, http_status=429), TryLater, "rate-limited"),
            (stripe.APIConnectionError(private), TryLater, "unreachable"),
            (
                stripe.IdempotencyError(private, http_status=400),
                Refused,
                "idempotency_error",
            ),
            (
                stripe.IdempotencyError(private, http_status=409),
                TryLater,
                "idempotency_error",
            ),
            (stripe.AuthenticationError(private), Refused, "not-authorised"),
            (stripe.PermissionError(private), Refused, "not-authorised"),
            (
                stripe.InvalidRequestError(
                    private, "customer_email", code="email_invalid", http_status=400
                ),
                Refused,
                "email_invalid",
            ),
            (stripe.APIError(private, http_status=500), TryLater, "stripe-failing"),
            (
                stripe.APIError(private, http_status=500, headers=replay),
                FailsAgain,
                "stripe-failing",
            ),
            (stripe.StripeError(private), Refused, "unexpected"),
        ]
        for given, kind, code in cases:
            found = sorted_out(given)
            self.assertIs(type(found), kind)
            self.assertEqual(found.code, code)
            for word in ("alice", "rk_test"):
                self.assertNotIn(word, f"{found!s} {found!r}")

    def test_version(self) -> None:
        """The version pinned here is the one that the library is written for."""
        self.assertEqual(API_VERSION, stripe.api_version)

    def test_locales(self) -> None:
        """Each language that we ask for is one that Stripe's page has."""
        hint = get_type_hints(
            SessionCreateParams,
            localns={**vars(stripe._request_options), "StripeContext": Any},
        )["locale"]
        known = {a for part in get_args(hint) for a in get_args(part)}
        self.assertEqual(LOCALES - known, set())
        self.assertEqual(
            [locale_of(text) for text in ("de-AT", "pt-BR", "en", "xx")],
            ["de", "pt-BR", "en", "auto"],
        )

    def test_not_understood(self) -> None:
        """A session in a state that we do not know is decided by nobody."""
        given = {"id": "cs_1", "status": "melted", "payment_status": "paid"}
        with self.assertRaises(Refused):
            session_from(given)
