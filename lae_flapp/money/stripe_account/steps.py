"""What is to be done at Stripe, decided from what stands there.  Pure and total.

The steps are values: printed they are the dry run and the drift, carried out they make
the account right.  Each may be repeated.
"""

from __future__ import annotations

from attrs import define

from lae_flapp.money.stripe.reading import DEPLOYMENT
from lae_flapp.money.stripe_account.seen import (
    PLAN,
    SeenAccount,
    SeenEndpoint,
    SeenPortal,
    SeenPrice,
)
from lae_flapp.money.stripe_account.wanted import Json, WantedAccount
from lae_protocol.messages import Plan

#: Stripe has no more, those included that are disabled.
MOST_ENDPOINTS = 16


@define(frozen=True)
class MakePrice:
    """Make a price, with its product where there is none; it takes the lookup key."""

    told: str
    sent: Json


@define(frozen=True)
class ChangePrice:
    """Change what may change of a price."""

    told: str
    price_id: str
    sent: Json


@define(frozen=True)
class ChangeProduct:
    """Change the name of a product, or sell it again."""

    told: str
    product_id: str
    sent: Json


@define(frozen=True)
class MakeEndpoint:
    """Make the webhook endpoint, and write its secret to a file.

    *besides* are the endpoints of the same address whose secrets stand somewhere: with
    the same ones the endpoint is made once, however often this is done.
    """

    told: str
    sent: Json
    besides: tuple[str, ...] = ()


@define(frozen=True)
class ChangeEndpoint:
    """Enable, disable, or change which events are told."""

    told: str
    endpoint_id: str
    sent: Json


@define(frozen=True)
class DeleteEndpoint:
    """Delete an endpoint that we made and whose secret nobody has."""

    told: str
    endpoint_id: str


@define(frozen=True)
class MakePortal:
    """Make the configuration of the customer portal."""

    told: str
    sent: Json


@define(frozen=True)
class ChangePortal:
    """Change what the portal offers."""

    told: str
    configuration_id: str
    sent: Json


Step = (
    MakePrice
    | ChangePrice
    | ChangeProduct
    | MakeEndpoint
    | ChangeEndpoint
    | DeleteEndpoint
    | MakePortal
    | ChangePortal
)


@define(frozen=True)
class ToDo:
    """What ``apply`` does, in this order, and what only a person can do."""

    steps: tuple[Step, ...]
    by_hand: tuple[str, ...] = ()

    @property
    def told(self) -> tuple[str, ...]:
        """One sentence for each difference."""
        return (*(step.told for step in self.steps), *self.by_hand)


def decide(wanted: WantedAccount, seen: SeenAccount) -> ToDo:
    """1. prices, 2. the endpoint, 3. the portal.

    In another account than the settings name nothing is to be done.
    """
    if wanted.account_id not in (None, seen.account_id):
        other = f"the key belongs to account {seen.account_id}, stripe.account names"
        return ToDo((), (f"{other} {wanted.account_id}",))
    parts = [_of_plan(wanted, seen, plan) for plan in wanted.plans]
    parts += [_of_endpoint(wanted, seen), _of_portal(wanted, seen)]
    return ToDo(
        tuple(step for part in parts for step in part.steps),
        tuple(text for part in parts for text in part.by_hand),
    )


def _of_plan(wanted: WantedAccount, seen: SeenAccount, plan: Plan) -> ToDo:
    price = next((p for p in seen.prices if p.lookup_key == plan.plan_id), None)
    if price is None:
        return ToDo((MakePrice(_missing_price(plan), _new_price(wanted, plan)),))
    name = f"plan {plan.plan_id}, {price.price_id}"
    wrong = _what_differs(wanted, plan, price)
    mend = _what_changes(wanted, price)
    if (wrong or mend) and price.deployment not in (None, wanted.deployment):
        told = wrong or "it is archived, or does not include the tax"
        return ToDo(
            (), (f"{name} is deployment {price.deployment}'s: {told}; rename the plan",)
        )
    if wrong:
        sent = _new_price(wanted, plan, price.product)
        return ToDo(
            (
                *_of_product(wanted, seen, plan, price),
                MakePrice(f"{name}: {wrong}; a new price takes its lookup key", sent),
            )
        )
    steps: list[Step] = _of_product(wanted, seen, plan, price)
    if mend:
        told = ", ".join(sorted(mend))
        steps.append(
            ChangePrice(f"{name}: not as it should be: {told}", price.price_id, mend)
        )
    return ToDo(tuple(steps))


