"""Carrying out one step at Stripe, on a thread, so that it may be repeated.

What is made is made with an idempotency key that follows from what is asked: whoever
asks the same again, after a crash or beside us, gets the same thing, with an endpoint's
secret in the answer.  Stripe keeps a key for 24 hours, and with it the answer for
something that was deleted meanwhile, or an error of Stripe's own: then the next key is
used, once it has been looked whether the thing is there.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import stripe

from lae_flapp.money.stripe.errors import is_kept
from lae_flapp.money.stripe_account.seen import SECRET, seen_price
from lae_flapp.money.stripe_account.steps import (
    ChangeEndpoint,
    ChangePortal,
    ChangePrice,
    ChangeProduct,
    DeleteEndpoint,
    MakeEndpoint,
    MakePortal,
    MakePrice,
    Step,
)
from lae_flapp.money.stripe_account.wanted import Json
from lae_protocol.process.key_folder import KeyFolder, write_key
from lae_protocol.secret import digest
from lae_provision.errors import Refused

T = TypeVar("T")

#: Keys for one thing within 24 hours; more were deleted by hand as often.
MOST_KEYS = 8
_GONE = "resource_missing"


def carry_out(  # noqa: PLR0911  (one for each kind of step)
    client: stripe.StripeClient, step: Step, secrets: Path
) -> str:
    """Do one step and return the id of what it made or changed.

    *secrets* is the folder where an endpoint's secret goes.
    """
    v1 = client.v1
    match step:
        case MakePrice():
            return _make_price(client, step)
        case ChangePrice():
            return v1.prices.update(step.price_id, _sent(step.sent)).id
        case ChangeProduct():
            return v1.products.update(step.product_id, _sent(step.sent)).id
        case MakeEndpoint():
            return _make_endpoint(client, step, secrets)
        case ChangeEndpoint():
            return v1.webhook_endpoints.update(step.endpoint_id, _sent(step.sent)).id
        case DeleteEndpoint():
            return _delete_endpoint(client, step.endpoint_id)
        case MakePortal():
            return _make_portal(client, step)
        case ChangePortal():
            portals = v1.billing_portal.configurations
            return portals.update(step.configuration_id, _sent(step.sent)).id


def _make_price(client: stripe.StripeClient, step: MakePrice) -> str:
    prices, key = client.v1.prices, step.sent["lookup_key"]

    def holds(name: str) -> bool:
        price = seen_price(prices.retrieve(name).to_dict())
        return price.active and price.lookup_key == key

    def already() -> str | None:
        asked: Any = {"lookup_keys": [key], "active": True}
        found = [seen_price(p.to_dict()) for p in prices.list(asked).data]
        fits = (step.sent["unit_amount"], step.sent["currency"])
        return next((p.price_id for p in found if (p.amount, p.currency) == fits), None)

    made = _make_once(
        ("price", step.sent),
        lambda options: prices.create(_sent(step.sent), options),
        holds,
        already,
    )
    return made if isinstance(made, str) else made.id


def _make_endpoint(
    client: stripe.StripeClient, step: MakeEndpoint, secrets: Path
) -> str:
    """Make it, write its secret, and only then note in Stripe that it is written."""
    hooks = client.v1.webhook_endpoints
    made = _make_once(
        ("endpoint", step.sent, step.besides),
        lambda options: hooks.create(_sent(step.sent), options),
        lambda name: hooks.retrieve(name).status == "enabled",
    )
    assert not isinstance(made, str), "nothing tells a secret a second time"
    secret = str(made.secret)
    keep_secret(secrets, secret)
    metadata = {**step.sent["metadata"], SECRET: digest(secret)}
    return hooks.update(made.id, {"metadata": metadata}).id


def keep_secret(folder: Path, secret: str) -> None:
    """Write *secret* for its owner alone, beside those that the site accepts."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    present = KeyFolder(folder).listed()
    if any(file.read().reveal() == secret for file in present):
        return
    number = max((file.number for file in present), default=0) + 1
    owner = present[0].path if present else folder
    write_key(folder / f"{number:04}.key", secret, owner.stat())


def _delete_endpoint(client: stripe.StripeClient, name: str) -> str:
    try:
        client.v1.webhook_endpoints.delete(name)
    except stripe.InvalidRequestError as e:
        if e.code != _GONE:
            raise
    return name


def _make_portal(client: stripe.StripeClient, step: MakePortal) -> str:
    portals = client.v1.billing_portal.configurations

    def already() -> str | None:
        for one in portals.list({"limit": 100, "active": True}).auto_paging_iter():
            if (one.to_dict().get("metadata") or {}) == step.sent["metadata"]:
                return one.id
        return None

    made = _make_once(
        ("portal", step.sent),
        lambda options: portals.create(_sent(step.sent), options),
        lambda name: bool(portals.retrieve(name).active),
        already,
    )
    return made if isinstance(made, str) else made.id


def _make_once(
    what: tuple[Any, ...],
    make: Callable[[Any], T],
    holds: Callable[[str], bool],
    already: Callable[[], str | None] = lambda: None,
) -> T | str:
    """Return what *make* answers, or the id of what is there *already*.

    *holds* says whether the thing of an answer is still there as it was made.
    """
    text = json.dumps(what, sort_keys=True).encode()
    key = f"s4-{what[0]}-{hashlib.sha256(text).hexdigest()}"
    for number in range(MOST_KEYS):
        try:
            made: Any = make({"idempotency_key": f"{key}-{number}"})
        except stripe.StripeError as e:
            if not is_kept(e):
                raise
            # It failed on Stripe's side, perhaps after it had made the thing.
            if (found := already()) is not None:
                return found
            continue
        if _is_there(holds, made.id):
            return made  # type: ignore[no-any-return]
    raise Refused("made-and-gone", f"{what[0]}: removed {MOST_KEYS} times within a day")


def _is_there(holds: Callable[[str], bool], name: str) -> bool:
    try:
        return holds(name)
    except stripe.InvalidRequestError as e:
        if e.code != _GONE:
            raise
        return False


def _sent(parameters: Json) -> Any:
    """The parameters; steps are built as plain values, which the library types."""
    return parameters
