"""What the customer portal offers: its configurations.

Stripe deletes none, so what is no longer wanted is made inactive.
"""

from __future__ import annotations

import copy
import secrets
from typing import Any

from lae_localcloud.stripe.customers import merged
from lae_localcloud.stripe.errors import ApiError
from lae_localcloud.stripe.store import Account, Json

KIND = "billing_portal.configuration"
_TEXTS = ("default_return_url", "name")


def create_configuration(account: Account, asked: Json, base_url: str) -> Json:
    """A configuration; features that are not named are off."""
    made = account.new(KIND, metadata=asked.get("metadata") or {})
    _write(made, asked, base_url)
    account.emit("billing_portal.configuration.created", made)
    return made


def update_configuration(
    account: Account, name: str, asked: Json, base_url: str
) -> Json:
    """Change what is named, and leave the rest."""
    configuration = account.get(KIND, name)
    before = copy.deepcopy(configuration)
    if "active" in asked:
        configuration["active"] = asked["active"]
    if "metadata" in asked:
        configuration["metadata"] = merged(configuration["metadata"], asked["metadata"])
    _write(configuration, asked, base_url)
    account.emit("billing_portal.configuration.updated", configuration, before)
    return configuration


def _write(made: Json, asked: Json, base_url: str) -> None:
    made["updated"] = made["created"]
    for name in _TEXTS:
        if name in asked:
            made[name] = asked[name] or None
    for name, feature in asked.get("features", {}).items():
        _lay(made["features"][name], feature)
    updates = made["features"]["customer_update"]
    if updates["enabled"] and not updates["allowed_updates"]:
        raise ApiError(
            "You must provide at least one allowed update.",
            param="features[customer_update][allowed_updates]",
        )
    if "login_page" in asked:
        enabled = asked["login_page"]["enabled"]
        url = made["login_page"]["url"] or f"{base_url}/p/login/{secrets.token_hex(8)}"
        made["login_page"] = {"enabled": enabled, "url": url if enabled else None}


def _lay(over: Json, given: Json) -> None:
    for name, value in given.items():
        if isinstance(value, dict):
            _lay(over[name], value)
        else:
            over[name] = _emptied(value)


def _emptied(value: Any) -> Any:
    return [] if value == "" else value
