"""Whether this deployment was recovered on another machine: then this daemon ends.

``lae disaster recover`` writes the next number into the state bucket before it reads
the backup, and the journal that it restores knows that number.  A daemon asks for the
number after its journal's: where the bucket has it, the daemon's machine was given up
as lost, whether it was only cut off, or frozen, or comes back after a week.

Until the bucket has answered, and from a while after its last answer on, the daemon
launches no host and deletes no bucket (:class:`~lae_flapp.grid.workshop.LookedBack`).
So whoever recovers waits for that while after the number is written, and knows then
that the daemon of before does neither any more, even if it can still not hear of it.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.logger import Logger

from lae_flapp.grid.workshop import Workshop
from lae_flapp.journal import recoveries
from lae_protocol.process.deadline import DeadlinePassed
from lae_provision.doors import Sealed
from lae_provision.errors import ProvisionError

#: An answer of the bucket is good for so many looks.
LOOKS = 4


class RecoveredElsewhere(Exception):
    """Another machine has this deployment by now.  Do not try again: end."""


def fence_key(number: int) -> str:
    """Where the state bucket has the number of a recovery."""
    return f"recoveries/{number:09}"


class Fencing:
    """Looks; *fenced* ends the process, and is called once."""

    _log = Logger()

    def __init__(self, shop: Workshop, fenced: Callable[[], object]) -> None:
        self._shop, self._fenced = shop, fenced

    async def look(self) -> None:
        """Ask once; raises :class:`RecoveredElsewhere`, and what the vault raises."""
        shop = self._shop
        known = await shop.journal.read(recoveries.newest)
        asked_at = shop.clock.seconds()
        found: Sealed | None = await shop.vault.get(fence_key(known + 1))
        if found is None:
            shop.looked_back.unfenced_at = asked_at
            return
        shop.looked_back.unfenced_at = float("-inf")
        self._log.critical(
            "this deployment was recovered on another machine (recovery {number}):"
            " this machine's journal is the one that was lost, and nothing is done"
            " from it any more.  Do not start this daemon again",
            number=known + 1,
        )
        fenced, self._fenced = self._fenced, _nothing
        fenced()
        raise RecoveredElsewhere(f"recovery {known + 1}")

    async def keep_looking(self) -> None:
        """Ask in its turn; what fails now is asked again at the next turn."""
        try:
            await self.look()
        except RecoveredElsewhere:
            return
        except (ProvisionError, DeadlinePassed) as e:
            self._log.warn("the fence: {problem}", problem=str(e))


def _nothing() -> None:
    """The process ends already."""