def _missing_price(plan: Plan) -> str:
    return (
        f"plan {plan.plan_id}: no price has this lookup key"
        f" ({plan.price} {plan.currency} a {plan.interval})"
    )


def _what_differs(wanted: WantedAccount, plan: Plan, price: SeenPrice) -> str:
    """What no change can mend, since a price is for life; empty where all is right."""
    there = (price.amount, price.currency, price.interval, price.interval_count)
    if there != (plan.price, plan.currency, plan.interval, 1):
        return (
            f"{price.amount} {price.currency} each {price.interval_count}"
            f" {price.interval}; shall be: {plan.price} {plan.currency} a"
            f" {plan.interval}"
        )
    if wanted.taxed and price.tax == "exclusive":
        return "does not include the tax; shall include it"
    return ""


def _what_changes(wanted: WantedAccount, price: SeenPrice) -> Json:
    mend: Json = {}
    if not price.active:
        mend["active"] = True
    if wanted.taxed and price.tax == "unspecified":
        mend["tax_behavior"] = "inclusive"
    return mend


def _of_product(
    wanted: WantedAccount, seen: SeenAccount, plan: Plan, price: SeenPrice
) -> list[Step]:
    product = next(p for p in seen.products if p.product_id == price.product)
    sent: Json = {} if product.active else {"active": True}
    if product.deployment == wanted.deployment and product.name != plan.name:
        sent["name"] = plan.name
    if not sent:
        return []
    told = f"product {product.product_id}: " + ", ".join(
        ["is called " + repr(product.name) + "; shall be: " + repr(plan.name)]
        * ("name" in sent)
        + ["is archived; shall be sold"] * ("active" in sent)
    )
    return [ChangeProduct(told, product.product_id, sent)]


def _new_price(wanted: WantedAccount, plan: Plan, product: str | None = None) -> Json:
    ours = {DEPLOYMENT: wanted.deployment, PLAN: plan.plan_id}
    of: Json = {"product": product}
    if product is None:
        of = {"product_data": {"name": plan.name, "metadata": ours}}
    return {
        **of,
        "currency": plan.currency,
        "unit_amount": plan.price,
        "recurring": {"interval": plan.interval},
        "lookup_key": plan.plan_id,
        "transfer_lookup_key": True,
        "metadata": ours,
        **({"tax_behavior": "inclusive"} if wanted.taxed else {}),
    }


def _of_endpoint(wanted: WantedAccount, seen: SeenAccount) -> ToDo:
    """One endpoint of the right version, whose secret somebody has, tells all events
    and no others.

    An endpoint's version is for life.  So where it is wrong another endpoint is made
    first, and the old one stays until ``apply`` is called again: meanwhile the site
    gets the new secret.
    """
    here = [e for e in seen.endpoints if e.url == wanted.hook]
    kept = [e for e in here if not _is_unfinished(wanted, e)]
    right = [e for e in kept if e.version == wanted.version]
    if not right:
        return _make_endpoint(wanted, seen, kept)
    best = max(right, key=lambda e: (e.enabled, e.deployment is not None))
    steps: list[Step] = list(_mend_endpoint(wanted, best))
    others = [e for e in seen.endpoints if e != best and _is_ours(wanted, e)]
    for other in others:
        name = f"webhook endpoint {other.endpoint_id}"
        if _is_unfinished(wanted, other):
            steps.append(_delete_unfinished(other))
        elif other.enabled:
            told = (
                f"{name} ({other.url}, version {other.version}): beside"
                f" {best.endpoint_id}; shall be disabled once the site has the secret"
                f" of {best.endpoint_id}"
            )
            steps.append(ChangeEndpoint(told, other.endpoint_id, {"disabled": True}))
    return ToDo(tuple(steps))


def _is_ours(wanted: WantedAccount, endpoint: SeenEndpoint) -> bool:
    """At our address, whoever made it; or made by us for another address."""
    return wanted.hook == endpoint.url or endpoint.deployment == wanted.deployment


