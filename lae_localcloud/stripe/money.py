"""Payment intents, charges and refunds."""

from __future__ import annotations

import secrets

from lae_localcloud.stripe.cards import Card, Declined
from lae_localcloud.stripe.customers import merged
from lae_localcloud.stripe.errors import ApiError, missing, no_such
from lae_localcloud.stripe.store import Account, Json, new_id


def new_method(account: Account, card: Card | None, customer: str | None) -> Json:
    """A payment method: a card, or (None) a bank debit that settles later."""
    if card is None:
        return account.new("payment_method", type="sepa_debit", customer=customer)
    method = account.new(
        "payment_method",
        type="card",
        customer=customer,
        allow_redisplay="limited",
        card={
            "brand": card.brand,
            "checks": {
                "address_line1_check": None,
                "address_postal_code_check": None,
                "cvc_check": "pass",
            },
            "country": "US",
            "display_brand": card.brand,
            "exp_month": card.exp_month,
            "exp_year": card.exp_year,
            "fingerprint": None,
            "funding": "credit",
            "generated_from": None,
            "last4": card.last4,
            "networks": {"available": [card.brand], "preferred": None},
            "regulated_status": None,
            "three_d_secure_usage": {"supported": True},
            "wallet": None,
        },
    )
    account.cards[method["id"]] = card.number
    return method


def new_intent(account: Account, invoice: Json, method: Json) -> Json:
    """The payment intent of an invoice, and the invoice payment that ties them."""
    name = new_id("payment_intent")
    intent = account.new(
        "payment_intent",
        id=name,
        amount=invoice["amount_due"],
        client_secret=f"{name}_secret_{secrets.token_urlsafe(18)}",
        currency=invoice["currency"],
        customer=invoice["customer"],
        description="Subscription creation"
        if invoice["billing_reason"] == "subscription_create"
        else "Subscription update",
        payment_method=method["id"],
        payment_method_types=[method["type"]],
        setup_future_usage="off_session",
        status="processing" if method["type"] == "sepa_debit" else "requires_action",
    )
    account.new(
        "invoice_payment",
        amount_requested=invoice["amount_due"],
        currency=invoice["currency"],
        invoice=invoice["id"],
        is_default=True,
        payment={"type": "payment_intent", "payment_intent": name},
    )
    account.emit("payment_intent.created", intent)
    return intent


def charge(account: Account, intent: Json, email: str | None) -> Json:
    """The money moved: charge and payment intent have succeeded."""
    made = _charge(account, intent, email)
    made.update(
        amount_captured=intent["amount"],
        captured=True,
        paid=True,
        status="succeeded",
        outcome=_outcome("approved_by_network", "Payment complete.", "authorized"),
    )
    intent.update(
        amount_received=intent["amount"], latest_charge=made["id"], status="succeeded"
    )
    account.emit("charge.succeeded", made)
    account.emit("payment_intent.succeeded", intent)
    return made


def _charge(account: Account, intent: Json, email: str | None) -> Json:
    made = account.new(
        "charge",
        amount=intent["amount"],
        currency=intent["currency"],
        customer=intent["customer"],
        description=intent["description"],
        payment_intent=intent["id"],
        payment_method=intent["payment_method"],
    )
    made["billing_details"]["email"] = email
    return made


def _outcome(status: str, message: str, kind: str) -> Json:
    return {
        "advice_code": None,
        "network_advice_code": None,
        "network_decline_code": None,
        "network_status": status,
        "reason": None,
        "seller_message": message,
        "type": kind,
    }


def failed_charge(account: Account, session: Json, declined: Declined) -> Json:
    """What a declined card leaves behind: a failed charge, and nothing else."""
    made = account.new(
        "charge",
        amount=session["amount_total"],
        currency=session["currency"],
        failure_code=declined.code,
        failure_message=declined.message,
        outcome=_outcome("declined_by_network", declined.message, "issuer_declined"),
        status="failed",
    )
    account.emit("charge.failed", made)
    return made


