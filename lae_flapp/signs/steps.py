"""How long each step of the routine takes, read off the event log.

A step lasts from the customer-visible event before it to its own; so a daemon that
was restarted in between counts the step as long as the customer waited for it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime

from lae_flapp.grid import steps
from lae_flapp.journal.events import Event

#: The events that end a step, in their order.
STEPS = (*(facts.tells for facts in steps.STEPS.values()), "mail-accepted")
_FIRST = frozenset({"paid", *STEPS})


def durations(
    events: Iterable[Event], since: Mapping[str, datetime]
) -> tuple[list[tuple[str, float]], dict[str, datetime]]:
    """Steps that ended, with their seconds; and when each signup's last one did.

    *since* is what the events before left.  A signup whose earlier events were not
    seen counts from its next one on.  Pure.
    """
    ended: list[tuple[str, float]] = []
    last = dict(since)
    for event in events:
        signup_id = event.signup_id
        if signup_id is None or event.kind not in _FIRST:
            continue
        before = last.pop(signup_id, None)
        if before is not None and event.kind in STEPS:
            ended.append((event.kind, (event.at - before).total_seconds()))
        if event.kind != STEPS[-1]:
            last[signup_id] = event.at
    return ended, last
