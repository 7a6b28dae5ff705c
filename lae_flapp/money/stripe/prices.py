"""The price of a plan: found by lookup key, never by an id in code or configuration."""

from __future__ import annotations

from typing import Any

import stripe
from attrs import define

from lae_flapp.money.stripe.reading import plain
from lae_provision.errors import Refused


@define(frozen=True)
class FoundPrice:
    """A price at Stripe; *amount* is in the smallest unit, None where it is tiered."""

    price_id: str
    lookup_key: str
    amount: int | None
    currency: str
    interval: str | None
    interval_count: int
    livemode: bool
    includes_tax: bool = False

    def agrees(self, amount: int, currency: str, interval: str) -> bool:
        """Whether this is what was agreed with the customer."""
        mine = (self.amount, self.currency, self.interval, self.interval_count)
        return mine == (amount, currency, interval, 1)


def price_from(given: dict[str, Any]) -> FoundPrice:
    """One price."""
    recurring = given.get("recurring") or {}
    return FoundPrice(
        price_id=given["id"],
        lookup_key=given.get("lookup_key") or "",
        amount=given.get("unit_amount"),
        currency=given["currency"],
        interval=recurring.get("interval"),
        interval_count=recurring.get("interval_count", 1),
        livemode=bool(given["livemode"]),
        includes_tax=given.get("tax_behavior") == "inclusive",
    )


def look_up(client: stripe.StripeClient, keys: list[str]) -> dict[str, FoundPrice]:
    """The active prices with these lookup keys; on a thread.

    Stripe takes ten keys in one question.
    """
    found = {}
    for start in range(0, len(keys), 10):
        asked = keys[start : start + 10]
        answer = client.v1.prices.list(
            {"lookup_keys": asked, "active": True, "limit": 100}
        )
        for price in answer.data:
            made = price_from(plain(price))
            found[made.lookup_key] = made
    return found


def agreed_price(
    found: FoundPrice | None, key: str, amount: int, currency: str, interval: str
) -> str:
    """Its id; raises Refused for one that is not there or not what was agreed."""
    if found is None:
        raise Refused("no-price", f"there is no active price with lookup key {key}")
    if not found.agrees(amount, currency, interval):
        raise Refused(
            "price-differs",
            f"{key}: agreed {amount} {currency} a {interval}, Stripe has "
            f"{found.amount} {found.currency} a {found.interval_count} "
            f"{found.interval}",
        )
    return found.price_id
