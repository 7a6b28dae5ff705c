"""Events, and the endpoints that hear of them."""

from __future__ import annotations

import ipaddress
import secrets
from urllib.parse import urlsplit

from lae_localcloud.stripe.customers import merged
from lae_localcloud.stripe.errors import ApiError
from lae_localcloud.stripe.store import API_VERSION, Account, Json

#: Disabled ones count, too.
MOST_ENDPOINTS = 16


def events(account: Account, asked: Json) -> list[Json]:
    """The events that a list request asks for."""
    kinds = set(asked.get("types", ()))
    if "type" in asked:
        kinds.add(asked["type"])
    return [
        event
        for event in account.all("event")
        if not kinds or any(matches(kind, event["type"]) for kind in kinds)
    ]


def matches(pattern: str, kind: str) -> bool:
    """Whether an event type is meant: ``*``, ``invoice.*`` or the type itself."""
    if pattern.endswith("*"):
        return kind.startswith(pattern[:-1])
    return pattern == kind


def create_endpoint(account: Account, asked: Json) -> Json:
    """An endpoint on this machine; its secret is told in this answer alone."""
    _check(asked)
    if sum(1 for _ in account.all("webhook_endpoint")) >= MOST_ENDPOINTS:
        raise ApiError(
            f"You have reached the maximum of {MOST_ENDPOINTS} test webhook endpoints."
        )
    endpoint = account.new(
        "webhook_endpoint",
        api_version=asked.get("api_version"),
        description=asked.get("description"),
        enabled_events=asked["enabled_events"],
        metadata=asked.get("metadata") or {},
        url=asked["url"],
    )
    secret = f"whsec_{secrets.token_urlsafe(24)}"
    account.endpoint_secrets[endpoint["id"]] = secret
    return {**endpoint, "secret": secret}


def update_endpoint(account: Account, name: str, asked: Json) -> Json:
    """Move it, change what it hears of, or switch it off."""
    endpoint = account.get("webhook_endpoint", name)
    # Its version is for life, and may be of long ago.
    _check({**endpoint, **asked, "api_version": None})
    for key in ("url", "enabled_events", "description"):
        if key in asked:
            endpoint[key] = asked[key]
    if "disabled" in asked:
        endpoint["status"] = "disabled" if asked["disabled"] else "enabled"
    if "metadata" in asked:
        endpoint["metadata"] = merged(endpoint["metadata"], asked["metadata"])
    return endpoint


def delete_endpoint(account: Account, name: str) -> Json:
    """Forget it."""
    account.get("webhook_endpoint", name)
    account.delete("webhook_endpoint", name)
    del account.endpoint_secrets[name]
    return {"id": name, "object": "webhook_endpoint", "deleted": True}


def _check(asked: Json) -> None:
    if asked.get("api_version") not in (None, API_VERSION):
        raise ApiError(
            f"The local Stripe speaks {API_VERSION} alone.", param="api_version"
        )
    if not asked["enabled_events"]:
        raise ApiError("enabled_events must not be empty", param="enabled_events")
    parts = urlsplit(asked["url"])
    if parts.scheme not in ("http", "https") or not _loopback(parts.hostname):
        # Whatever a configuration says: nothing made here leaves the machine.
        raise ApiError(
            "The local Stripe delivers to loopback addresses only.", param="url"
        )


def _loopback(host: str | None) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host or "").is_loopback
    except ValueError:
        return False
