"""Taking an event: its raw bytes are committed before Stripe hears a 200."""

from __future__ import annotations

import json
from collections.abc import Callable

from lae_flapp.journal import inbox
from lae_flapp.journal.journal import Journal
from lae_protocol.messages import Refused
from lae_protocol.process.answer import Refusal
from lae_protocol.process.crash import crash_point, declare
from lae_provision.doors import Sealer

TAKEN = declare("inbox.taken", "the raw event is committed, nothing is decided")

_LONGEST_ID = 255


def name_of(payload: bytes) -> tuple[str, str] | None:
    """The id and type of an event; None for bytes that are no event.  Pure."""
    try:
        event = json.loads(payload)
    except (ValueError, RecursionError):
        return None
    if not isinstance(event, dict) or event.get("object") != "event":
        return None
    named = event.get("id"), event.get("type")
    if not all(isinstance(n, str) and 0 < len(n) <= _LONGEST_ID for n in named):
        return None
    return str(named[0]), str(named[1])


def seal_context(event_id: str) -> str:
    """Name the row that a sealed event belongs to."""
    return f"stripe event {event_id}"


class Intake:
    """Commits events to the inbox and wakes whoever works them off.

    An event quotes the customer's address, so its bytes are sealed.
    """

    def __init__(
        self, journal: Journal, sealer: Sealer, wake: Callable[[], object]
    ) -> None:
        self._journal, self._sealer, self._wake = journal, sealer, wake

    async def take(self, payload: bytes, request_id: str) -> bool:
        """Commit; True if the event was known already.  Raises :class:`Refusal`."""
        named = name_of(payload)
        if named is None:
            raise Refusal(Refused("malformed", "not an event of Stripe"))
        event_id, kind = named
        sealed = self._sealer.seal(payload, seal_context(event_id))
        new = await self._journal.write(inbox.take, event_id, kind, sealed, request_id)
        crash_point(TAKEN)
        if new:
            self._wake()
        return not new
