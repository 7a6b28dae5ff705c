"""What Stripe says of a session is read field by field, or refused."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from lae_flapp.effects.payments import CheckoutSession, Refund
from lae_flapp.money.stripe.reading import (
    PURPOSE,
    charge_from,
    id_of,
    refund_from,
    session_from,
    signup_id_from,
)
from lae_provision.errors import Refused
from tests.money.bench import signup

OPEN: dict[str, Any] = {
    "id": "cs_1",
    "url": "https://pay.example/cs_1",
    "status": "open",
    "payment_status": "unpaid",
    "metadata": {"s4_signup_id": signup(), "s4_deployment": "demo"},
    "subscription": "sub_1",
    "customer": {"id": "cus_1", "object": "customer"},
    "livemode": True,
    "expires_at": 1_800_000_000,
    "invoice": "in_1",
    "payment_intent": {"id": "pi_1", "object": "payment_intent"},
}


class SessionTests(SynchronousTestCase):
    def test_whole(self) -> None:
        """Each part of a session is read from its own field."""
        self.assertEqual(
            session_from(OPEN),
            CheckoutSession(
                session_id="cs_1",
                url="https://pay.example/cs_1",
                status="open",
                payment_status="unpaid",
                signup_id=signup(),
                deployment="demo",
                subscription="sub_1",
                customer="cus_1",
                livemode=True,
                expires_at=datetime(2027, 1, 15, 8, tzinfo=UTC),
                invoice="in_1",
                payment_intent="pi_1",
            ),
        )

    def test_test_mode(self) -> None:
        """A session of test mode is not taken for one of live mode."""
        self.assertIs(session_from({**OPEN, "livemode": False}).livemode, False)

    def test_sparse(self) -> None:
        """A session of others, without metadata or names, is of no signup."""
        names = ("subscription", "customer", "invoice", "payment_intent")
        for metadata in (None, {}):
            nothing = dict.fromkeys(names)
            found = session_from({**OPEN, **nothing, "metadata": metadata})
            self.assertIsNone(found.signup_id)
            self.assertIsNone(found.deployment)
            self.assertEqual([getattr(found, name) for name in names], [None] * 4)

    def test_closed(self) -> None:
        """Only an open session has a page to send a browser to."""
        for status in ("complete", "expired"):
            found = session_from({**OPEN, "status": status})
            self.assertEqual((found.status, found.url), (status, None))

    def test_known_payments(self) -> None:
        """Each payment status that is known is told as Stripe tells it."""
        for status in ("paid", "unpaid", "no_payment_required"):
            found = session_from({**OPEN, "payment_status": status})
            self.assertEqual(found.payment_status, status)

    def test_not_understood(self) -> None:
        """An unknown status or payment status refuses, and is named."""
        for name, word in (("status", "melted"), ("payment_status", "bartered")):
            with self.assertRaises(Refused) as raised:
                session_from({**OPEN, name: word})
            self.assertEqual(raised.exception.code, "not-understood")
            said = {**OPEN, name: word}
            self.assertIn(
                f"session cs_1: {said['status']}, {said['payment_status']}",
                str(raised.exception),
            )


class NameTests(SynchronousTestCase):
    def test_ids(self) -> None:
        """An id is read from a name or an object; all else is none."""
        self.assertEqual(id_of("sub_1"), "sub_1")
        self.assertEqual(id_of({"id": "sub_2"}), "sub_2")
        for other in (None, 7, {}, {"id": 7}, ["sub_1"]):
            self.assertIsNone(id_of(other))

    def test_signup_ids(self) -> None:
        """What others put where a signup's id stands is no signup's id."""
        self.assertEqual(signup_id_from(signup()), signup())
        for other in (None, 7, "", "theirs", ["x"]):
            self.assertIsNone(signup_id_from(other))


class ChargeTests(SynchronousTestCase):
    def test_given_back(self) -> None:
        """A charge counts as given back from the first cent."""
        whole = {"id": "ch_1", "customer": "cus_1", "disputed": False}
        for refunded, amount, told in (
            (False, 0, False),
            (False, 1, True),
            (True, 900, True),
            (True, 0, True),
        ):
            given = {**whole, "refunded": refunded, "amount_refunded": amount}
            self.assertEqual(charge_from(given, ()).refunded, told)

    def test_by_whom(self) -> None:
        """A refund is ours if its metadata says so, and none if it gave nothing back."""
        charge = {"id": "ch_1", "disputed": False, "refunded": False}
        charge |= {"customer": "cus_1", "amount_refunded": 300}
        ours: dict[str, Any] = {
            "status": "succeeded",
            "metadata": {PURPOSE: "goodwill"},
        }
        theirs: dict[str, Any] = {"status": "pending", "metadata": {"x": "y"}}
        failed = {**theirs, "status": "failed"}
        for refunds, told in (
            ([], False),
            ([ours, ours], False),
            ([ours, theirs], True),
            ([{**theirs, "metadata": None}], True),
            ([failed, {**failed, "status": "canceled"}, ours], False),
        ):
            self.assertEqual(charge_from(charge, refunds).elsewhere, told)


class RefundTests(SynchronousTestCase):
    def test_states(self) -> None:
        """A refund has failed where its money came back; its charge names who paid."""
        given = {"id": "re_1", "amount": 300, "currency": "eur"}
        charge = {"id": "ch_1", "customer": "cus_1"}
        for status, failed in (
            ("succeeded", False),
            ("pending", False),
            ("requires_action", False),
            ("failed", True),
            ("canceled", True),
        ):
            found = refund_from({**given, "status": status, "charge": charge})
            self.assertEqual(found, Refund("re_1", "cus_1", 300, "eur", failed))
        for charge_ in (None, "ch_1", {"customer": None}):
            found = refund_from({**given, "status": "failed", "charge": charge_})
            self.assertIsNone(found.customer)
