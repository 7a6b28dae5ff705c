"""Credit notes of the local Stripe are refused where Stripe refuses them."""

from __future__ import annotations

from typing import Any

import stripe

from lae_localcloud.stripe import money
from lae_localcloud.stripe.store import Json
from tests.stripe.bench import LocalStripeCase


class CreditNoteTests(LocalStripeCase):
    async def paid(self) -> Json:
        """The newest invoice, just paid."""
        await self.pay((await self.opened()).url)
        return next(self.account.all("invoice"))

    def refund(self, invoice: Json, amount: int) -> str:
        """Give so much of an invoice's payment back."""
        intent = next(
            p["payment"]["payment_intent"]
            for p in self.account.all("invoice_payment")
            if p["invoice"] == invoice["id"]
        )
        asked = {"payment_intent": intent, "amount": amount}
        return str(money.create_refund(self.account, asked)["id"])

    async def note(
        self, invoice: Json, amount: int, *refunds: tuple[str, int], **more: Any
    ) -> Any:
        """Create a note; the error where it is refused."""
        asked = {
            "invoice": invoice["id"],
            "amount": amount,
            "refunds": [{"refund": r, "amount_refunded": n} for r, n in refunds],
            **more,
        }
        try:
            return await self.away(self.client().v1.credit_notes.create, asked)
        except stripe.InvalidRequestError as e:
            return e

    async def test_notes(self) -> None:
        """A paid invoice is credited in parts, each with the refund that it names."""
        invoice = await self.paid()
        first, second = self.refund(invoice, 300), self.refund(invoice, 600)
        one = await self.note(invoice, 300, (first, 300), reason="duplicate")
        two = await self.note(invoice, 600, (second, 600))
        self.assertEqual((one.status, one.type, one.reason), (
            "issued", "post_payment", "duplicate"
        ))  # fmt: skip
        self.assertEqual(two.number, f"{invoice['number']}-CN-02")
        self.assertEqual(invoice["post_payment_credit_notes_amount"], 900)
        notes = self.client().v1.credit_notes
        found = await self.away(notes.list, {"invoice": invoice["id"]})
        self.assertEqual([note.id for note in found.data], [two.id, one.id])
        other = await self.paid()
        found = await self.away(notes.list, {"invoice": other["id"]})
        self.assertEqual(found.data, [])
        self.assertIn("credit_note.created", self.kinds())

    async def test_refused(self) -> None:
        """No more than is left of invoice or refund, no other invoice's refund, none
        that does not add up, none of an invoice that is not paid.
        """
        other, invoice = await self.paid(), await self.paid()
        mine, theirs = self.refund(invoice, 500), self.refund(other, 500)
        await self.note(invoice, 400, (mine, 400))
        for amount, refunds, param in (
            (501, [(mine, 501)], "amount"),
            (0, [(mine, 0)], "amount"),
            (101, [(mine, 101)], "refunds[0][amount_refunded]"),
            (100, [(theirs, 100)], "refunds[0][refund]"),
            (100, [("re_nothing", 100)], "refunds[0][refund]"),
            (100, [(mine, 99)], "refunds"),
            (100, [], "refunds"),
        ):
            error = await self.note(invoice, amount, *refunds)
            self.assertEqual(getattr(error, "param", None), param)
        error = await self.note(invoice, 100, (mine, 100), out_of_band_amount=0)
        self.assertEqual(error.param, "out_of_band_amount")
        invoice["status"] = "open"
        error = await self.note(invoice, 100, (mine, 100))
        self.assertEqual(error.param, "invoice")
        self.assertEqual(len(list(self.account.all("credit_note"))), 1)

    async def test_not_voided(self) -> None:
        """The note of a paid invoice cannot be voided, whatever became of the refund."""
        invoice = await self.paid()
        refund = self.refund(invoice, 900)
        note = await self.note(invoice, 900, (refund, 900))
        money.fail_refund(self.account, refund)
        notes = self.client().v1.credit_notes
        with self.assertRaises(stripe.InvalidRequestError) as raised:
            await self.away(notes.void_credit_note, note.id)
        self.assertIn("invoice is open", str(raised.exception))
        found = await self.away(notes.retrieve, note.id)
        self.assertEqual(found.status, "issued")