def failed_intent(account: Account, intent: Json, declined: Declined) -> None:
    """A bank refused to pay an invoice: charge and payment intent have failed."""
    made = _charge(account, intent, None)
    made.update(
        failure_code=declined.code,
        failure_message=declined.message,
        outcome=_outcome("declined_by_network", declined.message, "issuer_declined"),
        status="failed",
    )
    intent["status"] = "requires_payment_method"
    account.emit("charge.failed", made)
    account.emit("payment_intent.payment_failed", intent)


def dispute(account: Account, name: str) -> Json:
    """A customer's bank asks for a charge back."""
    charged = account.get("charge", name, "charge")
    if not charged["paid"]:
        raise ApiError("This charge did not succeed.", param="charge")
    made = account.new(
        "dispute",
        amount=charged["amount"],
        charge=name,
        currency=charged["currency"],
        payment_intent=charged["payment_intent"],
        reason="fraudulent",
        status="needs_response",
    )
    charged["disputed"] = True
    account.emit("charge.dispute.created", made)
    return made


def create_refund(account: Account, asked: Json) -> Json:
    """Give back a charge, whole or in part."""
    made = _charge_of(account, asked)
    left = made["amount"] - made["amount_refunded"]
    if not made["paid"]:
        raise ApiError("This charge did not succeed.", param="charge")
    if left == 0:
        raise ApiError(
            f"Charge {made['id']} has already been refunded.",
            code="charge_already_refunded",
        )
    amount = asked.get("amount", left)
    if not 0 < amount <= left:
        raise ApiError(
            f"Refund amount ({amount}) is greater than unrefunded amount on charge "
            f"({left})",
            param="amount",
        )
    refund = account.new(
        "refund",
        amount=amount,
        charge=made["id"],
        currency=made["currency"],
        customer=made["customer"],
        destination_details={"card": {"type": "refund"}, "type": "card"},
        metadata=merged({}, asked.get("metadata") or {}),
        payment_intent=made["payment_intent"],
        reason=asked.get("reason"),
        status="succeeded",
    )
    made["amount_refunded"] += amount
    made["refunded"] = made["amount_refunded"] == made["amount"]
    account.emit("refund.created", refund)
    account.emit("charge.refunded", made)
    return refund


def fail_refund(account: Account, name: str) -> Json:
    """The customer's bank does not take a refund, days later: the money comes back."""
    refund = account.get("refund", name, "refund")
    if refund["status"] != "succeeded":
        raise ApiError(f"This refund is {refund['status']}.", param="refund")
    refund["status"] = "failed"
    refund["failure_reason"] = "lost_or_stolen_card"
    charged = account.get("charge", refund["charge"])
    charged["amount_refunded"] -= refund["amount"]
    charged["refunded"] = False
    account.emit("refund.updated", refund)
    account.emit("refund.failed", refund)
    return refund


def _charge_of(account: Account, asked: Json) -> Json:
    if "charge" in asked:
        return account.get("charge", asked["charge"], "charge")
    if "payment_intent" not in asked:
        raise missing("charge")
    intent = account.get("payment_intent", asked["payment_intent"], "payment_intent")
    if intent["latest_charge"] is None:
        raise ApiError(
            f"This PaymentIntent ({intent['id']}) does not have a successful charge to "
            "refund.",
            code="payment_intent_unexpected_state",
        )
    found = account.find("charge", intent["latest_charge"])
    if found is None:
        raise no_such("charge", intent["latest_charge"], "charge")
    return found


def refunds(account: Account, asked: Json) -> list[Json]:
    """The refunds that a list request asks for."""
    return [
        refund
        for refund in account.all("refund")
        if all(
            refund[name] == asked[name]
            for name in ("charge", "payment_intent")
            if name in asked
        )
    ]
