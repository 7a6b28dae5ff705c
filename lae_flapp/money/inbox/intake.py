"""Taking an event of Stripe's: its hint is committed before Stripe hears a 200."""

from __future__ import annotations

from lae_flapp.journal import inbox
from lae_flapp.journal.journal import Journal
from lae_protocol.process.crash import crash_point, declare
from lae_protocol.stripe_hints import StripeHint

TAKEN = declare("inbox.taken", "the hint is committed, nothing is decided")


class Intake:
    """Commits hints to the inbox, but for those from which nothing follows."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    async def take(self, hint: StripeHint, request_id: str) -> bool:
        """Commit the hint; True if the event was known already, or nothing follows."""
        if not hint.is_followed():
            return True
        new = await self._journal.write(inbox.take, hint, request_id)
        crash_point(TAKEN)
        return not new
