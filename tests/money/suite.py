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
        await self.bench.payments.give_back(asked)
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
        done = await self.bench.payments.give_back(asked)
        self.assertEqual((done.subscription, done.amount), (second.subscription, 900))
        self.assertIsNotNone(done.refund_id)
        self.assertEqual(self.bench.kept(), {first.subscription: 900})
        self.assertEqual(self.bench.live(), {first.subscription})
        note = (done.refund_id, 900, "duplicate")
        self.assertEqual((self.bench.credited(), done.uncredited), ([note], None))

    async def test_given_back_again(self: Any) -> None:
        """Giving back again, by whatever attempt, gives nothing more back."""
        first, second = await self._paid_twice()
        answers = []
        for attempt in (1, 1, 2):
            asked = GiveBack(
                signup(), "unserved", attempt, second.session_id, second.subscription
            )
            answers.append(await self.bench.payments.give_back(asked))
        self.assertEqual(len(set(answers)), 1)
        self.assertEqual(self.bench.kept(), {first.subscription: 900})
        note = (answers[0].refund_id, 900, "order_change")
        self.assertEqual(self.bench.credited(), [note])

    async def test_given_back_at_once(self: Any) -> None:
        """Two that give back at the same moment give back once."""
        opened = await self.bench.payments.open_checkout(request())
        await maybeDeferred(self.bench.pay, opened.session_id)
        asked = GiveBack(signup(), "unserved", 1, opened.session_id, None)
        asking = (self.bench.payments.give_back(asked) for _ in range(2))
        done = await gatherResults([Deferred.fromCoroutine(one) for one in asking])
        self.assertEqual([one.amount for one in done], [900, 900])
        self.assertEqual(self.bench.kept(), {})
        self.assertEqual(len(self.bench.credited()), 1)

    async def test_given_back_by_session(self: Any) -> None:
        """Where the subscription is not known yet, the session tells it."""
        opened = await self.bench.payments.open_checkout(request())
        await self.bench.pay(opened.session_id)
        asked = GiveBack(signup(), "unserved", 1, opened.session_id, None)
        done = await self.bench.payments.give_back(asked)
        self.assertEqual(done.amount, 900)
        self.assertEqual((self.bench.kept(), self.bench.live()), ({}, set()))

    async def test_nothing_to_give_back(self: Any) -> None:
        """A session that nobody paid gives nothing back."""
        opened = await self.bench.payments.open_checkout(request())
        asked = GiveBack(signup(), "unserved", 1, opened.session_id, None)
        done = await self.bench.payments.give_back(asked)
        self.assertEqual((done.subscription, done.amount), (None, 0))
        self.assertEqual(self.bench.credited(), [])

    async def _charged(self: Any) -> tuple[str, str, Any]:
        """A subscription that was paid, its customer, and its last payment."""
        opened = await self.bench.payments.open_checkout(request())
        await self.bench.pay(opened.session_id)
        paid = await self.bench.payments.fetch_session(opened.session_id)
        last = await self.bench.payments.last_payment(paid.subscription)
        return paid.subscription, paid.customer, last

    @staticmethod
    def _goodwill(subscription: str, last: Any, amount: int, attempt: int) -> GiveBack:
        names = (signup(), "goodwill", attempt, "cs_1", subscription)
        return GiveBack(*names, last.payment_intent, amount)

    async def test_last_payment(self: Any) -> None:
        """What was charged last is told, and what of it went back, in its currency."""
        _, _, last = await self._charged()
        self.assertEqual((last.amount, last.given_back, last.left), (900, 0, 900))
        self.assertEqual(last.currency, "eur")
        nothing = await self.bench.payments.last_payment("sub_nothing")
        self.assertIsNone(nothing)

    async def test_part_given_back(self: Any) -> None:
        """A part goes back, and nothing ends; the same attempt gives it back once."""
        name, customer, last = await self._charged()
        asked = self._goodwill(name, last, 300, 1)
        done = [await self.bench.payments.give_back(asked) for _ in range(3)]
        self.assertEqual(len(set(done)), 1)
        self.assertEqual((done[0].subscription, done[0].amount), (name, 300))
        self.assertEqual(self.bench.live(), {name})
        self.assertEqual(self.bench.kept(), {name: 600})
        seen = await self.bench.payments.fetch_subscription(name)
        self.assertEqual((seen.status, seen.ends_at), ("active", None))
        last = await self.bench.payments.last_payment(name)
        self.assertEqual((last.given_back, last.left), (300, 600))
        refund = await self.bench.payments.fetch_refund(done[0].refund_id)
        self.assertEqual((refund.customer, refund.amount), (customer, 300))
        self.assertEqual((refund.currency, refund.failed), ("eur", False))

    async def test_part_after_part(self: Any) -> None:
        """The next attempt gives back once more, down to the last cent, and no more."""
        name, _, last = await self._charged()
        for attempt, amount in ((1, 300), (2, 300)):
            asked = self._goodwill(name, last, amount, attempt)
            await self.bench.payments.give_back(asked)
        self.assertEqual(self.bench.kept(), {name: 300})
        for attempt, amount, code in (
            (3, 301, "bad-request"),
            (4, 300, None),
            (5, 1, "charge_already_refunded"),
        ):
            asked = self._goodwill(name, last, amount, attempt)
            try:
                await self.bench.payments.give_back(asked)
            except Refused as e:
                self.assertEqual(e.code, code)
            else:
                self.assertIsNone(code)
        self.assertEqual((self.bench.kept(), self.bench.live()), ({}, {name}))
        notes = [note[1:] for note in self.bench.credited()]
        self.assertEqual(notes, [(300, "product_unsatisfactory")] * 3)
        self.assertEqual(len({note[0] for note in self.bench.credited()}), 3)

    async def test_part_at_once(self: Any) -> None:
        """The same attempt sent twice at the same moment gives back once."""
        name, _, last = await self._charged()
        asked = self._goodwill(name, last, 300, 1)
        asking = (self.bench.payments.give_back(asked) for _ in range(2))
        done = await gatherResults([Deferred.fromCoroutine(one) for one in asking])
        self.assertEqual(len({one.refund_id for one in done}), 1)
        self.assertEqual(self.bench.kept(), {name: 600})
        note = (done[0].refund_id, 300, "product_unsatisfactory")
        self.assertEqual(self.bench.credited(), [note])

    async def test_refund_that_fails_later(self: Any) -> None:
        """A refund that the bank does not take gave nothing back, shows that it failed,
        and is not made again by the same attempt.
        """
        name, _, last = await self._charged()
        asked = self._goodwill(name, last, 300, 1)
        done = await self.bench.payments.give_back(asked)
        self.bench.fail(done.refund_id)
        refund = await self.bench.payments.fetch_refund(done.refund_id)
        self.assertTrue(refund.failed)
        self.assertEqual(self.bench.kept(), {name: 900})
        with self.assertRaises(Refused) as raised:
            await self.bench.payments.give_back(asked)
        self.assertEqual(raised.exception.code, "refund-failed")
        self.assertEqual(self.bench.kept(), {name: 900})
        last = await self.bench.payments.last_payment(name)
        self.assertEqual(last.left, 900)
        await self.bench.payments.give_back(self._goodwill(name, last, 900, 2))
        self.assertEqual(self.bench.kept(), {})
        self.assertIsNone(await self.bench.payments.fetch_refund("re_nothing"))

    async def test_credit_note_of_a_refund_that_fails_later(self: Any) -> None:
        """It stands, and the refunds made in place of it are credited by the rest of
        the invoice, and no more.
        """
        name, _, last = await self._charged()
        done = []
        for attempt, amount in ((1, 300), (2, 700), (3, 200)):
            asked = self._goodwill(name, last, amount, attempt)
            done.append(await self.bench.payments.give_back(asked))
            if attempt == 1:
                self.bench.fail(done[0].refund_id)
        self.assertEqual(self.bench.kept(), {})
        self.assertEqual([one.uncredited for one in done], [None] * 3)
        notes = [note[:2] for note in self.bench.credited()]
        self.assertEqual(notes, [(done[0].refund_id, 300), (done[1].refund_id, 600)])

    async def test_rest_credited(self: Any) -> None:
        """What goes back whole after a part has a note for each, with its own reason;
        what somebody else gave back has none of ours.
        """
        name, customer, last = await self._charged()
        part = await self.bench.payments.give_back(self._goodwill(name, last, 300, 1))
        self.bench.refund_elsewhere(self.bench.charge_of(customer), 100)
        asked = GiveBack(signup(), "unserved", 1, "cs_1", name)
        rest = await self.bench.payments.give_back(asked)
        self.assertEqual((self.bench.kept(), rest.amount), ({}, 900))
        self.assertEqual(
            self.bench.credited(),
            [
                (part.refund_id, 300, "product_unsatisfactory"),
                (rest.refund_id, 500, "order_change"),
            ],
        )

    async def test_credit_note_refused(self: Any) -> None:
        """A credit note that is refused for good holds up neither the refund nor the
        end of the subscription, and why is told.
        """
        first, second = await self._paid_twice()
        self.bench.refuse_notes()
        asked = GiveBack(signup(), "unserved", 1, second.session_id, None)
        done = await self.bench.payments.give_back(asked)
        self.assertTrue(done.uncredited.startswith("not-authorised: "))
        self.assertEqual(self.bench.kept(), {first.subscription: 900})
        self.assertEqual(self.bench.live(), {first.subscription})
        last = await self.bench.payments.last_payment(first.subscription)
        asked = self._goodwill(first.subscription, last, 300, 1)
        done = await self.bench.payments.give_back(asked)
        self.assertTrue(done.uncredited.startswith("not-authorised: "))
        self.assertEqual(self.bench.kept(), {first.subscription: 600})
        self.assertEqual(self.bench.credited(), [])

    async def test_whose_refund(self: Any) -> None:
        """A charge shows whether somebody else than us gave some of it back."""
        name, customer, last = await self._charged()
        charge = self.bench.charge_of(customer)
        await self.bench.payments.give_back(self._goodwill(name, last, 300, 1))
        seen = await self.bench.payments.fetch_charge(charge)
        self.assertEqual((seen.refunded, seen.elsewhere), (True, False))
        self.bench.refund_elsewhere(charge, 1)
        seen = await self.bench.payments.fetch_charge(charge)
        self.assertEqual((seen.refunded, seen.elsewhere), (True, True))
        last = await self.bench.payments.last_payment(name)
        self.assertEqual(last.left, 599)

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
