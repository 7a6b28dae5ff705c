"""What happens when the pay button of a hosted page is pressed."""

from __future__ import annotations

from typing import Literal

from lae_localcloud.stripe.billing import (
    invoice_paid,
    new_invoice,
    new_subscription,
)
from lae_localcloud.stripe.cards import Card, Declined
from lae_localcloud.stripe.checkout import current
from lae_localcloud.stripe.errors import ApiError
from lae_localcloud.stripe.money import (
    charge,
    failed_charge,
    new_intent,
    new_method,
)
from lae_localcloud.stripe.store import Account, Json

PaidBy = Card | Literal["bank-debit"]


def decline(account: Account, session: Json, declined: Declined) -> None:
    """The bank said no: the session stays open, for another card."""
    failed_charge(account, session, declined)


def complete(
    account: Account,
    name: str,
    paid_by: PaidBy,
    accepted: float,
    email: str | None = None,
) -> Json:
    """Complete an open session; *accepted* is when its POST came in (wall clock).

    *email* was typed on the page, where the session names neither address nor customer.

    1. the customer, who may be known already; 2. the payment method; 3. the
    subscription; 4. its first invoice; 5. the money (a bank debit is left to settle
    later); 6. the session.  One event for each, in this order.
    """
    session = current(account, name)
    if session["status"] != "open":
        raise ApiError(f"This Checkout Session is {session['status']}.")
    if paid_by == "bank-debit" and "sepa_debit" not in session["payment_method_types"]:
        raise ApiError("This Checkout Session takes no bank debits.")
    account.paid_at[name] = accepted
    customer = _customer(account, session, email)
    with account.at_clock_of(customer):
        return _complete(account, session, customer, paid_by)


def _complete(account: Account, session: Json, customer: Json, paid_by: PaidBy) -> Json:
    intent_data = account.intents[session["id"]]
    card = paid_by if isinstance(paid_by, Card) else None
    method = new_method(account, card, customer["id"])
    account.emit("payment_method.attached", method)
    if session["automatic_tax"]["enabled"]:
        session["automatic_tax"] |= {"status": "complete"}
    subscription = new_subscription(
        account,
        customer,
        intent_data["items"],
        intent_data["subscription_data"],
        method["id"],
    )
    subscription["test_clock"] = customer["test_clock"]
    invoice = new_invoice(account, subscription, customer)
    session.update(
        customer=customer["id"],
        customer_details=_details(customer),
        invoice=invoice["id"],
        status="complete",
        subscription=subscription["id"],
        url=None,
    )
    account.emit("customer.subscription.created", subscription)
    account.emit("invoice.created", invoice)
    account.emit("invoice.finalized", invoice)
    if invoice["amount_due"] == 0:
        session["payment_status"] = "no_payment_required"
        invoice_paid(account, invoice, None)
    else:
        intent = new_intent(account, invoice, method)
        if card is not None:
            charge(account, intent, customer["email"])
            session["payment_status"] = "paid"
            invoice_paid(account, invoice, intent)
    account.emit("checkout.session.completed", session)
    return session


def settle_debit(account: Account, name: str, *, succeeded: bool) -> Json:
    """The bank debit of a completed, unpaid session comes through, or does not."""
    session = account.get("checkout.session", name)
    if session["status"] != "complete" or session["payment_status"] != "unpaid":
        raise ApiError("No bank debit of this session waits.")
    invoice = account.get("invoice", session["invoice"])
    intent = next(
        account.get("payment_intent", p["payment"]["payment_intent"])
        for p in account.all("invoice_payment")
        if p["invoice"] == invoice["id"]
    )
    if succeeded:
        charge(account, intent, invoice["customer_email"])
        session["payment_status"] = "paid"
        invoice_paid(account, invoice, intent)
        account.emit("checkout.session.async_payment_succeeded", session)
        return session
    intent["status"] = "requires_payment_method"
    account.emit("payment_intent.payment_failed", intent)
    account.emit("invoice.payment_failed", invoice)
    account.emit("checkout.session.async_payment_failed", session)
    return session


def _customer(account: Account, session: Json, email: str | None) -> Json:
    if session["customer"] is not None:
        return account.get("customer", session["customer"])
    customer = account.new(
        "customer",
        address=account.intents[session["id"]].get("address"),
        currency=session["currency"],
        email=session["customer_email"] or email,
        invoice_prefix=session["id"][-8:].upper(),
    )
    account.emit("customer.created", customer)
    return customer


def _details(customer: Json) -> Json:
    return {
        "address": customer["address"],
        "business_name": None,
        "email": customer["email"],
        "individual_name": None,
        "name": customer["name"],
        "phone": None,
        "tax_exempt": "none",
        "tax_ids": [],
    }
