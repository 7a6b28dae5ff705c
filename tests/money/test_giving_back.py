"""What is asked of Stripe to cancel a subscription and give its first charge back."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import stripe
from twisted.trial.unittest import SynchronousTestCase

from lae_flapp.effects.payments import LastPayment
from lae_flapp.money.stripe.giving_back import (
    Refunded,
    cancel,
    first_intents,
    last_payment,
    refund,
    refund_part,
)
from lae_provision.errors import Refused
from tests.money.scripted import Scripted, page, thing

LOOK = ("subscriptions.retrieve", "sub_1")
CANCEL = (
    "subscriptions.cancel",
    "sub_1",
    {"prorate": False, "invoice_now": False},
    {"idempotency_key": "k:cancel"},
)
ACTIVE, CANCELED = thing(status="active"), thing(status="canceled")
REFUNDS = ("refunds.list", {"payment_intent": "pi_1", "limit": 100})
RECEIVED = ("payment_intents.retrieve", "pi_1")


def refused(code: str) -> stripe.InvalidRequestError:
    """A request that Stripe refuses."""
    return stripe.InvalidRequestError("no", None, code=code, http_status=400)


def refunded(name: str, amount: int, status: str = "succeeded") -> dict[str, Any]:
    """A refund."""
    return {"id": name, "amount": amount, "status": status}


class CancelTests(SynchronousTestCase):
    def cancel(self, looks: list[Any], answer: Any) -> list[tuple[Any, ...]]:
        """Cancel; what was asked."""
        answers = {LOOK[0]: looks, CANCEL[0]: [answer]}
        self.client: Any = Scripted(answers)
        cancel(self.client, "sub_1", "k")
        asked: list[tuple[Any, ...]] = self.client.asked
        return asked

    def test_at_once(self) -> None:
        """It ends at once, without proration or a last invoice, under its key."""
        self.assertEqual(self.cancel([ACTIVE], CANCELED), [LOOK, CANCEL])

    def test_over(self) -> None:
        """What is over is not cancelled again."""
        for status in ("canceled", "incomplete_expired"):
            self.assertEqual(self.cancel([thing(status=status)], None), [LOOK])

    def test_meanwhile(self) -> None:
        """What another cancelled between look and call is cancelled."""
        asked = self.cancel([ACTIVE, CANCELED], refused("resource_missing"))
        self.assertEqual(asked, [LOOK, CANCEL, LOOK])

    def test_refused(self) -> None:
        """A refusal that leaves the subscription alive is told."""
        with self.assertRaises(stripe.InvalidRequestError):
            self.cancel([ACTIVE, ACTIVE], refused("resource_missing"))
        self.assertEqual(self.client.asked, [LOOK, CANCEL, LOOK])


class IntentTests(SynchronousTestCase):
    def test_first_invoice(self) -> None:
        """Only what paid the first invoice by a payment intent is found."""
        invoices = page(
            {"id": "in_2", "billing_reason": "subscription_cycle"},
            {"id": "in_1", "billing_reason": "subscription_create"},
        )
        payments = page(
            {"payment": {"type": "charge", "charge": "ch_1"}},
            {"payment": {"type": "payment_intent", "payment_intent": "pi_1"}},
            {"payment": {"type": "payment_intent", "payment_intent": "pi_2"}},
        )
        client: Any = Scripted(
            {"invoices.list": [invoices], "invoice_payments.list": [payments]}
        )
        self.assertEqual(first_intents(client, "sub_1"), ["pi_1", "pi_2"])
        asked = {"invoice": "in_1", "status": "paid", "limit": 100}
        self.assertEqual(
            client.asked,
            [
                ("invoices.list", {"subscription": "sub_1", "limit": 100}),
                ("invoice_payments.list", asked),
            ],
        )


class RefundTests(SynchronousTestCase):
    def refund(
        self,
        received: int | None,
        *looks: list[dict[str, Any]],
        purpose: Any = "unserved",
        answer: Any = None,
    ) -> Refunded:
        """Refund; what was asked is at *client*."""
        self.client: Any = Scripted(
            {
                "refunds.list": [page(*look) for look in looks],
                "payment_intents.retrieve": [thing(amount_received=received)],
                "refunds.create": [answer],
            }
        )
        return refund(self.client, "pi_1", purpose, "k")

    def test_whole(self) -> None:
        """All that was received is refunded, and found again by the payment's name."""
        done = self.refund(900, [], [refunded("re_1", 900)])
        self.assertEqual(done, Refunded("re_1", 900))
        asked = {
            "payment_intent": "pi_1",
            "amount": 900,
            "metadata": {"s4_purpose": "unserved"},
        }
        create = ("refunds.create", asked, {"idempotency_key": "k:refund:pi_1:900"})
        self.assertEqual(self.client.asked, [REFUNDS, RECEIVED, create, REFUNDS])

    def test_second_session(self) -> None:
        """A second session's refund names the reason that Stripe has for it."""
        self.refund(900, [], [refunded("re_1", 900)], purpose="second-session")
        asked = self.client.asked[2][1]
        self.assertEqual(asked["reason"], "duplicate")
        self.assertEqual(asked["metadata"], {"s4_purpose": "second-session"})

    def test_rest(self) -> None:
        """Only what is left is refunded; lost refunds gave nothing back."""
        before = [
            refunded("re_4", 500, "failed"),
            refunded("re_3", 200, "pending"),
            refunded("re_2", 300, "canceled"),
            refunded("re_1", 100),
        ]
        done = self.refund(900, before, [refunded("re_5", 600), *before])
        self.assertEqual(done, Refunded("re_5", 900))
        _, asked, options = self.client.asked[2]
        self.assertEqual(asked["amount"], 600)
        self.assertEqual(options, {"idempotency_key": "k:refund:pi_1:600"})

    def test_nothing_left(self) -> None:
        """What went back already is told, and nothing more is asked for."""
        for amount in (900, 901):
            done = self.refund(900, [refunded("re_1", amount)])
            self.assertEqual(done, Refunded("re_1", amount))
            self.assertEqual(self.client.asked, [REFUNDS, RECEIVED])

    def test_nothing_received(self) -> None:
        """A payment that brought nothing gives nothing back."""
        for received in (0, None):
            self.assertEqual(self.refund(received, []), Refunded(None, 0))
            self.assertEqual(self.client.asked, [REFUNDS, RECEIVED])

    def test_least(self) -> None:
        """The smallest rest goes back, too."""
        self.refund(900, [refunded("re_1", 899)], [], answer=None)
        self.assertEqual(self.client.asked[2][1]["amount"], 1)

    def test_meanwhile(self) -> None:
        """What another refunded between look and call is given back."""
        answer = refused("charge_already_refunded")
        done = self.refund(900, [], [refunded("re_9", 900)], answer=answer)
        self.assertEqual(done, Refunded("re_9", 900))

    def test_refused(self) -> None:
        """A refund that Stripe refuses for another reason is told."""
        with self.assertRaises(stripe.InvalidRequestError):
            self.refund(900, [], [], answer=refused("charge_disputed"))


