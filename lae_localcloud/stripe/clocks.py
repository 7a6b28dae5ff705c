"""Stripe's test clocks: the time of some customers, which an API call moves on.

Here a clock arrives before ``advance`` is answered, though the answer says
``advancing`` as Stripe's does: ask again, and it is ``ready``.
"""

from __future__ import annotations

from lae_localcloud.stripe.errors import ApiError
from lae_localcloud.stripe.renewals import happen, next_moment
from lae_localcloud.stripe.store import Account, Json

KIND = "test_helpers.test_clock"
_LIVES = 30 * 24 * 3600
#: Stripe advances by two intervals of the shortest subscription at most.
_INTERVALS = 2
_DAYS = {"day": 1, "week": 7, "month": 30, "year": 365}
#: Of one customer's subscriptions nothing happens so often in two intervals.
_MOST = 1000


def create_clock(account: Account, asked: Json) -> Json:
    """A clock that stands; a customer named here lives on it from now on."""
    clock = account.new(
        KIND,
        frozen_time=asked["frozen_time"],
        name=asked.get("name"),
        deletes_after=account.seconds() + _LIVES,
        status="ready",
    )
    if (name := asked.get("customer")) is not None:
        attach(account, account.get("customer", name, "customer"), clock["id"])
    account.emit(f"{KIND}.created", clock)
    return clock


def attach(account: Account, customer: Json, clock: str) -> None:
    """Put a customer, with all of their subscriptions, onto a clock."""
    account.get(KIND, clock, "test_clock")
    if customer["test_clock"] is not None:
        raise ApiError("This customer is on a test clock already.", param="customer")
    customer["test_clock"] = clock
    for kind in ("subscription", "invoice"):
        for thing in account.all(kind):
            if thing["customer"] == customer["id"]:
                thing["test_clock"] = clock


def advance(account: Account, name: str, asked: Json) -> Json:
    """Move it on; everything that its time brings happens, in its order."""
    clock, to = account.get(KIND, name), asked["frozen_time"]
    subscriptions = [s for s in account.all("subscription") if s["test_clock"] == name]
    _check(clock, to, subscriptions)
    clock["status"] = "advancing"
    account.emit(f"{KIND}.advancing", clock)
    answer = dict(clock)
    for _ in range(_MOST):
        due = [
            (moment, s["id"])
            for s in subscriptions
            if (moment := next_moment(account, s)) is not None and moment <= to
        ]
        if not due:
            break
        moment, which = min(due)
        clock["frozen_time"] = max(clock["frozen_time"], moment)
        with account.at(clock["frozen_time"]):
            happen(account, account.get("subscription", which))
    clock.update(frozen_time=to, status="ready")
    account.emit(f"{KIND}.ready", clock)
    return answer


def _check(clock: Json, to: int, subscriptions: list[Json]) -> None:
    if to <= clock["frozen_time"]:
        raise ApiError(
            "A test clock can only be advanced forward.", param="frozen_time"
        )
    intervals = [
        _DAYS[i["price"]["recurring"]["interval"]]
        * i["price"]["recurring"]["interval_count"]
        for s in subscriptions
        for i in s["items"]["data"]
    ]
    if intervals and to - clock["frozen_time"] > _INTERVALS * min(intervals) * 86_400:
        raise ApiError(
            "Cannot advance test clock more than two intervals from its current frozen "
            "time, based on the shortest subscription interval.",
            param="frozen_time",
        )


def delete_clock(account: Account, name: str) -> Json:
    """Forget the clock; its customers' subscriptions are cancelled, as at Stripe."""
    clock = account.get(KIND, name)
    for subscription in account.all("subscription"):
        if subscription["test_clock"] == name and subscription["status"] != "canceled":
            subscription.update(status="canceled", ended_at=clock["frozen_time"])
    account.delete(KIND, name)
    return {"id": name, "object": KIND, "deleted": True}
