"""Customers, and their portal."""

from __future__ import annotations

import re
import secrets

from lae_localcloud.stripe.errors import ApiError
from lae_localcloud.stripe.store import Account, Json

#: Stripe takes no address with a character beyond ASCII, in either part.
_ADDRESS = re.compile(r"^[!-?A-~]{1,64}@[!-?A-~]{1,255}$")


def check_address(email: str, param: str) -> None:
    """Refuse what is no mail address."""
    if not _ADDRESS.match(email):
        raise ApiError(
            f"Invalid email address: {email}", code="email_invalid", param=param
        )


def create_customer(account: Account, asked: Json) -> Json:
    """A customer."""
    if asked.get("email"):
        check_address(asked["email"], "email")
    customer = account.new(
        "customer",
        email=asked.get("email"),
        name=asked.get("name"),
        description=asked.get("description"),
        metadata=asked.get("metadata") or {},
        preferred_locales=asked.get("preferred_locales", []),
        invoice_prefix=secrets.token_hex(4).upper(),
    )
    if (clock := asked.get("test_clock")) is not None:
        account.get("test_helpers.test_clock", clock, "test_clock")
        customer["test_clock"] = clock
    account.emit("customer.created", customer)
    return customer


def update_customer(account: Account, name: str, asked: Json) -> Json:
    """Change address, name, description or metadata (merged key by key)."""
    customer = account.get("customer", name)
    if asked.get("email"):
        check_address(asked["email"], "email")
    fields: Json = {k: asked[k] for k in ("email", "name", "description") if k in asked}
    if "metadata" in asked:
        fields["metadata"] = merged(customer["metadata"], asked["metadata"])
    account.change(customer, "customer.updated", **fields)
    return customer


def merged(old: Json, new: Json | str) -> Json:
    """Metadata: an empty text unsets a key, or all of them."""
    if isinstance(new, str):
        return {}
    return {k: v for k, v in {**old, **new}.items() if v != ""}


def open_portal(account: Account, asked: Json, base_url: str) -> Json:
    """A session of the customer portal; its page's code stands in its URL only."""
    customer = account.get("customer", asked["customer"], "customer")
    code = secrets.token_urlsafe(18)
    session = account.new(
        "billing_portal.session",
        customer=customer["id"],
        return_url=asked.get("return_url"),
        url=f"{base_url}/p/session/{code}",
    )
    account.portal_codes[code] = session["id"]
    return session