class PartTests(SynchronousTestCase):
    def part(self, look: list[dict[str, Any]], answer: Any = None) -> Refunded:
        """Give 300 back, of effect ``e``; what was asked is at *client*."""
        self.client: Any = Scripted(
            {"refunds.list": [page(*look)], "refunds.create": [answer]}
        )
        return refund_part(self.client, "pi_1", 300, "e", "e:again")

    def test_first(self) -> None:
        """The refund names its effect, beside whatever went back before."""
        others = [
            refunded("re_1", 300) | {"metadata": {"s4_effect": "d"}},
            refunded("re_2", 300) | {"metadata": None},
        ]
        done = self.part(others, thing(id="re_3", amount=300))
        self.assertEqual(done, Refunded("re_3", 300))
        asked = {
            "payment_intent": "pi_1",
            "amount": 300,
            "metadata": {"s4_purpose": "goodwill", "s4_effect": "e"},
        }
        options = {"idempotency_key": "e:again:refund:pi_1:300"}
        create = ("refunds.create", asked, options)
        self.assertEqual(self.client.asked, [REFUNDS, create])

    def test_again(self) -> None:
        """What was made for the effect is found by its name, and not made again."""
        made = refunded("re_3", 300, "pending") | {"metadata": {"s4_effect": "e"}}
        self.assertEqual(self.part([made]), Refunded("re_3", 300))
        self.assertEqual(self.client.asked, [REFUNDS])

    def test_lost(self) -> None:
        """One that failed is told, and not made again under the same effect."""
        for status in ("failed", "canceled"):
            made = refunded("re_3", 300, status) | {"metadata": {"s4_effect": "e"}}
            with self.assertRaises(Refused) as raised:
                self.part([made])
            self.assertEqual(raised.exception.code, "refund-failed")
            self.assertEqual(self.client.asked, [REFUNDS])


class LastPaymentTests(SynchronousTestCase):
    def test_newest(self) -> None:
        """It is the newest paid invoice that a charge has paid, by what it brought."""
        at = {"status_transitions": {"paid_at": 1_800_000_000}}
        free = {"id": "in_3", "created": 1} | at
        paid = {"id": "in_2", "created": 1} | at
        by = page({"payment": {"type": "payment_intent", "payment_intent": "pi_1"}})
        client: Any = Scripted(
            {
                "invoices.list": [page(free, paid, {"id": "in_1"} | at)],
                "invoice_payments.list": [page(), by],
                "payment_intents.retrieve": [
                    thing(amount_received=900, currency="eur")
                ],
                "refunds.list": [
                    page(refunded("re_2", 100, "failed"), refunded("re_1", 200))
                ],
            }
        )
        found = last_payment(client, "sub_1")
        when = datetime.fromtimestamp(1_800_000_000, UTC)
        self.assertEqual(found, LastPayment("pi_1", 900, 200, "eur", when))
        asked = {"subscription": "sub_1", "status": "paid", "limit": 100}
        self.assertEqual(client.asked[0], ("invoices.list", asked))
        self.assertEqual([a[1] for a in client.asked[3:]], ["pi_1", REFUNDS[1]])

    def test_none(self) -> None:
        """Of a subscription that nobody ever paid for there is none."""
        self.assertIsNone(last_payment(Scripted({"invoices.list": [page()]}), "sub_1"))

    def test_left(self) -> None:
        """What is left is never less than nothing."""
        when = datetime.now(UTC)
        for amount, back, left in ((900, 0, 900), (900, 899, 1), (900, 901, 0)):
            self.assertEqual(LastPayment("pi_1", amount, back, "eur", when).left, left)
