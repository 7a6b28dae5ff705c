"""What every implementation of IPayments must do; run against each in its own file."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from twisted.internet.defer import Deferred, gatherResults, maybeDeferred

from lae_flapp.effects.payments import Charge, GiveBack, NameCustomer, SetEnd
from lae_protocol.secret import Secret
from lae_provision.errors import Refused
from tests.money.bench import Bench, request, signup


class PaymentsContract:
    """Mixed into a trial TestCase whose *bench* is ready after setUp."""

    bench: Bench

    async def test_opened(self: Any) -> None:
        """A session just opened is open, unpaid, ours, and has a page."""
        asked = request()
        session = await self.bench.payments.open_checkout(asked)
        self.assertEqual(
            (session.status, session.payment_status, session.paid),
            ("open", "unpaid", False),
        )
        self.assertEqual(
            (session.signup_id, session.deployment, session.livemode),
            (asked.signup_id, "demo", False),
        )
        self.assertTrue(session.url.startswith("http"))
        self.assertEqual(session.expires_at, asked.expires_at)
        self.assertIsNone(session.subscription)
        self.assertEqual(
            await self.bench.payments.fetch_session(session.session_id), session
        )

    async def test_opened_again(self: Any) -> None:
        """The same request again gives the same session, and makes no other."""
        asked = request()
        first = await self.bench.payments.open_checkout(asked)
        second = await self.bench.payments.open_checkout(asked)
        self.assertEqual(first, second)
        found = await self.bench.payments.find_sessions(asked.signup_id)
        self.assertEqual(len(found), 1)

    async def test_same_key_other_request(self: Any) -> None:
        """The same attempt with other contents is refused, and changes nothing."""
        first = await self.bench.payments.open_checkout(request())
        with self.assertRaises(Refused) as raised:
            await self.bench.payments.open_checkout(
                request(email=Secret("someone@else.example"))
            )
        self.assertEqual(raised.exception.code, "idempotency_error")
        self.assertEqual(await self.bench.payments.find_sessions(signup()), (first,))

    async def test_charge(self: Any) -> None:
        """A charge shows whom it charged and whether the money went back."""
        session = await self.bench.payments.open_checkout(request())
        await self.bench.pay(session.session_id)
        paid = await self.bench.payments.fetch_session(session.session_id)
        charge = self.bench.charge_of(paid.customer)
        seen = await self.bench.payments.fetch_charge(charge)
        self.assertEqual(seen, Charge(charge, paid.customer, False, False))
        self.bench.dispute(charge)
        seen = await self.bench.payments.fetch_charge(charge)
        self.assertEqual((seen.refunded, seen.disputed), (False, True))
        asked = GiveBack(signup(), "unserved", 1, session.session_id, None)
        await self.bench.payments.cancel_and_refund(asked)
        seen = await self.bench.payments.fetch_charge(charge)
        self.assertEqual((seen.refunded, seen.disputed), (True, True))
        self.assertIsNone(await self.bench.payments.fetch_charge("ch_none"))

    async def test_unknown(self: Any) -> None:
        """A session that was never there is None, and cannot be expired."""
        self.assertIsNone(await self.bench.payments.fetch_session("cs_test_nothing"))
        with self.assertRaises(Refused):
            await self.bench.payments.expire_session("cs_test_nothing")

    async def test_found(self: Any) -> None:
        """A signup's sessions are found by its id, oldest first, and no others."""
        opened = [
            await self.bench.payments.open_checkout(request(attempt=attempt))
            for attempt in (1, 2)
        ]
        await self.bench.payments.open_checkout(request(signup_id=signup(2)))
        found = await self.bench.payments.find_sessions(signup())
        self.assertEqual(list(found), opened)
        self.assertEqual(await self.bench.payments.find_sessions(signup(3)), ())

    async def test_expired(self: Any) -> None:
        """An expired session has no page, and expiring it again changes nothing."""
        opened = await self.bench.payments.open_checkout(request())
        expired = await self.bench.payments.expire_session(opened.session_id)
        self.assertEqual((expired.status, expired.url), ("expired", None))
        again = await self.bench.payments.expire_session(opened.session_id)
        self.assertEqual(again, expired)
        with self.assertRaises(Exception):  # noqa: B017  (each refuses in its way)
            await maybeDeferred(self.bench.pay, opened.session_id)
        self.assertEqual(self.bench.kept(), {})

    async def test_paid(self: Any) -> None:
        """A paid session is complete and names subscription and customer."""
        opened = await self.bench.payments.open_checkout(request())
        await self.bench.pay(opened.session_id)
        paid = await self.bench.payments.fetch_session(opened.session_id)
        self.assertTrue(paid.paid)
        self.assertEqual((paid.status, paid.url), ("complete", None))
        self.assertEqual(self.bench.kept(), {paid.subscription: 900})
        self.assertIsNotNone(paid.customer)

    async def test_expired_too_late(self: Any) -> None:
        """Expiring a session that was paid a moment before tells that it was paid."""
        opened = await self.bench.payments.open_checkout(request())
        await self.bench.pay(opened.session_id)
        found = await self.bench.payments.expire_session(opened.session_id)
        self.assertTrue(found.paid)

    async def test_opened_again_after_payment(self: Any) -> None:
        """The request sent again after the payment tells what the session is now."""
        asked = request()
        opened = await self.bench.payments.open_checkout(asked)
        await self.bench.pay(opened.session_id)
        again = await self.bench.payments.open_checkout(asked)
        self.assertTrue(again.paid)
        self.assertIsNone(again.url)

    async def _paid_twice(self: Any) -> list[Any]:
        sessions = []
        for attempt in (1, 2):
            opened = await self.bench.payments.open_checkout(request(attempt=attempt))
            await self.bench.pay(opened.session_id)
            sessions.append(await self.bench.payments.fetch_session(opened.session_id))
        return sessions

    async def test_given_back(self: Any) -> None:
        """A second payment is cancelled and refunded whole; the first stays."""
        first, second = await self._paid_twice()
        asked = GiveBack(
            signup(), "second-session", 1, second.session_id, second.subscription
        )
        done = await self.bench.payments.cancel_and_refund(asked)
        self.assertEqual((done.subscription, done.amount), (second.subscription, 900))
        self.assertIsNotNone(done.refund_id)
        self.assertEqual(self.bench.kept(), {first.subscription: 900})
        self.assertEqual(self.bench.live(), {first.subscription})

    async def test_given_back_again(self: Any) -> None:
        """Giving back again, by whatever attempt, gives nothing more back."""
        first, second = await self._paid_twice()
        answers = []
        for attempt in (1, 1, 2):
            asked = GiveBack(
                signup(), "unserved", attempt, second.session_id, second.subscription
            )
            answers.append(await self.bench.payments.cancel_and_refund(asked))
        self.assertEqual(len(set(answers)), 1)
        self.assertEqual(self.bench.kept(), {first.subscription: 900})

    async def test_given_back_at_once(self: Any) -> None:
        """Two that give back at the same moment give back once."""
        opened = await self.bench.payments.open_checkout(request())
        await maybeDeferred(self.bench.pay, opened.session_id)
        asked = GiveBack(signup(), "unserved", 1, opened.session_id, None)
        asking = (self.bench.payments.cancel_and_refund(asked) for _ in range(2))
        done = await gatherResults([Deferred.fromCoroutine(one) for one in asking])
        self.assertEqual([one.amount for one in done], [900, 900])
        self.assertEqual(self.bench.kept(), {})

    async def test_given_back_by_session(self: Any) -> None:
        """Where the subscription is not known yet, the session tells it."""
        opened = await self.bench.payments.open_checkout(request())
        await self.bench.pay(opened.session_id)
        asked = GiveBack(signup(), "unserved", 1, opened.session_id, None)
        done = await self.bench.payments.cancel_and_refund(asked)
        self.assertEqual(done.amount, 900)
        self.assertEqual((self.bench.kept(), self.bench.live()), ({}, set()))

    async def test_nothing_to_give_back(self: Any) -> None:
        """A session that nobody paid gives nothing back."""
        opened = await self.bench.payments.open_checkout(request())
        asked = GiveBack(signup(), "unserved", 1, opened.session_id, None)
        done = await self.bench.payments.cancel_and_refund(asked)
        self.assertEqual((done.subscription, done.amount), (None, 0))

    async def _subscribed(self: Any) -> str:
        opened = await self.bench.payments.open_checkout(request())
        await self.bench.pay(opened.session_id)
        paid = await self.bench.payments.fetch_session(opened.session_id)
        return str(paid.subscription)

    async def test_subscription(self: Any) -> None:
        """A paid session's subscription is active, ours, and ends by itself never."""
        name = await self._subscribed()
        seen = await self.bench.payments.fetch_subscription(name)
        self.assertEqual((seen.subscription, seen.status), (name, "active"))
        self.assertEqual((seen.signup_id, seen.deployment), (signup(), "demo"))
        self.assertIsNone(seen.ends_at)
        self.assertGreater(seen.paid_until, datetime.now(UTC))
        self.assertIsNone(seen.pay_url)
        nothing = await self.bench.payments.fetch_subscription("sub_nothing")
        self.assertIsNone(nothing)

    async def test_leaving_and_staying(self: Any) -> None:
        """It ends with its period, and that can be taken back, however often asked."""
        name, when = await self._subscribed(), set()
        for attempt in (1, 1, 2):
            asked = SetEnd(signup(), "leave", attempt, name)
            seen = await self.bench.payments.set_end(asked)
            self.assertEqual(seen.ends_at, seen.paid_until)
            self.assertEqual(seen.status, "active")
            self.assertIsNotNone(seen.cancelled_at)
            when.add(seen.cancelled_at)
        self.assertEqual(len(when), 1)
        for attempt in (1, 1, 2):
            asked = SetEnd(signup(), "stay", attempt, name)
            seen = await self.bench.payments.set_end(asked)
            self.assertIsNone(seen.ends_at)
            self.assertIsNone(seen.cancelled_at)
        self.assertEqual(self.bench.live(), {name})

    async def test_ended(self: Any) -> None:
        """It is over at once, however often asked, and nothing else revives it."""
        name = await self._subscribed()
        for attempt in (1, 1, 2):
            asked = SetEnd(signup(), "end", attempt, name)
            seen = await self.bench.payments.set_end(asked)
            self.assertEqual(seen.status, "canceled")
        self.assertEqual(self.bench.live(), set())
        for wish in ("leave", "stay"):
            seen = await self.bench.payments.set_end(SetEnd(signup(), wish, 3, name))
            self.assertEqual(seen.status, "canceled")
        with self.assertRaises(Refused):
            await self.bench.payments.set_end(SetEnd(signup(), "end", 1, "sub_nothing"))

    async def test_customer_named(self: Any) -> None:
        """The customer that a payment made is told whose it is, however often asked."""
        session = await self.bench.payments.open_checkout(request())
        await self.bench.pay(session.session_id)
        paid = await self.bench.payments.fetch_session(session.session_id)
        asked = NameCustomer(signup(), 1, "demo", paid.customer)
        await self.bench.payments.name_customer(asked)
        await self.bench.payments.name_customer(asked)
        self.assertEqual(self.bench.name_of(paid.customer), signup())
        with self.assertRaises(Refused):
            await self.bench.payments.name_customer(
                NameCustomer(signup(), 2, "demo", "cus_nobody")
            )
