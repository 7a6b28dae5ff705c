"""What stands in the account at Stripe: asked (blocking), and turned into values.

Every list is read to its end, whatever the size of its pages.
"""

from __future__ import annotations

from typing import Any, Literal

import stripe
from attrs import define

from lae_flapp.money.stripe.reading import DEPLOYMENT, id_of, plain
from lae_flapp.money.stripe_account.wanted import Json, WantedAccount

#: Keys of our metadata: a price's plan, and the digest of an endpoint's secret, which
#: is there once the secret stands in a file.
PLAN, SECRET = "s4_plan", "s4_secret"

_PAGE = 100
_KEYS = 10


@define(frozen=True)
class SeenPrice:
    """A price, sold or archived; *deployment* is None where its metadata names none."""

    price_id: str
    lookup_key: str
    amount: int | None
    currency: str
    interval: str | None
    interval_count: int
    tax: Literal["inclusive", "exclusive", "unspecified"]
    active: bool
    livemode: bool
    product: str
    deployment: str | None


@define(frozen=True)
class SeenProduct:
    """The product of a price."""

    product_id: str
    name: str
    active: bool
    deployment: str | None


@define(frozen=True)
class SeenEndpoint:
    """A webhook endpoint; *secret* is the digest of what signs, where it is known to
    stand in a file.
    """

    endpoint_id: str
    url: str
    enabled: bool
    version: str | None
    events: frozenset[str]
    deployment: str | None
    secret: str | None


@define(frozen=True)
class SeenPortal:
    """A configuration of the customer portal; *offers* is all that Stripe says."""

    configuration_id: str
    active: bool
    deployment: str | None
    offers: Json
    login_url: str | None


@define(frozen=True)
class SeenAccount:
    """Everything that concerns a deployment, and how many endpoints there are."""

    account_id: str | None
    prices: tuple[SeenPrice, ...] = ()
    products: tuple[SeenProduct, ...] = ()
    endpoints: tuple[SeenEndpoint, ...] = ()
    portals: tuple[SeenPortal, ...] = ()


def see_account(client: stripe.StripeClient, wanted: WantedAccount) -> SeenAccount:
    """Ask Stripe, on a thread; whose account it is only where one is named."""
    named = wanted.account_id is not None
    prices = _prices(client, [plan.plan_id for plan in wanted.plans])
    hooks = client.v1.webhook_endpoints.list({"limit": _PAGE}).auto_paging_iter()
    portals = client.v1.billing_portal.configurations
    return SeenAccount(
        account_id=client.v1.accounts.retrieve_current().id if named else None,
        prices=prices,
        products=tuple(
            _product(plain(client.v1.products.retrieve(name)))
            for name in sorted({price.product for price in prices})
        ),
        endpoints=tuple(_endpoint(plain(hook)) for hook in hooks),
        portals=tuple(
            _portal(plain(one))
            for one in portals.list({"limit": _PAGE}).auto_paging_iter()
        ),
    )


def _prices(client: stripe.StripeClient, keys: list[str]) -> tuple[SeenPrice, ...]:
    found: list[SeenPrice] = []
    for start in range(0, len(keys), _KEYS):
        asked = keys[start : start + _KEYS]
        answer = client.v1.prices.list({"lookup_keys": asked, "limit": _PAGE})
        found += [seen_price(plain(p)) for p in answer.auto_paging_iter()]
    return tuple(found)


def seen_price(given: Json) -> SeenPrice:
    """Read a price."""
    recurring = given.get("recurring") or {}
    return SeenPrice(
        price_id=given["id"],
        lookup_key=given.get("lookup_key") or "",
        amount=given.get("unit_amount"),
        currency=given["currency"],
        interval=recurring.get("interval"),
        interval_count=recurring.get("interval_count", 1),
        tax=given.get("tax_behavior") or "unspecified",
        active=bool(given["active"]),
        livemode=bool(given["livemode"]),
        product=id_of(given["product"]) or "",
        deployment=_ours(given),
    )


def _product(given: Json) -> SeenProduct:
    return SeenProduct(given["id"], given["name"], bool(given["active"]), _ours(given))


def _endpoint(given: Json) -> SeenEndpoint:
    return SeenEndpoint(
        endpoint_id=given["id"],
        url=given["url"],
        enabled=given["status"] == "enabled",
        version=given.get("api_version"),
        events=frozenset(given["enabled_events"]),
        deployment=_ours(given),
        secret=_metadata(given).get(SECRET),
    )


def _portal(given: Json) -> SeenPortal:
    return SeenPortal(
        configuration_id=given["id"],
        active=bool(given["active"]),
        deployment=_ours(given),
        offers=given,
        login_url=(given.get("login_page") or {}).get("url"),
    )


def _metadata(given: Json) -> dict[str, str]:
    found: Any = given.get("metadata")
    return found or {}


def _ours(given: Json) -> str | None:
    return _metadata(given).get(DEPLOYMENT)
