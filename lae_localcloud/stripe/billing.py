"""Subscriptions, invoices and their payments."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from typing import Literal

from lae_localcloud.stripe.customers import merged
from lae_localcloud.stripe.errors import ApiError, missing
from lae_localcloud.stripe.store import Account, Json, blank, new_id

_DAYS = {"day": 1, "week": 7, "month": 30, "year": 365}
_DAY = 24 * 3600


def period_end(price: Json, start: int) -> int:
    """When a period that begins now ends (months of 30 days: nobody waits here)."""
    recurring = price["recurring"]
    return int(
        start + _DAYS[recurring["interval"]] * recurring["interval_count"] * _DAY
    )


def new_subscription(
    account: Account, customer: Json, lines: list[Json], data: Json, method: str
) -> Json:
    """An active subscription to these line items of a Checkout session."""
    now = account.seconds()
    trial = data.get("trial_period_days")
    trial_end = None if trial is None else now + trial * _DAY
    name = new_id("subscription")
    items = [_item(account, name, line, now, trial_end) for line in lines]
    return account.new(
        "subscription",
        id=name,
        billing_cycle_anchor=trial_end or now,
        currency=lines[0]["currency"],
        customer=customer["id"],
        default_payment_method=method,
        description=data.get("description"),
        items={
            "object": "list",
            "data": items,
            "has_more": False,
            "url": f"/v1/subscription_items?subscription={name}",
        },
        metadata=data.get("metadata") or {},
        start_date=now,
        status="active" if trial_end is None else "trialing",
        trial_start=None if trial_end is None else now,
        trial_end=trial_end,
    )


def _item(
    account: Account, subscription: str, line: Json, now: int, trial_end: int | None
) -> Json:
    price = line["price"]
    plan = blank("plan")
    plan.update(
        id=price["id"],
        created=price["created"],
        amount=price["unit_amount"],
        amount_decimal=price["unit_amount_decimal"],
        currency=price["currency"],
        interval=price["recurring"]["interval"],
        interval_count=price["recurring"]["interval_count"],
        product=price["product"],
    )
    return account.new(
        "subscription_item",
        subscription=subscription,
        price=price,
        plan=plan,
        quantity=line["quantity"],
        current_period_start=now,
        current_period_end=trial_end or period_end(price, now),
    )


def new_invoice(
    account: Account,
    subscription: Json,
    customer: Json,
    reason: Literal["subscription_create", "subscription_cycle"] = (
        "subscription_create"
    ),
) -> Json:
    """An invoice of a subscription, finalized and open."""
    now = account.seconds()
    due = 0 if subscription["status"] == "trialing" else _due(subscription)
    name = new_id("invoice")
    currency = subscription["currency"]
    number = f"{customer['invoice_prefix']}-{customer['next_invoice_sequence']:04d}"
    customer["next_invoice_sequence"] += 1
    lines = [_line(account, name, subscription, i) for i in _items(subscription)]
    invoice = account.new(
        "invoice",
        id=name,
        account_country="DE",
        amount_due=due,
        amount_remaining=due,
        attempted=False,
        auto_advance=False,
        billing_reason=reason,
        currency=currency,
        customer=customer["id"],
        customer_email=customer["email"],
        effective_at=now,
        lines={
            "object": "list",
            "data": lines,
            "has_more": False,
            "url": f"/v1/invoices/{name}/lines",
        },
        number=number,
        parent={
            "type": "subscription_details",
            "quote_details": None,
            "subscription_details": {
                "metadata": subscription["metadata"],
                "subscription": subscription["id"],
            },
        },
        period_start=now,
        period_end=now,
        status="open",
        subtotal=due,
        subtotal_excluding_tax=due,
        total=due,
        total_excluding_tax=due,
        ending_balance=0,
    )
    invoice["status_transitions"]["finalized_at"] = now
    invoice["test_clock"] = subscription["test_clock"]
    code = secrets.token_urlsafe(18)
    account.invoice_codes[code] = name
    invoice["hosted_invoice_url"] = f"{account.base_url()}/i/{code}"
    subscription["latest_invoice"] = name
    return invoice


def _items(subscription: Json) -> list[Json]:
    items: list[Json] = subscription["items"]["data"]
    return items


def _due(subscription: Json) -> int:
    return sum(i["price"]["unit_amount"] * i["quantity"] for i in _items(subscription))


def _line(account: Account, invoice: str, subscription: Json, item: Json) -> Json:
    trial = subscription["status"] == "trialing"
    amount = 0 if trial else item["price"]["unit_amount"]
    return account.new(
        "line_item",
        amount=amount * item["quantity"],
        subtotal=amount * item["quantity"],
        currency=item["price"]["currency"],
        description=f"{item['quantity']} x subscription",
        discountable=True,
        invoice=invoice,
        period={
            "start": item["current_period_start"],
            "end": item["current_period_end"],
        },
        quantity=item["quantity"],
        parent={
            "type": "subscription_item_details",
            "invoice_item_details": None,
            "subscription_item_details": {
                "invoice_item": None,
                "proration": False,
                "proration_details": {"credited_items": None},
                "subscription": subscription["id"],
                "subscription_item": item["id"],
            },
        },
        pricing={
            "type": "price_details",
            "price_details": {
                "price": item["price"]["id"],
                "product": item["price"]["product"],
            },
            "unit_amount_decimal": item["price"]["unit_amount_decimal"],
        },
    )


def invoice_paid(
    account: Account, invoice: Json, intent: Json | None, attempts: int = 1
) -> None:
    """Mark an invoice as paid, by this payment intent (None: nothing was due)."""
    now = account.seconds()
    due = invoice["amount_due"]
    invoice.update(amount_paid=due, amount_remaining=0, attempted=True, status="paid")
    invoice["attempt_count"] = 0 if intent is None else attempts
    invoice["status_transitions"]["paid_at"] = now
    if intent is not None:
        payment = next(
            p
            for p in account.all("invoice_payment")
            if p["payment"]["payment_intent"] == intent["id"]
        )
        payment.update(amount_paid=due, status="paid")
        payment["status_transitions"]["paid_at"] = now
        account.emit("invoice_payment.paid", payment)
    account.emit("invoice.paid", invoice)
    account.emit("invoice.payment_succeeded", invoice)


def cancel_subscription(account: Account, name: str, asked: Json) -> Json:
    """End it now, without proration."""
    for unwanted in ("prorate", "invoice_now"):
        if asked.get(unwanted):
            raise ApiError(f"The local Stripe does not do {unwanted}.", param=unwanted)
    subscription = account.get("subscription", name)
    if subscription["status"] == "canceled":
        # Stripe has no such subscription any more, when asked to cancel it.
        raise ApiError(
            f"No such subscription: '{name}'",
            status=404,
            code="resource_missing",
            param="id",
        )
    details = asked.get("cancellation_details", {})
    with account.at_clock_of(subscription):
        finish_subscription(account, subscription, "cancellation_requested", details)
    return subscription


def finish_subscription(
    account: Account,
    subscription: Json,
    reason: Literal["cancellation_requested", "payment_failed"],
    details: Json | None = None,
) -> None:
    """It is over; what is open is not tried again by itself, but can be paid."""
    now, said = account.seconds(), details or {}
    subscription.update(
        status="canceled",
        canceled_at=subscription["canceled_at"] or now,
        ended_at=now,
        cancellation_details={
            "comment": said.get("comment"),
            "feedback": said.get("feedback"),
            "reason": reason,
        },
    )
    for invoice in invoices(account, {"subscription": subscription["id"]}):
        if invoice["status"] in ("open", "draft"):
            invoice.update(auto_advance=False, next_payment_attempt=None)
    account.emit("customer.subscription.deleted", subscription)


def update_subscription(account: Account, name: str, asked: Json) -> Json:
    """Change metadata or when it ends."""
    known = {"metadata", "cancel_at_period_end", "description"}
    if unknown := set(asked) - known:
        raise ApiError(f"The local Stripe cannot change {min(unknown)}.")
    subscription = account.get("subscription", name)
    if subscription["status"] == "canceled":
        raise ApiError("A canceled subscription can only update its metadata.")
    fields = dict(asked)
    if "metadata" in asked:
        fields["metadata"] = merged(subscription["metadata"], asked["metadata"])
    if "cancel_at_period_end" in asked:
        ends = max(i["current_period_end"] for i in _items(subscription))
        stops = asked["cancel_at_period_end"]
        fields["cancel_at"] = ends if stops else None
        with account.at_clock_of(subscription):
            fields["canceled_at"] = account.seconds() if stops else None
    account.change(subscription, "customer.subscription.updated", **fields)
    return subscription


def subscriptions(account: Account, asked: Json) -> Iterable[Json]:
    """Those that a list request asks for: not the cancelled ones, unless asked."""
    status = asked.get("status")
    for subscription in account.all("subscription"):
        if "customer" in asked and subscription["customer"] != asked["customer"]:
            continue
        now = subscription["status"]
        if status in ("all", now) or (status is None and now != "canceled"):
            yield subscription


def invoices(account: Account, asked: Json) -> list[Json]:
    """The invoices that a list request asks for."""
    subscription = asked.get("subscription")
    return [
        invoice
        for invoice in account.all("invoice")
        if all(
            invoice[name] == asked[name]
            for name in ("customer", "status")
            if name in asked
        )
        and (
            subscription is None
            or invoice["parent"]["subscription_details"]["subscription"] == subscription
        )
    ]


def invoice_payments(account: Account, asked: Json) -> list[Json]:
    """The payments of invoices that a list request asks for."""
    if not {"invoice", "payment"} & set(asked):
        raise missing("invoice")
    intent = asked.get("payment", {}).get("payment_intent")
    return [
        payment
        for payment in account.all("invoice_payment")
        if all(
            payment[name] == asked[name]
            for name in ("invoice", "status")
            if name in asked
        )
        and (intent is None or payment["payment"]["payment_intent"] == intent)
    ]
