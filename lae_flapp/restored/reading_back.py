"""What Stripe told while nobody kept it: read back at start, and each hour after.

An event is lost when its webhook is (Stripe gives up after three days), and when the
journal that took it is replaced by an older backup: Stripe had its 200 and never
sends it again.  So all events since the journal last lived are taken into the inbox,
where those that are known change nothing.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

from twisted.logger import Logger

from lae_flapp.journal import epoch, events
from lae_flapp.journal.journal import Journal
from lae_flapp.journal.transaction import ReadTx
from lae_flapp.money.inbox.intake import Intake
from lae_protocol.stripe_hints import StripeHint

#: Ask for events this much older: clocks differ, and a transaction may have been on
#: its way.
MARGIN = timedelta(hours=1)
#: Stripe keeps events for 30 days.
LONGEST = timedelta(days=30)
REQUEST = "reading-back"


class ReadingBack:
    """Reads back what Stripe told; *hints_since* asks Stripe."""

    _log = Logger()

    def __init__(
        self,
        journal: Journal,
        hints_since: Callable[[datetime], Awaitable[tuple[StripeHint, ...]]],
        intake: Intake,
    ) -> None:
        self._journal, self._intake = journal, intake
        self._hints_since = hints_since
        self._since: datetime | None = None

    async def begin(self) -> None:
        """Note when the journal was last written, before we write anything."""
        self._since = await self._journal.read(last_lived)

    async def look(self) -> None:
        """Read back once; raises what the door to the payment service raises."""
        assert self._since is not None, "begin() comes first"
        now = await self._journal.read(_read_now)
        hints = await self._hints_since(self._since)
        new = 0
        for hint in hints:
            known = await self._intake.take(hint, REQUEST)
            new += not known
        self._since = now - MARGIN
        if new:
            self._log.warn("{count} events of which no webhook told", count=new)


def last_lived(tx: ReadTx) -> datetime:
    """When something was last written, less a margin; now, in a new journal."""
    known = [at for at in (events.newest_at(tx), epoch.last_beat(tx)) if at is not None]
    return max(max(known, default=tx.now) - MARGIN, tx.now - LONGEST)


def _read_now(tx: ReadTx) -> datetime:
    return tx.now
