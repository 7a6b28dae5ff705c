"""What an event of Stripe's is about, and no more.

An event's content is never believed: it may be old, repeated or out of order, and it
quotes the customer's address.  So nobody keeps or carries it.  What is left is a hint,
which says which object to fetch.
"""

from __future__ import annotations

import json
import re
from typing import Any, Literal

from attrs import define

#: What is fetched when an event came.
Subject = Literal["session", "subscription", "charge", "refund"]

#: Every kind of event from which something follows.  The webhook endpoint must be told
#: of these, and a start asks Stripe for these.  All that each says is: look at this.
SUBJECTS: dict[str, Subject] = {
    "checkout.session.completed": "session",
    "checkout.session.async_payment_succeeded": "session",
    "checkout.session.async_payment_failed": "session",
    "checkout.session.expired": "session",
    "customer.subscription.updated": "subscription",
    "customer.subscription.deleted": "subscription",
    "invoice.paid": "subscription",
    "invoice.payment_failed": "subscription",
    # Money was given back, or a bank is asked to take it back: a person looks.
    "charge.refunded": "charge",
    "charge.dispute.created": "charge",
    # Money that was given back came back to us, days later: a person looks, too.
    "refund.failed": "refund",
}

#: Stripe's ids and kinds of events: up to 255 characters, of ASCII that can be seen.
_NAME = re.compile(r"[\x21-\x7e]{1,255}")


@define(frozen=True)
class StripeHint:
    """One event: its id, its kind, and the id of the object to fetch.

    *object_id* is None where the event names none.
    """

    event_id: str
    kind: str
    object_id: str | None

    def is_well_named(self) -> bool:
        """Whether Stripe can have given these names, whoever made the hint."""
        names = (self.event_id, self.kind, self.object_id)
        return all(name is None or _name(name) is not None for name in names)

    def is_followed(self) -> bool:
        """Whether anything follows from the event: nobody keeps any other."""
        return self.kind in SUBJECTS and self.object_id is not None


def hint_in(body: bytes) -> StripeHint | None:
    """Read the hint in a webhook's body; None for bytes that are no event.  Pure."""
    try:
        return hint_of(json.loads(body))
    except (ValueError, RecursionError):
        return None


def hint_of(event: Any) -> StripeHint | None:
    """Read the hint in an event; None for what is no event.  Pure."""
    if not isinstance(event, dict) or event.get("object") != "event":
        return None
    event_id, kind = _name(event.get("id")), _name(event.get("type"))
    if event_id is None or kind is None:
        return None
    return StripeHint(event_id, kind, _object_id(event))


def _object_id(event: dict[str, Any]) -> str | None:
    """Find the object to fetch: of an invoice its subscription, of a dispute the
    charge, of anything else the thing itself.
    """
    try:
        thing = event["data"]["object"]
        match thing["object"]:
            case "invoice":
                found = thing["parent"]["subscription_details"]["subscription"]
            case "dispute":
                found = thing["charge"]
            case _:
                found = thing["id"]
    except (KeyError, TypeError):
        return None
    return _name(found)


def _name(given: Any) -> str | None:
    return given if isinstance(given, str) and _NAME.fullmatch(given) else None
