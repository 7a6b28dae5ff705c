"""Does the account at Stripe fit the configuration?  For ``lae config check``.

:func:`look` asks Stripe (blocking); :func:`problems` judges, purely.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal

import stripe
from attrs import define

from lae_flapp.money.stripe.prices import FoundPrice, look_up
from lae_flapp.money.stripe.reading import plain
from lae_flapp.money.stripe.version import API_VERSION
from lae_flapp.settings import DaemonSettings
from lae_protocol.messages import Plan
from lae_protocol.secret import Secret
from lae_protocol.stripe_hints import SUBJECTS

Mode = Literal["test", "live"]


@define(frozen=True)
class FoundEndpoint:
    """A webhook endpoint at Stripe; *api_version* None is the account's own."""

    url: str
    enabled: bool
    api_version: str | None
    events: frozenset[str]


@define(frozen=True)
class FoundAccount:
    """What Stripe says of the account that a key belongs to; *account_id* None where
    nobody asked.
    """

    account_id: str | None
    prices: Mapping[str, FoundPrice]
    endpoints: tuple[FoundEndpoint, ...]


@define(frozen=True)
class Wanted:
    """What the configuration says; *account_id* None where it names none.

    *taxed*: Stripe computes the tax.
    """

    mode: Mode
    plans: tuple[Plan, ...]
    webhook_url: str
    account_id: str | None = None
    taxed: bool = False


def wanted_of(settings: DaemonSettings, plans: tuple[Plan, ...]) -> Wanted:
    """What a daemon's settings say."""
    return Wanted(
        mode=settings.stripe.mode,
        plans=plans,
        webhook_url=f"{settings.site_url}/webhook/stripe",
        account_id=settings.stripe.account,
        taxed=settings.stripe.checkout.automatic_tax,
    )


def key_problems(keys: Iterable[Secret], mode: Mode) -> list[str]:
    """What a look at the keys alone shows; offline, and telling none of them."""
    found = []
    for number, key in enumerate(keys, start=1):
        kind, _, rest = key.reveal().partition("_")
        if kind != "rk":
            found.append(
                f"stripe.api_keys, number {number}: not a restricted key (rk_...); an "
                "unrestricted one can do what the daemon never should"
            )
        if not rest.startswith(f"{mode}_"):
            found.append(
                f"stripe.api_keys, number {number}: not of {mode} mode, which "
                "stripe.mode says"
            )
    return found


def look(client: stripe.StripeClient, wanted: Wanted) -> FoundAccount:
    """Ask Stripe; raises stripe's own errors, so run it by ``StripeCalls.ask``.

    Whose account it is is asked only where the configuration names one: few restricted
    keys may ask.
    """
    named = wanted.account_id is not None
    account_id = client.v1.accounts.retrieve_current().id if named else None
    endpoints = client.v1.webhook_endpoints.list({"limit": 100}).auto_paging_iter()
    return FoundAccount(
        account_id=account_id,
        prices=look_up(client, [plan.plan_id for plan in wanted.plans]),
        endpoints=tuple(_endpoint(plain(endpoint)) for endpoint in endpoints),
    )


def _endpoint(given: dict[str, Any]) -> FoundEndpoint:
    return FoundEndpoint(
        url=given["url"],
        enabled=given["status"] == "enabled",
        api_version=given.get("api_version"),
        events=frozenset(given["enabled_events"]),
    )


def problems(wanted: Wanted, found: FoundAccount) -> list[str]:
    """One sentence for each thing that does not fit; empty when all does."""
    said = []
    if wanted.account_id not in (None, found.account_id):
        said.append(
            f"stripe: the key belongs to account {found.account_id}, the configuration "
            f"names {wanted.account_id}"
        )
    for plan in wanted.plans:
        said += _of_price(wanted, plan, found.prices.get(plan.plan_id))
    return said + _of_webhook(wanted.webhook_url, found.endpoints)


def _of_price(wanted: Wanted, plan: Plan, price: FoundPrice | None) -> list[str]:
    name = f"plan {plan.plan_id}"
    if price is None:
        return [f"{name}: Stripe has no active price with this lookup key"]
    said = []
    if not price.agrees(plan.price, plan.currency, plan.interval):
        said.append(
            f"{name}: {plan.price} {plan.currency} a {plan.interval} here, "
            f"{price.amount} {price.currency} each {price.interval_count} "
            f"{price.interval} at Stripe"
        )
    if price.livemode != (wanted.mode == "live"):
        said.append(f"{name}: the price at Stripe is not of {wanted.mode} mode")
    if wanted.taxed and not price.includes_tax:
        said.append(
            f"{name}: the price at Stripe does not include the tax (tax_behavior:"
            " inclusive), so that more would be charged than our pages say"
        )
    return said


def _of_webhook(url: str, endpoints: tuple[FoundEndpoint, ...]) -> list[str]:
    mine = [e for e in endpoints if e.url == url and e.enabled]
    if not mine:
        return [f"webhook: Stripe has no enabled endpoint {url}"]
    said = []
    for endpoint in mine:
        if endpoint.api_version != API_VERSION:
            spoken = endpoint.api_version or "the account's own"
            said.append(
                f"webhook: the endpoint speaks version {spoken}, this release "
                f"{API_VERSION}; make it anew with that version"
            )
        missing = sorted(SUBJECTS.keys() - endpoint.events)
        if "*" not in endpoint.events and missing:
            said.append(f"webhook: the endpoint is not told of {', '.join(missing)}")
    return said
