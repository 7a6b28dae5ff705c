"""A subscription: how it is, and when it ends; blocking, one call at a time."""

from __future__ import annotations

from datetime import datetime
from typing import Any, cast, get_args

import stripe

from lae_flapp.effects.payments import SetEnd, Status, Subscription
from lae_flapp.money.stripe.giving_back import cancel
from lae_flapp.money.stripe.reading import (
    DEPLOYMENT,
    SIGNUP_ID,
    moment,
    plain,
    signup_id_from,
)
from lae_protocol.secret import Secret
from lae_provision.errors import Refused

_STATUSES = get_args(Status)
#: Of these nothing changes any more.
OVER = ("canceled", "incomplete_expired")
_MANY = 100


def retrieve(client: stripe.StripeClient, name: str) -> Subscription:
    """Fetch it; raises stripe's own errors."""
    expanded = client.v1.subscriptions.retrieve(name, {"expand": ["latest_invoice"]})
    return subscription_from(plain(expanded))


def set_end(client: stripe.StripeClient, request: SetEnd, key: str) -> Subscription:
    """1. look; 2. say when it ends, if that is not so; 3. nothing of one that is over
    can be paid any more; 4. look again.
    """
    name = request.subscription
    seen = retrieve(client, name)
    over = seen.status in OVER
    match request.wish:
        case "end":
            cancel(client, name, key)
            _void(client, name, key)
        case "leave" if not over and seen.ends_at is None:
            _until_period_end(client, name, key, ends=True)
        case "stay" if not over and seen.ends_at is not None:
            _until_period_end(client, name, key, ends=False)
        case _:
            return seen
    return retrieve(client, name)


def _until_period_end(
    client: stripe.StripeClient, name: str, key: str, *, ends: bool
) -> None:
    client.v1.subscriptions.update(
        name, {"cancel_at_period_end": ends}, {"idempotency_key": key}
    )


def _void(client: stripe.StripeClient, name: str, key: str) -> None:
    """Void what is open: who pays an old invoice would pay for nothing."""
    found = client.v1.invoices.list(
        {"subscription": name, "status": "open", "limit": _MANY}
    )
    for invoice in found.auto_paging_iter():
        if invoice.id is None:
            continue
        client.v1.invoices.void_invoice(
            invoice.id, None, {"idempotency_key": f"{key}:void:{invoice.id}"}
        )


def subscription_from(given: dict[str, Any]) -> Subscription:
    """A subscription; raises Refused for one that cannot be understood."""
    status = given.get("status")
    if status not in _STATUSES:
        raise Refused("not-understood", f"subscription {given['id']}: {status}")
    metadata = given.get("metadata") or {}
    # The period stands on the items since 2025.
    ends = [item["current_period_end"] for item in given["items"]["data"]]
    cancel_at, cancelled_at = given.get("cancel_at"), given.get("canceled_at")
    return Subscription(
        subscription=given["id"],
        status=cast("Status", status),
        signup_id=signup_id_from(metadata.get(SIGNUP_ID)),
        deployment=metadata.get(DEPLOYMENT),
        livemode=bool(given["livemode"]),
        paid_until=moment(max(ends)) if ends else None,
        ends_at=None if cancel_at is None else moment(cancel_at),
        pay_url=_pay_url(given.get("latest_invoice")),
        paid_at=_paid_at(given.get("latest_invoice")),
        cancelled_at=None if cancelled_at is None else moment(cancelled_at),
    )


def _paid_at(invoice: Any) -> datetime | None:
    if not isinstance(invoice, dict) or invoice.get("status") != "paid":
        return None
    paid = (invoice.get("status_transitions") or {}).get("paid_at")
    return None if paid is None else moment(paid)


def _pay_url(invoice: Any) -> Secret | None:
    """Stripe's own page for the invoice that is open; who has it may pay."""
    if not isinstance(invoice, dict) or invoice.get("status") != "open":
        return None
    url = invoice.get("hosted_invoice_url")
    return Secret(url) if isinstance(url, str) else None
