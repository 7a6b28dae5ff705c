"""Products and prices."""

from __future__ import annotations

from decimal import Decimal

from lae_localcloud.stripe.customers import merged
from lae_localcloud.stripe.errors import ApiError, missing
from lae_localcloud.stripe.store import Account, Json

_LOOKUP_KEYS = 10


def create_product(account: Account, asked: Json) -> Json:
    """A product."""
    product = account.new(
        "product",
        name=asked["name"],
        active=asked.get("active", True),
        description=asked.get("description"),
        metadata=asked.get("metadata") or {},
        updated=account.seconds(),
    )
    account.emit("product.created", product)
    return product


def update_product(account: Account, name: str, asked: Json) -> Json:
    """Change its name, its metadata, or whether it is sold."""
    product = account.get("product", name)
    fields: Json = {
        k: asked[k] for k in ("name", "description", "active") if k in asked
    }
    if "metadata" in asked:
        fields["metadata"] = merged(product["metadata"], asked["metadata"])
    account.change(product, "product.updated", **fields)
    return product


def create_price(account: Account, asked: Json) -> Json:
    """A price of a product that is there or made along (``product_data``)."""
    if "product_data" in asked:
        product = create_product(account, asked["product_data"])["id"]
    elif "product" in asked:
        product = account.get("product", asked["product"], "product")["id"]
    else:
        raise missing("product")
    if "unit_amount" not in asked:
        raise missing("unit_amount")
    key = asked.get("lookup_key")
    if key is not None:
        _take_key(account, key, transfer=asked.get("transfer_lookup_key", False))
    recurring = asked.get("recurring")
    price = account.new(
        "price",
        active=asked.get("active", True),
        currency=asked["currency"].lower(),
        lookup_key=key,
        metadata=asked.get("metadata") or {},
        nickname=asked.get("nickname"),
        product=product,
        recurring=None if recurring is None else _recurring(recurring),
        tax_behavior=asked.get("tax_behavior", "unspecified"),
        type="one_time" if recurring is None else "recurring",
        unit_amount=asked["unit_amount"],
        unit_amount_decimal=str(Decimal(asked["unit_amount"])),
    )
    account.emit("price.created", price)
    return price


def update_price(account: Account, name: str, asked: Json) -> Json:
    """Change what may change: amount, currency and interval are for life, and so is
    the tax behaviour once it is said.
    """
    price = account.get("price", name)
    tax = asked.get("tax_behavior", price["tax_behavior"])
    if price["tax_behavior"] not in ("unspecified", tax):
        raise ApiError(
            "You cannot change tax_behavior once it has been set to inclusive or "
            "exclusive.",
            param="tax_behavior",
        )
    fields: Json = {k: asked[k] for k in ("active", "nickname") if k in asked}
    fields["tax_behavior"] = tax
    if (key := asked.get("lookup_key")) is not None and key != price["lookup_key"]:
        _take_key(account, key, transfer=asked.get("transfer_lookup_key", False))
        fields["lookup_key"] = key
    if "metadata" in asked:
        fields["metadata"] = merged(price["metadata"], asked["metadata"])
    account.change(price, "price.updated", **fields)
    return price


def _recurring(asked: Json) -> Json:
    return {
        "interval": asked["interval"],
        "interval_count": asked.get("interval_count", 1),
        "meter": None,
        "usage_type": asked.get("usage_type", "licensed"),
        "trial_period_days": None,
    }


def _take_key(account: Account, key: str, *, transfer: bool) -> None:
    for price in account.all("price"):
        # One that is archived keeps its key, too.
        if price["lookup_key"] == key:
            if not transfer:
                raise ApiError(
                    f"A price (`{price['id']}`) already uses that lookup key.",
                    param="lookup_key",
                )
            account.change(price, "price.updated", lookup_key=None)


def prices(account: Account, asked: Json) -> list[Json]:
    """The prices that a list request asks for."""
    keys = asked.get("lookup_keys")
    if keys is not None and len(keys) > _LOOKUP_KEYS:
        raise ApiError(f"Up to {_LOOKUP_KEYS} lookup_keys", param="lookup_keys")
    wanted = {name: asked[name] for name in ("active", "product") if name in asked}
    return [
        price
        for price in account.all("price")
        if (keys is None or price["lookup_key"] in keys)
        and all(price[name] == value for name, value in wanted.items())
    ]
