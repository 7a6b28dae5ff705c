"""Which turn of a subscription is due by time alone.  Pure: no I/O, no clock.

Each span counts from when its state began, so that a daemon that was away for long
hurries nobody through the states that follow.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Literal

from attrs import define

from lae_protocol.messages import Plan, SignupState

#: How long before the deletion the reminder goes out, unless a quarter of the time for
#: which the data is kept is shorter.
REMINDED_BEFORE = timedelta(days=7)
REMINDED_SHARE = 4

Turn = Literal["suspend", "stop", "end-unpaid", "remind", "delete"]

#: The states in which a time runs.
TIMED: frozenset[SignupState] = frozenset({"past-due", "suspended", "stopped", "ended"})


@define(frozen=True)
class Timed:
    """A signup in such a state since *since*; *paying* while a payment page is open
    that would bring it back, *reminded* once its owner was told of the deletion.
    """

    state: SignupState
    since: datetime
    plan: Plan
    kept_until: datetime | None
    paying: bool
    reminded: bool = False


def ends_at(plan: Plan, unpaid_since: datetime) -> datetime:
    """When a subscription that is never paid again ends."""
    return unpaid_since + timedelta(seconds=plan.grace + plan.read_only + plan.stopped)


def due(timed: Timed, now: datetime) -> Turn | None:
    """The turn that is due now, if one is."""
    plan, since = timed.plan, timed.since
    match timed.state:
        case "past-due":
            return "suspend" if now >= since + _span(plan.grace) else None
        case "suspended":
            return "stop" if now >= since + _span(plan.read_only) else None
        case "stopped":
            return "end-unpaid" if now >= since + _span(plan.stopped) else None
        case "ended" if timed.kept_until is not None:
            return _kept(timed, timed.kept_until, now)
        case _:
            return None


def _kept(timed: Timed, until: datetime, now: datetime) -> Turn | None:
    """Delete nothing before its owner was reminded."""
    if not timed.reminded:
        return "remind" if now >= until - reminded_before(timed.plan) else None
    return "delete" if now >= until and not timed.paying else None


def deletion_after_reminder(plan: Plan, until: datetime, now: datetime) -> datetime:
    """When the data goes, if the reminder goes out now: as promised, unless the daemon
    was away and that would be too soon after it.
    """
    return max(until, now + reminded_before(plan) / 2)


def reminded_before(plan: Plan) -> timedelta:
    """How long before the deletion its owner is reminded."""
    return min(REMINDED_BEFORE, _span(plan.data_kept) / REMINDED_SHARE)


def _span(seconds: int) -> timedelta:
    return timedelta(seconds=seconds)
