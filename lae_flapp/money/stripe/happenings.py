"""Stripe's events, as far as anything follows from them: what to look at."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from attrs import define, field

from lae_flapp.money.stripe.reading import moment

#: What the webhook endpoint must be told of, and what a start asks for.
MATTERS = frozenset(
    {
        "checkout.session.completed",
        "checkout.session.async_payment_succeeded",
        "checkout.session.async_payment_failed",
        "checkout.session.expired",
        "invoice.paid",
        "invoice.payment_failed",
        "customer.subscription.updated",
        "customer.subscription.deleted",
        "charge.refunded",
        "charge.dispute.created",
    }
)


@define(frozen=True)
class Happening:
    """One event: *about* is the id of the object to fetch, *session_id* the same
    where it is a Checkout session.  Nothing else of it is believed.  *raw* is all of
    it, as a webhook would have brought it.
    """

    event_id: str
    kind: str
    at: datetime
    livemode: bool
    about: str | None
    session_id: str | None
    raw: bytes = field(default=b"{}", repr=False)


def happening_from(event: dict[str, Any]) -> Happening:
    """Read an event's frame."""
    thing = event["data"]["object"]
    about = thing.get("id")
    is_session = thing.get("object") == "checkout.session"
    return Happening(
        event_id=event["id"],
        kind=event["type"],
        at=moment(event["created"]),
        livemode=bool(event["livemode"]),
        about=about,
        session_id=about if is_session else None,
        # The library reads decimals, which Stripe writes as texts.
        raw=json.dumps(event, default=str).encode(),
    )
