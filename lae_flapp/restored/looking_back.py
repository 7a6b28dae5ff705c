"""What a start looks at before it launches a host: is this journal the newest there is?

1. Whether another machine has recovered this deployment; 2. the number of this life, in
the state bucket; 3. the cloud's own list of hosts.  Each is tried until it succeeds.
Then, holding up nobody, 4. what Stripe told meanwhile.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from random import Random

from attrs import define
from twisted.internet.defer import CancelledError
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger

from lae_flapp.grid.workshop import LookedBack
from lae_flapp.journal.errors import JournalClosed
from lae_flapp.restored.fencing import Fencing, RecoveredElsewhere
from lae_protocol.process.deadline import DeadlinePassed
from lae_protocol.process.retry import pause
from lae_provision.errors import ProvisionError

RETRY_AFTER = 1.0  # s at most after the first failure; it doubles
RETRY_AT_MOST = 30.0  # s

Work = Callable[[], Awaitable[object]]


@define(frozen=True)
class LookingBack:
    """Does the four of the module's docstring; *looked_back* is told when the first
    three have succeeded.
    """

    clock: IReactorTime
    rng: Random
    fence: Fencing
    claim: Work
    look: Work
    read: Work
    looked_back: LookedBack

    _log = Logger()

    async def run(self) -> None:
        """Run until all four are done; end with the journal, by being cancelled, or
        where this deployment was recovered elsewhere.
        """
        try:
            await self._until_done("the fence", self.fence.look)
            await self._until_done("the claim of this life", self.claim)
            await self._until_done("the cloud's hosts", self.look)
            self.looked_back.done = True
            await self._until_done("what Stripe told", self.read)
        except (CancelledError, JournalClosed, RecoveredElsewhere):
            return

    async def _until_done(self, name: str, work: Work) -> None:
        attempt = 0
        while True:
            try:
                await work()
            except (ProvisionError, DeadlinePassed) as e:
                self._log.warn("{name}: {problem}", name=name, problem=str(e))
            else:
                return
            seconds = pause(attempt, self.rng, RETRY_AFTER, RETRY_AT_MOST)
            await deferLater(self.clock, seconds)
            attempt += 1
