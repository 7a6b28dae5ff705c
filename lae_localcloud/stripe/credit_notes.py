"""Credit notes of paid invoices: what was refunded, said of the invoice."""

from __future__ import annotations

from lae_localcloud.stripe.customers import merged
from lae_localcloud.stripe.errors import ApiError, missing
from lae_localcloud.stripe.store import Account, Json, new_id

#: What Stripe can do with a credit note, and nobody asks for here.
_NOT_HERE = ("credit_amount", "lines", "out_of_band_amount", "refund_amount",
             "shipping_cost")  # fmt: skip


def create_note(account: Account, asked: Json) -> Json:
    """Credit some of a paid invoice, as refunds of it have given back."""
    for unwanted in _NOT_HERE:
        if unwanted in asked:
            raise ApiError(f"The local Stripe does not do {unwanted}.", param=unwanted)
    if "amount" not in asked:
        raise missing("amount")
    invoice = account.get("invoice", asked["invoice"], "invoice")
    amount, refunds = asked["amount"], asked.get("refunds", [])
    _raise_if_too_much(invoice, amount)
    linked = [_linked(account, invoice, refund) for refund in refunds]
    if sum(link["amount_refunded"] for link in linked) != amount:
        raise ApiError(
            "The sum of credit amount, refund amount and out of band amount must equal "
            f"the post-payment amount of the credit note ({amount}).",
            param="refunds",
        )
    note = _issued(account, invoice, asked, linked)
    invoice["post_payment_credit_notes_amount"] += amount
    account.emit("credit_note.created", note)
    return note


def _raise_if_too_much(invoice: Json, amount: int) -> None:
    if invoice["status"] != "paid":
        # Stripe credits open invoices too, and no refund can be linked then.
        raise ApiError(
            f"The invoice {invoice['id']} is {invoice['status']}: no refund of it can "
            "be linked to a credit note.",
            param="invoice",
        )
    left = invoice["amount_paid"] - invoice["post_payment_credit_notes_amount"]
    if not 0 < amount <= left:
        raise ApiError(
            f"The credit note amount ({amount}) must be positive and at most what is "
            f"left of the invoice ({left}).",
            param="amount",
        )


def _linked(account: Account, invoice: Json, asked: Json) -> Json:
    """One refund of the invoice's payment, and how much of it is meant."""
    if asked.get("type", "refund") != "refund" or "refund" not in asked:
        raise missing("refunds[0][refund]")
    refund = account.get("refund", asked["refund"], "refunds[0][refund]")
    paid_by = {
        payment["payment"]["payment_intent"]
        for payment in account.all("invoice_payment")
        if payment["invoice"] == invoice["id"]
    }
    if refund["payment_intent"] not in paid_by:
        raise ApiError(
            f"The refund {refund['id']} is not of a payment of the invoice "
            f"{invoice['id']}.",
            param="refunds[0][refund]",
        )
    whole: int = refund["amount"]
    amount: int = asked.get("amount_refunded", whole)
    if not 0 < amount <= whole - _credited(account, refund):
        raise ApiError(
            f"More than is left of the refund {refund['id']} ({amount}).",
            param="refunds[0][amount_refunded]",
        )
    return {
        "amount_refunded": amount,
        "payment_record_refund": None,
        "refund": refund["id"],
        "type": "refund",
    }


def _credited(account: Account, refund: Json) -> int:
    """How much of a refund credit notes have named."""
    return sum(
        link["amount_refunded"]
        for note in account.all("credit_note")
        for link in note["refunds"]
        if link["refund"] == refund["id"]
    )


def _issued(account: Account, invoice: Json, asked: Json, linked: list[Json]) -> Json:
    amount, name, now = asked["amount"], new_id("credit_note"), account.seconds()
    before = [n for n in account.all("credit_note") if n["invoice"] == invoice["id"]]
    first = invoice["lines"]["data"][0]
    line = account.new(
        "credit_note_line_item",
        amount=amount,
        description=first["description"],
        invoice_line_item=first["id"],
        quantity=first["quantity"],
    )
    return account.new(
        "credit_note",
        id=name,
        amount=amount,
        currency=invoice["currency"],
        customer=invoice["customer"],
        effective_at=asked.get("effective_at", now),
        invoice=invoice["id"],
        lines={
            "object": "list",
            "data": [line],
            "has_more": False,
            "url": f"/v1/credit_notes/{name}/lines",
        },
        memo=asked.get("memo"),
        metadata=merged({}, asked.get("metadata") or {}),
        number=f"{invoice['number']}-CN-{len(before) + 1:02d}",
        pdf=f"{account.base_url()}/credit_notes/{name}/pdf",
        post_payment_amount=amount,
        reason=asked.get("reason"),
        refunds=linked,
        subtotal=amount,
        subtotal_excluding_tax=amount,
        total=amount,
        total_excluding_tax=amount,
    )


def void_note(account: Account, name: str) -> Json:
    """Refused, as Stripe refuses it: whoever's invoice is paid keeps the note."""
    account.get("credit_note", name)
    raise ApiError("You can only void a credit note if the associated invoice is open.")
