"""What time does to a subscription: renewals, failed payments, retries, ends.

Events come in Stripe's order.  Stripe's "smart retries" choose their times by a model;
here a failed payment is tried again after 3, 5 and 7 days (what its dashboard offers
beside them), and then the account's setting says what becomes of the subscription.
"""

from __future__ import annotations

from typing import Literal, get_args

from lae_localcloud.stripe.billing import (
    finish_subscription,
    invoice_paid,
    new_invoice,
    period_end,
)
from lae_localcloud.stripe.cards import CARDS, Declined
from lae_localcloud.stripe.errors import ApiError
from lae_localcloud.stripe.money import charge, failed_intent, new_intent
from lae_localcloud.stripe.store import Account, Json

DAY = 24 * 3600
#: A draft is finalized an hour after it was made.
DRAFT = 3600
#: From each failed attempt to the next.
RETRIES = (3 * DAY, 5 * DAY, 7 * DAY)

#: What Stripe's settings offer once all retries have failed.
AfterRetries = Literal["cancel", "unpaid", "past_due"]
AFTER_RETRIES: tuple[AfterRetries, ...] = get_args(AfterRetries)

_RENEWS = ("active", "trialing", "past_due")


def next_moment(account: Account, subscription: Json) -> int | None:
    """When something happens to it next, by time alone."""
    moments = []
    if subscription["status"] in _RENEWS:
        moments.append(_period_end(subscription))
    for invoice in _invoices(account, subscription):
        if invoice["status"] == "draft":
            moments.append(invoice["created"] + DRAFT)
        elif invoice["status"] == "open" and invoice["next_payment_attempt"]:
            moments.append(invoice["next_payment_attempt"])
    return min(moments, default=None)


def happen(account: Account, subscription: Json) -> None:
    """Do what is due now, on the clock that *account* shows."""
    now = account.seconds()
    for invoice in _invoices(account, subscription):
        if invoice["status"] == "draft" and now >= invoice["created"] + DRAFT:
            _finalize(account, invoice)
            attempt(account, invoice)
            return
        again = invoice["next_payment_attempt"]
        if invoice["status"] == "open" and again is not None and now >= again:
            attempt(account, invoice)
            return
    if subscription["status"] in _RENEWS and now >= _period_end(subscription):
        _period_over(account, subscription)


def _period_over(account: Account, subscription: Json) -> None:
    if subscription["cancel_at_period_end"]:
        finish_subscription(account, subscription, "cancellation_requested")
        return
    previous: Json = {
        "items": {"data": [dict(i) for i in subscription["items"]["data"]]}
    }
    for item in subscription["items"]["data"]:
        start = item["current_period_end"]
        item["current_period_start"] = start
        item["current_period_end"] = period_end(item["price"], start)
    if subscription["status"] == "trialing":
        subscription["status"] = "active"
        previous["status"] = "trialing"
    customer = account.get("customer", subscription["customer"])
    invoice = new_invoice(account, subscription, customer, "subscription_cycle")
    invoice.update(status="draft", auto_advance=True, effective_at=None)
    invoice["status_transitions"]["finalized_at"] = None
    account.emit("customer.subscription.updated", subscription, previous)
    account.emit("invoice.created", invoice)


def _finalize(account: Account, invoice: Json) -> None:
    invoice.update(status="open", effective_at=account.seconds())
    invoice["status_transitions"]["finalized_at"] = account.seconds()
    account.emit("invoice.finalized", invoice)


def attempt(account: Account, invoice: Json, number: str | None = None) -> bool:
    """Try to charge an open invoice, by the kept card or by this one; did it work?"""
    subscription = subscription_of(account, invoice)
    method = account.get("payment_method", subscription["default_payment_method"])
    card = number or account.cards.get(method["id"], "4242424242424242")
    intent = _intent(account, invoice, method)
    outcome = CARDS[card][1]
    if isinstance(outcome, Declined):
        _failed(account, invoice, intent, outcome, by_itself=number is None)
        return False
    intent["payment_method"] = method["id"]
    charge(account, intent, invoice["customer_email"])
    attempts = invoice["attempt_count"] + 1
    invoice.update(next_payment_attempt=None)
    invoice_paid(account, invoice, intent, attempts)
    if subscription["status"] in ("past_due", "unpaid"):
        account.change(subscription, "customer.subscription.updated", status="active")
    return True


def _intent(account: Account, invoice: Json, method: Json) -> Json:
    """The invoice's payment intent; a retry uses the one that is there."""
    for payment in account.all("invoice_payment"):
        if payment["invoice"] == invoice["id"]:
            return account.get("payment_intent", payment["payment"]["payment_intent"])
    return new_intent(account, invoice, method)


def _failed(
    account: Account,
    invoice: Json,
    intent: Json,
    declined: Declined,
    *,
    by_itself: bool,
) -> None:
    failed_intent(account, intent, declined)
    if not by_itself:
        # The customer tried on the hosted page; the schedule goes on.
        return
    count = invoice["attempt_count"] + 1
    again = RETRIES[count - 1] if count <= len(RETRIES) else None
    invoice.update(
        attempt_count=count,
        attempted=True,
        next_payment_attempt=None if again is None else account.seconds() + again,
    )
    account.emit("invoice.payment_failed", invoice)
    subscription = subscription_of(account, invoice)
    if again is None:
        _given_up(account, subscription)
    elif subscription["status"] != "past_due":
        account.change(subscription, "customer.subscription.updated", status="past_due")


def _given_up(account: Account, subscription: Json) -> None:
    match account.after_retries:
        case "cancel":
            finish_subscription(account, subscription, "payment_failed")
        case "unpaid" | "past_due":
            if subscription["status"] != account.after_retries:
                account.change(
                    subscription,
                    "customer.subscription.updated",
                    status=account.after_retries,
                )


def void_invoice(account: Account, name: str) -> Json:
    """Nobody can pay it any more."""
    invoice = account.get("invoice", name)
    if invoice["status"] not in ("open", "uncollectible"):
        raise ApiError(
            "You can only pass in open or uncollectible invoices. This invoice isn't "
            "open.",
            code="invoice_not_editable",
        )
    invoice.update(status="void", next_payment_attempt=None)
    invoice["status_transitions"]["voided_at"] = account.seconds()
    account.emit("invoice.voided", invoice)
    return invoice


def subscription_of(account: Account, invoice: Json) -> Json:
    """Whose invoice it is."""
    return account.get(
        "subscription", invoice["parent"]["subscription_details"]["subscription"]
    )


def _invoices(account: Account, subscription: Json) -> list[Json]:
    """Its invoices, oldest first."""
    name = subscription["id"]
    every = [
        i
        for i in account.all("invoice")
        if i["parent"]["subscription_details"]["subscription"] == name
    ]
    return every[::-1]


def _period_end(subscription: Json) -> int:
    return int(max(i["current_period_end"] for i in subscription["items"]["data"]))
