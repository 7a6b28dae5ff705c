"""Checkout sessions in subscription mode."""

from __future__ import annotations

from urllib.parse import urlsplit

from lae_localcloud.stripe.customers import check_address, merged
from lae_localcloud.stripe.errors import ApiError, missing
from lae_localcloud.stripe.store import Account, Json, new_id

SHORTEST, LONGEST = 30 * 60, 24 * 3600
_LONGEST_REFERENCE = 200

#: What Stripe's types allow but the local Stripe does not do: refused loudly, so that
#: nobody believes to have tested it.
_NOT_DONE = (
    "discounts",
    "customer_account",
    "optional_items",
    "payment_intent_data",
    "setup_intent_data",
    "invoice_creation",
    "shipping_options",
    "managed_payments",
    "return_url",
)


def create_session(account: Account, asked: Json, base_url: str) -> Json:
    """Open a session, with the checks that the types cannot express."""
    _check(asked)
    items = [_line(account, line, i) for i, line in enumerate(asked["line_items"])]
    if (customer := asked.get("customer")) is not None:
        account.get("customer", customer, "customer")
    total = sum(item["amount_total"] for item in items)
    taxed = asked.get("automatic_tax", {}).get("enabled", False)
    name = new_id("checkout.session")
    session = account.new(
        "checkout.session",
        id=name,
        amount_subtotal=total,
        amount_total=total,
        automatic_tax=_automatic_tax(items) if taxed else _NO_TAX,
        billing_address_collection=asked.get("billing_address_collection"),
        cancel_url=asked.get("cancel_url"),
        client_reference_id=asked.get("client_reference_id"),
        currency=items[0]["currency"],
        customer=customer,
        customer_email=asked.get("customer_email"),
        expires_at=_expiry(account, asked.get("expires_at")),
        locale=asked.get("locale"),
        metadata=asked.get("metadata") or {},
        payment_method_collection=asked.get("payment_method_collection", "always"),
        # Without it, whatever the dashboard allows.
        payment_method_types=asked.get(
            "allowed_payment_method_types", ["card", "sepa_debit"]
        ),
        phone_number_collection={"enabled": False},
        success_url=asked["success_url"],
        total_details={
            "amount_discount": 0,
            "amount_shipping": 0,
            "amount_tax": _included(total) if taxed else 0,
        },
        url=f"{base_url}/c/pay/{name}",
    )
    account.intents[name] = {
        "items": items,
        "subscription_data": asked.get("subscription_data", {}),
    }
    return session


_NO_TAX = {"enabled": False, "liability": None, "provider": None, "status": None}
#: Of every country, in this account (percent).
_TAX = 20


def _automatic_tax(items: list[Json]) -> Json:
    """The price must say whether the tax is in it."""
    for item in items:
        if item["price"]["tax_behavior"] == "unspecified":
            raise ApiError(
                "Automatic tax needs a tax_behavior on each price: "
                f"{item['price']['id']} has none.",
                param="automatic_tax[enabled]",
            )
    return {**_NO_TAX, "enabled": True, "status": "requires_location_inputs"}


def _included(total: int) -> int:
    return total - round(total * 100 / (100 + _TAX))


def asks_address(session: Json) -> bool:
    """Tell whether the page asks where the customer lives."""
    taxed = session["automatic_tax"]["enabled"]
    return bool(taxed or session["billing_address_collection"] == "required")


def _check(asked: Json) -> None:
    for name in _NOT_DONE:
        if name in asked:
            raise ApiError(f"The local Stripe does not do {name}.", param=name)
    if asked.get("mode") != "subscription":
        raise ApiError("The local Stripe sells subscriptions only.", param="mode")
    if asked.get("ui_mode", "hosted_page") != "hosted_page":
        raise ApiError("The local Stripe has hosted pages only.", param="ui_mode")
    if not asked.get("line_items"):
        raise missing("line_items")
    if "success_url" not in asked:
        raise missing("success_url")
    _check_addresses(asked)
    if len(asked.get("client_reference_id", "")) > _LONGEST_REFERENCE:
        raise ApiError(
            "client_reference_id can be 200 characters long",
            param="client_reference_id",
        )


def _check_addresses(asked: Json) -> None:
    """Where to go back to, and whom to write to."""
    for name in ("success_url", "cancel_url"):
        parts = urlsplit(asked.get(name, "http://x/"))
        if parts.scheme not in ("http", "https") or not parts.netloc:
            raise ApiError(
                "Not a valid URL. URLs must begin with http or https",
                code="url_invalid",
                param=name,
            )
    if "customer" in asked and "customer_email" in asked:
        raise ApiError(
            "You may only specify one of these parameters: customer, customer_email.",
            param="customer_email",
        )
    if "customer_email" in asked:
        check_address(asked["customer_email"], "customer_email")


def _line(account: Account, line: Json, index: int) -> Json:
    where = f"line_items[{index}][price]"
    if "price" not in line:
        raise missing(where)
    price = account.get("price", line["price"], where)
    if not price["active"]:
        raise ApiError(f"The price specified is inactive: {price['id']}", param=where)
    if price["recurring"] is None:
        raise ApiError(
            "You must provide at least one recurring price in `subscription` mode",
            param=where,
        )
    quantity = line.get("quantity", 1)
    amount = price["unit_amount"] * quantity
    product = account.get("product", price["product"])
    return account.new(
        "item",
        amount_subtotal=amount,
        amount_total=amount,
        currency=price["currency"],
        description=product["name"],
        price=price,
        quantity=quantity,
    )


def _expiry(account: Account, asked: int | None) -> int:
    now = account.seconds()
    if asked is None:
        return now + LONGEST
    if not now + SHORTEST <= asked <= now + LONGEST:
        raise ApiError(
            "The `expires_at` timestamp must be between 30 minutes and 24 hours from "
            "Checkout Session creation.",
            param="expires_at",
        )
    return asked


def current(account: Account, name: str) -> Json:
    """A session as it is now: expired once its time has come."""
    session = account.get("checkout.session", name)
    if session["status"] == "open" and account.seconds() >= session["expires_at"]:
        _end(account, session)
    return session


def expire_session(account: Account, name: str) -> Json:
    """Expire an open session; another cannot be."""
    session = current(account, name)
    if session["status"] != "open":
        raise ApiError(
            'Only Checkout Sessions with a status in ["open"] can be expired. This '
            f"Checkout Session has a status of {session['status']}.",
        )
    _end(account, session)
    return session


def _end(account: Account, session: Json) -> None:
    session.update(status="expired", url=None)
    account.emit("checkout.session.expired", session)


def update_session(account: Account, name: str, asked: Json) -> Json:
    """Change metadata."""
    session = current(account, name)
    unknown = set(asked) - {"metadata"}
    if unknown:
        raise ApiError(f"The local Stripe cannot change {min(unknown)}.")
    session["metadata"] = merged(session["metadata"], asked.get("metadata", {}))
    return session


def sessions(account: Account, asked: Json) -> list[Json]:
    """The sessions that a list request asks for."""
    wanted = {
        name: asked[name]
        for name in ("customer", "payment_intent", "status", "subscription")
        if name in asked
    }
    email = asked.get("customer_details", {}).get("email")
    return [
        session
        for session in (
            current(account, s["id"]) for s in account.all("checkout.session")
        )
        if all(session[name] == value for name, value in wanted.items())
        and (email is None or (session["customer_details"] or {}).get("email") == email)
    ]
