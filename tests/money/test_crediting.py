"""What is asked of Stripe so that each refund of ours has a credit note."""

from __future__ import annotations

from typing import Any

import stripe
from twisted.trial.unittest import SynchronousTestCase, TestCase

from lae_flapp.effects.payments import GiveBack
from lae_flapp.money.stripe.crediting import credit
from lae_localcloud.stripe.faults import Fault
from lae_provision.errors import TryLater
from tests.money.bench import StripeBench, request, signup
from tests.money.scripted import Scripted, page, thing
from tests.money.test_giving_back import refunded, refused

NOTES = "/v1/credit_notes"


def ours(name: str, amount: int, purpose: str = "unserved", **other: Any) -> Any:
    """A refund that names its purpose."""
    return refunded(name, amount) | {"metadata": {"s4_purpose": purpose}} | other


def naming(*names: str) -> Any:
    """Credit notes of these refunds."""
    return page(*({"refunds": [{"refund": name}]} for name in names))


def paid(amount: int, credited: int = 0) -> Any:
    """An invoice."""
    return thing(amount_paid=amount, post_payment_credit_notes_amount=credited)


class CreditTests(SynchronousTestCase):
    def credit(
        self,
        refunds: list[Any],
        notes: list[Any],
        invoices: list[Any],
        answers: list[Any],
    ) -> list[tuple[Any, ...]]:
        """Credit; what was asked to be written."""
        self.client: Any = Scripted(
            {
                "invoice_payments.list": [page({"invoice": "in_1"})],
                "refunds.list": [page(*refunds)],
                "credit_notes.list": notes,
                "invoices.retrieve": invoices,
                "credit_notes.create": answers,
            }
        )
        try:
            credit(self.client, "pi_1", "k")
        finally:
            self.asked = [a for a in self.client.asked if a[0] == "credit_notes.create"]
        return self.asked

    def test_whole(self) -> None:
        """The note names invoice, refund, amount and reason, under its key; it is
        looked for first, by the payment's invoice.
        """
        self.credit([ours("re_1", 900)], [naming()], [paid(900)], [thing()])
        by = {"type": "payment_intent", "payment_intent": "pi_1"}
        note = {
            "invoice": "in_1",
            "amount": 900,
            "refunds": [{"refund": "re_1", "amount_refunded": 900}],
            "reason": "order_change",
            "metadata": {"s4_purpose": "unserved"},
        }
        self.assertEqual(
            self.client.asked,
            [
                ("invoice_payments.list",
                 {"payment": by, "status": "paid", "limit": 100}),
                ("refunds.list", {"payment_intent": "pi_1", "limit": 100}),
                ("credit_notes.list", {"invoice": "in_1", "limit": 100}),
                ("invoices.retrieve", "in_1"),
                ("credit_notes.create", note,
                 {"idempotency_key": "k:credit:re_1:900"}),
            ],
        )  # fmt: skip

    def test_named(self) -> None:
        """What a note names, of whatever state, has its note."""
        asked = self.credit([ours("re_1", 900)], [naming("re_0", "re_1")], [], [])
        self.assertEqual(asked, [])

    def test_which(self) -> None:
        """Neither a refund that failed nor one of somebody else is credited; the
        oldest comes first, each for its own reason.
        """
        refunds = [
            ours("re_5", 1, "second-session"),
            ours("re_4", 1, status="failed"),
            ours("re_3", 1, status="canceled"),
            refunded("re_2", 1) | {"metadata": None},
            ours("re_1", 2, "goodwill", status="pending"),
        ]
        asked = self.credit(
            refunds, [naming(), naming("re_1")], [paid(9), paid(9)], [thing()] * 2
        )
        self.assertEqual(
            [(a[1]["refunds"][0]["refund"], a[1]["reason"]) for a in asked],
            [("re_1", "product_unsatisfactory"), ("re_5", "duplicate")],
        )

    def test_left(self) -> None:
        """No more is credited than is left of the invoice, down to the last cent."""
        for left, amount in ((901, 900), (900, 900), (899, 899), (1, 1)):
            asked = self.credit(
                [ours("re_1", 900)], [naming()], [paid(1000, 1000 - left)], [thing()]
            )
            self.assertEqual(asked[0][1]["amount"], amount)
            self.assertEqual(asked[0][1]["refunds"][0]["amount_refunded"], amount)
        self.assertEqual(
            self.credit([ours("re_1", 900)], [naming()], [paid(900, 900)], []), []
        )

    def test_meanwhile(self) -> None:
        """What another credited between look and call is credited."""
        no = refused("bad-request")
        looks = [naming(), naming("re_1")]
        asked = self.credit([ours("re_1", 900)], looks, [paid(900)], [no])
        self.assertEqual(len(asked), 1)

    def test_refused(self) -> None:
        """A note that is refused is told, after the others have been written."""
        with self.assertRaises(stripe.InvalidRequestError):
            self.credit(
                [ours("re_2", 100), ours("re_1", 100)],
                [naming(), naming(), naming()],
                [paid(900), paid(900)],
                [refused("bad-request"), thing()],
            )
        self.assertEqual(len(self.asked), 2)


class InterruptedTests(TestCase):
    """Between the refund and its note everything may stop."""

    def setUp(self) -> None:
        self.bench = StripeBench(timeouts=(0.5, 0.5))
        self.bench.start()

    def tearDown(self) -> Any:
        return self.bench.stop()

    def play(self, kind: Any, times: int = 1) -> None:
        """Have notes spoiled."""
        fault = Fault(kind, "POST", NOTES, times)
        self.bench.local.api.faults.waiting.append(fault)

    async def paid(self, number: int) -> GiveBack:
        """A payment that is to go back."""
        who = signup(number)
        opened = await self.bench.payments.open_checkout(request(signup_id=who))
        await self.bench.pay(opened.session_id)
        return GiveBack(who, "unserved", 1, opened.session_id, None)

    async def test_reply_lost(self) -> None:
        """A note whose reply was lost, or that Stripe failed, is written once."""
        kinds = ("silence-after-effect", "error-after-effect", "reset-after-effect")
        for number, kind in enumerate((*kinds, "error-kept", "rate-limit"), start=1):
            asked = await self.paid(number)
            self.play(kind)
            done = await self.bench.payments.give_back(asked)
            self.assertEqual((done.amount, done.uncredited), (900, None), kind)
            self.assertEqual(len(self.bench.credited()), number, kind)

    async def test_stopped_before_the_note(self) -> None:
        """Giving back that stopped after the refund goes on with its note, and gives
        nothing more back.
        """
        asked = await self.paid(1)
        self.play("rate-limit", times=100)
        with self.assertRaises(TryLater):
            await self.bench.payments.give_back(asked)
        self.assertEqual((self.bench.kept(), self.bench.credited()), ({}, []))
        self.bench.local.api.faults.waiting.clear()
        done = await self.bench.payments.give_back(asked)
        note = (done.refund_id, 900, "order_change")
        self.assertEqual(self.bench.credited(), [note])
        self.assertEqual(len(list(self.bench.local.account.all("refund"))), 1)
