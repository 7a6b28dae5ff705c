"""Stripe's objects, turned into our own frozen types at the edge, once."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, Literal, cast

import stripe

from lae_flapp.effects.payments import Charge, CheckoutSession, Refund
from lae_protocol.ids import MalformedId, SignupId, parse_signup_id
from lae_provision.errors import Refused

#: Keys of our metadata, on session and subscription.
DEPLOYMENT, SIGNUP_ID, ATTEMPT = "s4_deployment", "s4_signup_id", "s4_attempt"
#: Keys of our metadata on a refund: why, and which effect's it is.
PURPOSE, EFFECT = "s4_purpose", "s4_effect"

#: Refunds in these states give no money back.
LOST = ("failed", "canceled")

_STATUS = ("open", "complete", "expired")
_PAYMENT_STATUS = ("paid", "unpaid", "no_payment_required")


def plain(thing: stripe.StripeObject) -> dict[str, Any]:
    """As JSON has it: a StripeObject is no dictionary any more."""
    made: dict[str, Any] = thing.to_dict()
    return made


def id_of(value: Any) -> str | None:
    """The id of what may be an id, an expanded object or nothing."""
    if isinstance(value, dict):
        value = value.get("id")
    return value if isinstance(value, str) else None


def moment(seconds: int) -> datetime:
    """Stripe's seconds since the epoch, as an aware time."""
    return datetime.fromtimestamp(seconds, UTC)


def session_from(given: dict[str, Any]) -> CheckoutSession:
    """A Checkout session; raises Refused for one that cannot be understood."""
    status, payment_status = given.get("status"), given.get("payment_status")
    if status not in _STATUS or payment_status not in _PAYMENT_STATUS:
        # A state that a later API may know: deciding from it would be guessing.
        raise Refused(
            "not-understood", f"session {given['id']}: {status}, {payment_status}"
        )
    metadata = given.get("metadata") or {}
    return CheckoutSession(
        session_id=given["id"],
        url=given.get("url") if status == "open" else None,
        status=cast("Literal['open', 'complete', 'expired']", status),
        payment_status=cast(
            "Literal['paid', 'unpaid', 'no_payment_required']", payment_status
        ),
        signup_id=signup_id_from(metadata.get(SIGNUP_ID)),
        deployment=metadata.get(DEPLOYMENT),
        subscription=id_of(given.get("subscription")),
        customer=id_of(given.get("customer")),
        livemode=bool(given["livemode"]),
        expires_at=moment(given["expires_at"]),
        invoice=id_of(given.get("invoice")),
        payment_intent=id_of(given.get("payment_intent")),
    )


def charge_from(given: dict[str, Any], refunds: Iterable[dict[str, Any]]) -> Charge:
    """A charge.  Stripe calls it *refunded* only when all of it was given back; a
    refund of ours says so in its metadata.
    """
    return Charge(
        charge=given["id"],
        customer=id_of(given.get("customer")),
        refunded=bool(given["refunded"]) or given["amount_refunded"] > 0,
        disputed=bool(given["disputed"]),
        elsewhere=any(
            refund["status"] not in LOST
            and PURPOSE not in (refund.get("metadata") or {})
            for refund in refunds
        ),
    )


def refund_from(given: dict[str, Any]) -> Refund:
    """A refund, with its charge beside it."""
    charge = given.get("charge")
    customer = charge.get("customer") if isinstance(charge, dict) else None
    return Refund(
        refund=given["id"],
        customer=id_of(customer),
        amount=given["amount"],
        currency=given["currency"],
        failed=given["status"] in LOST,
    )


def signup_id_from(text: Any) -> SignupId | None:
    """The id; the metadata of an account that others use too may hold anything."""
    try:
        return parse_signup_id(text) if isinstance(text, str) else None
    except MalformedId:
        return None
