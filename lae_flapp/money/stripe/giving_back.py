"""Cancel a subscription and refund its first charge; blocking, one call at a time.

Each step looks before it acts and is success where there is nothing left to do, so
that the whole can be run again from its beginning after any interruption.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import stripe
from attrs import define

from lae_flapp.money.stripe.reading import plain

if TYPE_CHECKING:
    from stripe.params import RefundCreateParams

#: Refunds in these states give no money back.
_LOST = ("failed", "canceled")
#: The order of invoices: nobody has a hundred of them on the first day.
_MANY = 100


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
    invoices = client.v1.invoices.list({"subscription": subscription, "limit": _MANY})
    first = [
        invoice.id
        for invoice in invoices.auto_paging_iter()
        if invoice.billing_reason == "subscription_create"
    ]
    intents = []
    for invoice_id in first:
        payments = client.v1.invoice_payments.list(
            {"invoice": invoice_id, "status": "paid", "limit": _MANY}
        )
        for payment in payments.auto_paging_iter():
            paid_by: dict[str, Any] = plain(payment)["payment"]
            intent = paid_by.get("payment_intent")
            if isinstance(intent, str):
                intents.append(intent)
    return intents


def refund(
    client: stripe.StripeClient,
    intent: str,
    purpose: Literal["second-session", "unserved"],
    key: str,
) -> Refunded:
    """Refund what is left of one payment."""
    done = _given_back(client, intent)
    received = client.v1.payment_intents.retrieve(intent).amount_received or 0
    if done.amount >= received:
        return done
    left = received - done.amount
    # The amount is named, so that two at once cannot give back more.
    asked: RefundCreateParams = {
        "payment_intent": intent,
        "amount": left,
        "metadata": {"s4_purpose": purpose},
    }
    if purpose == "second-session":
        asked["reason"] = "duplicate"
    try:
        client.v1.refunds.create(
            asked, {"idempotency_key": f"{key}:refund:{intent}:{left}"}
        )
    except stripe.InvalidRequestError as e:
        if e.code != "charge_already_refunded":
            raise
    return _given_back(client, intent)


def _given_back(client: stripe.StripeClient, intent: str) -> Refunded:
    found = client.v1.refunds.list({"payment_intent": intent, "limit": _MANY})
    counted = [r for r in found.auto_paging_iter() if r.status not in _LOST]
    return Refunded(
        refund_id=counted[0].id if counted else None,
        amount=sum(r.amount for r in counted),
    )
