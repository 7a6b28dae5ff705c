"""A credit note for each refund of ours, so that invoices, tax and books agree with
the money; blocking, one call at a time.

It looks before it acts, as :mod:`.giving_back` does, whose last step this is.  A note
is never voided: Stripe voids none of a paid invoice.  So the note of a refund that
failed later stays, for whoever pays the customer otherwise; and a refund that is made
in place of that one is credited by what is left of the invoice.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Literal

import stripe

from lae_flapp.money.stripe.giving_back import MANY, refunds_of
from lae_flapp.money.stripe.reading import LOST, PURPOSE, id_of, plain

if TYPE_CHECKING:
    from stripe.params import CreditNoteCreateParams

#: Why, in the words that Stripe has for it, by the purpose that a refund names.
_REASONS: dict[str, Literal["duplicate", "order_change", "product_unsatisfactory"]] = {
    "second-session": "duplicate",
    "unserved": "order_change",
    "goodwill": "product_unsatisfactory",
}


def credit(client: stripe.StripeClient, intent: str, key: str) -> None:
    """Credit every refund of ours of one payment that no credit note names.

    One that Stripe refuses does not keep the others from theirs; then it is raised.
    """
    refusal: stripe.InvalidRequestError | None = None
    for invoice in _invoices_paid_by(client, intent):
        for made in reversed(list(refunds_of(client, intent))):
            purpose = (plain(made).get("metadata") or {}).get(PURPOSE)
            if made.status in LOST or purpose not in _REASONS:
                continue
            try:
                _credit_one(client, invoice, made, purpose, key)
            except stripe.InvalidRequestError as e:
                refusal = refusal or e
    if refusal is not None:
        raise refusal


def _credit_one(
    client: stripe.StripeClient,
    invoice: str,
    made: stripe.Refund,
    purpose: str,
    key: str,
) -> None:
    if made.id in _named(client, invoice):
        return
    paid = client.v1.invoices.retrieve(invoice)
    left = paid.amount_paid - paid.post_payment_credit_notes_amount
    amount = min(made.amount, left)
    if amount <= 0:
        # A refund that failed before this one has credited all of it.
        return
    asked: CreditNoteCreateParams = {
        "invoice": invoice,
        "amount": amount,
        "refunds": [{"refund": made.id, "amount_refunded": amount}],
        "reason": _REASONS[purpose],
        "metadata": {PURPOSE: purpose},
    }
    try:
        client.v1.credit_notes.create(
            asked, {"idempotency_key": f"{key}:credit:{made.id}:{amount}"}
        )
    except stripe.InvalidRequestError:
        # Credited between our look and our call: that is success.
        if made.id not in _named(client, invoice):
            raise


def _named(client: stripe.StripeClient, invoice: str) -> set[str | None]:
    """The refunds that the invoice's credit notes name."""
    notes = client.v1.credit_notes.list({"invoice": invoice, "limit": MANY})
    return {
        id_of(link["refund"])
        for note in notes.auto_paging_iter()
        for link in plain(note)["refunds"]
    }


def _invoices_paid_by(client: stripe.StripeClient, intent: str) -> Iterator[str]:
    payments = client.v1.invoice_payments.list(
        {
            "payment": {"type": "payment_intent", "payment_intent": intent},
            "status": "paid",
            "limit": MANY,
        }
    )
    for payment in payments.auto_paging_iter():
        name: Any = id_of(plain(payment)["invoice"])
        yield name
