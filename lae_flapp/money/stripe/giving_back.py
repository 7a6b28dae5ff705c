"""Cancel a subscription and refund its first charge, or some of its last one; blocking,
one call at a time.

Each step looks before it acts and is success where there is nothing left to do, so
that the whole can be run again from its beginning after any interruption.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import stripe
from attrs import define

from lae_flapp.effects.payments import LastPayment, Purpose
from lae_flapp.money.stripe.reading import EFFECT, LOST, PURPOSE, moment, plain
from lae_provision.errors import Refused

if TYPE_CHECKING:
    from stripe import RequestOptions
    from stripe.params import InvoiceListParams, RefundCreateParams

#: The order of invoices: nobody has a hundred of them on the first day.
MANY = 100


@define(frozen=True)
class Refunded:
    """The refunds of one payment: how much, and the newest's id."""

    refund_id: str | None
    amount: int


def cancel(client: stripe.StripeClient, subscription: str, key: str) -> None:
    """Cancel at once, without proration: what was charged is refunded whole."""
    if _is_over(client, subscription):
        return
    try:
        client.v1.subscriptions.cancel(
            subscription,
            {"prorate": False, "invoice_now": False},
            {"idempotency_key": f"{key}:cancel"},
        )
    except stripe.InvalidRequestError:
        # Cancelled between our look and our call: that is success.
        if not _is_over(client, subscription):
            raise


def _is_over(client: stripe.StripeClient, subscription: str) -> bool:
    found = client.v1.subscriptions.retrieve(subscription)
    return found.status in ("canceled", "incomplete_expired")


def first_intents(client: stripe.StripeClient, subscription: str) -> list[str]:
    """The payment intents that paid the subscription's first invoice."""
    invoices = client.v1.invoices.list({"subscription": subscription, "limit": MANY})
    first = [
        invoice.id
        for invoice in invoices.auto_paging_iter()
        if invoice.billing_reason == "subscription_create"
    ]
    return [intent for name in first for intent in _intents_of(client, name)]


def last_payment(client: stripe.StripeClient, subscription: str) -> LastPayment | None:
    """The newest invoice of the subscription that a charge has paid."""
    asked: InvoiceListParams = {
        "subscription": subscription,
        "status": "paid",
        "limit": MANY,
    }
    for invoice in client.v1.invoices.list(asked).auto_paging_iter():
        # Of one that cost nothing there is no charge.
        for name in _intents_of(client, invoice.id):
            intent = client.v1.payment_intents.retrieve(name)
            return LastPayment(
                payment_intent=name,
                amount=intent.amount_received or 0,
                given_back=_given_back(client, name).amount,
                currency=intent.currency,
                paid_at=moment(
                    plain(invoice)["status_transitions"]["paid_at"] or invoice.created
                ),
            )
    return None


def _intents_of(client: stripe.StripeClient, invoice: str) -> Iterator[str]:
    payments = client.v1.invoice_payments.list(
        {"invoice": invoice, "status": "paid", "limit": MANY}
    )
    for payment in payments.auto_paging_iter():
        paid_by: dict[str, Any] = plain(payment)["payment"]
        intent = paid_by.get("payment_intent")
        if isinstance(intent, str):
            yield intent


def refund(
    client: stripe.StripeClient, intent: str, purpose: Purpose, key: str
) -> Refunded:
    """Refund what is left of one payment."""
    done = _given_back(client, intent)
    received = client.v1.payment_intents.retrieve(intent).amount_received or 0
    if done.amount >= received:
        return done
    try:
        _create(client, intent, purpose, received - done.amount, key)
    except stripe.InvalidRequestError as e:
        if e.code != "charge_already_refunded":
            raise
    return _given_back(client, intent)


def refund_part(
    client: stripe.StripeClient, intent: str, amount: int, effect: str, key: str
) -> Refunded:
    """Refund so much of one payment, once for each *effect*, which the refund names."""
    for made in refunds_of(client, intent):
        if (plain(made).get("metadata") or {}).get(EFFECT) == effect:
            if made.status in LOST:
                raise Refused("refund-failed", f"{made.id} {made.status}")
            return Refunded(made.id, made.amount)
    made = _create(client, intent, "goodwill", amount, key, effect)
    return Refunded(made.id, made.amount)


def _create(  # noqa: PLR0917  (inner)
    client: stripe.StripeClient,
    intent: str,
    purpose: Purpose,
    amount: int,
    key: str,
    effect: str | None = None,
) -> stripe.Refund:
    # The amount is named, so that two at once cannot give back more.
    asked: RefundCreateParams = {
        "payment_intent": intent,
        "amount": amount,
        "metadata": {PURPOSE: purpose} | ({EFFECT: effect} if effect else {}),
    }
    if purpose == "second-session":
        asked["reason"] = "duplicate"
    options: RequestOptions = {"idempotency_key": f"{key}:refund:{intent}:{amount}"}
    return client.v1.refunds.create(asked, options)


def refunds_of(client: stripe.StripeClient, intent: str) -> Iterator[stripe.Refund]:
    """The refunds of one payment, newest first; also those that somebody else made."""
    found = client.v1.refunds.list({"payment_intent": intent, "limit": MANY})
    return found.auto_paging_iter()


def _given_back(client: stripe.StripeClient, intent: str) -> Refunded:
    counted = [r for r in refunds_of(client, intent) if r.status not in LOST]
    return Refunded(
        refund_id=counted[0].id if counted else None,
        amount=sum(r.amount for r in counted),
    )
