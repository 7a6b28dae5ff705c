"""Lists as Stripe pages them, and ``expand``."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable
from typing import Any

from lae_localcloud.stripe.errors import ApiError, no_such
from lae_localcloud.stripe.store import Account, Json

_LIMIT = 100
_COMPARED: dict[str, Callable[[int, int], bool]] = {
    "gt": lambda created, given: created > given,
    "gte": lambda created, given: created >= given,
    "lt": lambda created, given: created < given,
    "lte": lambda created, given: created <= given,
}


def page(items: Iterable[Json], asked: Json, url: str) -> Json:
    """One page, newest first, after ``starting_after`` or before ``ending_before``."""
    limit = asked.get("limit", 10)
    if not 1 <= limit <= _LIMIT:
        raise ApiError(f"Invalid limit: {limit} (1 to {_LIMIT})", param="limit")
    chosen = [item for item in items if _in_time(item, asked.get("created"))]
    if (after := asked.get("starting_after")) is not None:
        chosen = chosen[_position(chosen, after, "starting_after") + 1 :]
        more = len(chosen) > limit
        chosen = chosen[:limit]
    elif (before := asked.get("ending_before")) is not None:
        chosen = chosen[: _position(chosen, before, "ending_before")]
        more = len(chosen) > limit
        chosen = chosen[-limit:]
    else:
        more = len(chosen) > limit
        chosen = chosen[:limit]
    return {"object": "list", "data": chosen, "has_more": more, "url": url}


def _position(items: list[Json], name: str, param: str) -> int:
    for i, item in enumerate(items):
        if item["id"] == name:
            return i
    raise no_such("object", name, param)


def _in_time(item: Json, created: Any) -> bool:
    if created is None:
        return True
    if isinstance(created, int):
        return bool(item["created"] == created)
    return all(_COMPARED[op](item["created"], at) for op, at in created.items())


def expanded(account: Account, answer: Json, paths: list[str]) -> Json:
    """A copy of *answer* with what *paths* name put in place of the ids."""
    result = copy.deepcopy(answer)
    for path in paths:
        parts = path.split(".")
        if len(parts) > 4:  # noqa: PLR2004  (Stripe's own limit on depth)
            raise ApiError("You cannot expand more than 4 levels", param="expand")
        _expand(account, result, parts, path)
    return result


def _expand(account: Account, here: Any, parts: list[str], path: str) -> None:
    if isinstance(here, list):
        for item in here:
            _expand(account, item, parts, path)
        return
    if here is None:
        return
    name, rest = parts[0], parts[1:]
    if name not in here and (included := _included(account, here, name)) is not None:
        here[name] = included
    if name not in here:
        raise ApiError(f"This property cannot be expanded ({path}).", param="expand")
    if isinstance(here[name], str):
        found = account.by_id(here[name])
        if found is None:
            raise ApiError(
                f"This property cannot be expanded ({path}).", param="expand"
            )
        here[name] = copy.deepcopy(found)
    if rest:
        _expand(account, here[name], rest, path)


def _included(account: Account, here: Json, name: str) -> Json | None:
    """Fields that Stripe includes only when asked to."""
    match here.get("object"), name:
        case "checkout.session", "line_items":
            items = account.intents[here["id"]]["items"]
            return page(items, {}, f"/v1/checkout/sessions/{here['id']}/line_items")
        case "invoice", "payments":
            payments = [
                p for p in account.all("invoice_payment") if p["invoice"] == here["id"]
            ]
            return page(payments, {}, "/v1/invoice_payments")
    return None
