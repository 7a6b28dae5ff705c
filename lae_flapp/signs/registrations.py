"""Why no registrations can be taken now, beside an operator's pause."""

from __future__ import annotations

from attrs import define

from lae_flapp.journal.errors import JournalFull
from lae_flapp.journal.journal import Journal
from lae_flapp.signs.availability import Availability
from lae_flapp.signs.snapshots import Snapshots

NO_ROOM = "Our disk is nearly full; nothing is lost, and we look at it."


@define(frozen=True, eq=False)
class Registrations:
    """Closed while something that every signup needs is away, or the journal's disk
    has less than *reserve* bytes left, which are for those who have paid.
    """

    journal: Journal
    snapshots: Snapshots
    availability: Availability
    reserve: int

    def closed_because(self) -> str | None:
        """What a visitor is told; None when all is well."""
        if self.is_short():
            return NO_ROOM
        return self.availability.closed_because()

    def problem(self) -> str | None:
        """What an operator is told of why it is closed; None when all is well."""
        closed = self.closed_because()
        if closed is None or closed == NO_ROOM:
            return closed
        return self.availability.problem or closed

    def is_short(self) -> bool:
        """Whether only the reserve is left, or less."""
        return isinstance(self.journal.failing, JournalFull) or self._is_low()

    def _is_low(self) -> bool:
        latest = self.snapshots.latest
        return latest is not None and latest.disk.free < self.reserve
