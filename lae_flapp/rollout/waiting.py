"""What a rollout waits for, in words for operators.  Pure."""

from __future__ import annotations

from collections.abc import Sequence

from lae_flapp.rollout.deciding import is_fit, serves
from lae_flapp.rollout.states import HostOutcome, HostSeen, RolloutBounds, RolloutSeen

#: Of several, so many are named.
_NAMED = 3


def what_it_waits_for(seen: RolloutSeen, bounds: RolloutBounds) -> str:
    """Say it; empty where it waits for nothing but the daemon's next look."""
    back, told = _with(seen, "back"), _with(seen, "told")
    if back:
        return f"for {_named(back)} to run again what they ran before"
    if told:
        return f"for {_named(told)} to run the program, and to prove it"
    match seen.rollout.state:
        case "paused":
            return "for lae rollout resume"
        case "going":
            return _before_the_next_step(seen, bounds)
        case _:
            return ""


def _before_the_next_step(seen: RolloutSeen, bounds: RolloutBounds) -> str:
    sick = [h for h in _with(seen, "proved") if not serves(h, seen, bounds)]
    if sick:
        return f"for {_named(sick)} to be well"
    newest = max((h.told.since for h in seen.hosts if h.told is not None), default=None)
    if newest is None or seen.now - newest >= seen.rollout.pause:
        return ""
    until = (newest + seen.rollout.pause).strftime("%Y-%m-%d %H:%M:%S")
    return f"until {until} UTC"


def _with(seen: RolloutSeen, outcome: HostOutcome) -> list[HostSeen]:
    return [h for h in seen.hosts if h.told is not None and h.told.outcome == outcome]


def count_fit(seen: RolloutSeen, bounds: RolloutBounds) -> tuple[int, int]:
    """Count the hosts that were not told the program and do not run it: those that can
    be told it now, and those that cannot.
    """
    others = [
        host
        for host in seen.hosts
        if host.told is None
        and host.alive
        and host.wanted
        and host.program != seen.rollout.image
    ]
    fit = sum(is_fit(host, seen, bounds) for host in others)
    return fit, len(others) - fit


def _named(hosts: Sequence[HostSeen]) -> str:
    named = ", ".join(host.signup_id for host in hosts[:_NAMED])
    more = len(hosts) - _NAMED
    return named if more <= 0 else f"{named} and {more} more"