def _is_unfinished(wanted: WantedAccount, endpoint: SeenEndpoint) -> bool:
    """We made it, and its secret is not known to stand in a file."""
    return endpoint.deployment == wanted.deployment and endpoint.secret is None


def _make_endpoint(
    wanted: WantedAccount, seen: SeenAccount, kept: list[SeenEndpoint]
) -> ToDo:
    told = f"webhook: no endpoint {wanted.hook} of version {wanted.version}"
    if kept:
        spoken = [f"{e.endpoint_id} of {e.version or 'the account'}" for e in kept]
        told += "; there is " + ", ".join(spoken)
    unfinished = [e for e in seen.endpoints if _is_unfinished(wanted, e)]
    full = len(seen.endpoints) >= MOST_ENDPOINTS
    if full and not unfinished:
        off = ", ".join(e.endpoint_id for e in seen.endpoints if not e.enabled)
        told += (
            f"; Stripe has no place for one more than {MOST_ENDPOINTS}: delete one in"
            f" its dashboard (disabled: {off or 'none'})"
        )
        return ToDo((), (told,))
    sent = {
        "url": wanted.hook,
        "api_version": wanted.version,
        "enabled_events": sorted(wanted.events),
        "description": f"S4, deployment {wanted.deployment}",
        "metadata": {DEPLOYMENT: wanted.deployment},
    }
    besides = tuple(sorted(e.endpoint_id for e in kept))
    # Stripe may know the key of the interrupted call no more, and has no place then.
    room = [_delete_unfinished(e) for e in unfinished[:1] if full]
    return ToDo((*room, MakeEndpoint(told, sent, besides)))


def _delete_unfinished(endpoint: SeenEndpoint) -> DeleteEndpoint:
    name = f"webhook endpoint {endpoint.endpoint_id}"
    return DeleteEndpoint(
        f"{name}: made by an interrupted run; nobody has its secret",
        endpoint.endpoint_id,
    )


def _mend_endpoint(wanted: WantedAccount, endpoint: SeenEndpoint) -> list[Step]:
    said, sent = [], Json()
    if not endpoint.enabled:
        said.append("disabled")
        sent["disabled"] = False
    if endpoint.events != wanted.events:
        if missing := sorted(wanted.events - endpoint.events):
            said.append(f"not told of {', '.join(missing)}")
        if more := sorted(endpoint.events - wanted.events):
            said.append(f"told of {', '.join(more)}, too")
        sent["enabled_events"] = sorted(wanted.events)
    if not said:
        return []
    told = f"webhook endpoint {endpoint.endpoint_id}: {'; '.join(said)}"
    return [ChangeEndpoint(told, endpoint.endpoint_id, sent)]


def _of_portal(wanted: WantedAccount, seen: SeenAccount) -> ToDo:
    mine = [p for p in seen.portals if p.deployment == wanted.deployment]
    if not mine:
        sent = {**wanted.portal, "metadata": {DEPLOYMENT: wanted.deployment}}
        told = "portal: no configuration is this deployment's"
        return ToDo((MakePortal(told, sent),))
    portal = max(mine, key=lambda p: p.active)
    differs = [
        *([] if portal.active else ["active"]),
        *different(wanted.portal, portal.offers),
    ]
    if not differs:
        return ToDo(())
    told = f"portal {portal.configuration_id}: not as it should be: " + ", ".join(
        differs
    )
    sent = {**wanted.portal, **({} if portal.active else {"active": True})}
    return ToDo((ChangePortal(told, portal.configuration_id, sent),))


def login_of(wanted: WantedAccount, seen: SeenAccount) -> str | None:
    """Where customers log in to the portal, if they can."""
    mine: list[SeenPortal] = [
        p for p in seen.portals if p.deployment == wanted.deployment and p.active
    ]
    return mine[0].login_url if mine else None


def different(wanted: Json, found: Json, path: str = "") -> list[str]:
    """Name each leaf of *wanted* that *found* has otherwise; lists have no order."""
    said = []
    for name, value in wanted.items():
        there, where = found.get(name), f"{path}{name}"
        if isinstance(value, dict):
            said += different(value, there or {}, f"{where}.")
        elif isinstance(value, list):
            said += [] if sorted(value) == sorted(there or ()) else [where]
        elif value != there:
            said.append(where)
    return said
