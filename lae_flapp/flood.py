"""How much of what others ask for is written: so much an hour, and none of the reserve.

Whoever has stolen the site's furl, or the webhook's secret, can ask without end.  So
each address that asks has a pace of its own, which leaves the processor to the others.
The last of the journal's disk is for what the daemon itself has to write.
"""

from __future__ import annotations

from collections.abc import Callable

from attrs import define, field
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater

from lae_protocol.process.budget import RefusedCalls
from lae_protocol.process.peer import ASKED_FROM
from lae_protocol.process.token_bucket import Paces, Rate, TokenBucket

HOUR = 3600.0  # s
#: What one copy of the site may ask.  A registration takes 20 ms of the processor.
REGISTRATIONS = Rate(per_second=2.0, burst=20.0)
#: A visitor waits for that, and then for Stripe; the site gives up after 10 s.
LONGEST_WAIT = 5.0  # s
#: Stripe's events; Stripe sends again what is refused.
EVENTS = Rate(per_second=10.0, burst=50.0)


@define(eq=False)
class HourlyLimit:
    """Allows *an_hour* of *what* at once, and as many an hour on average; to whom comes
    from one address at the pace of *each*.

    *is_short* says that only the reserve is left of the journal's disk.
    """

    clock: IReactorTime
    what: str
    an_hour: int
    each: Rate
    is_short: Callable[[], bool]
    #: How many were refused, and when the last was; None where none was.
    refused: int = 0
    refused_at: float | None = None
    _bucket: TokenBucket = field(init=False)
    _paces: Paces = field(init=False)
    _told: RefusedCalls = field(init=False)

    def __attrs_post_init__(self) -> None:
        now = self.clock.seconds()
        self._paces = Paces(self.each)
        self._told = RefusedCalls(self.what, self.clock.seconds)
        self._bucket = TokenBucket.full(self.an_hour / HOUR, self.an_hour, now)

    def take(self) -> bool:
        """Take one, if it may be written."""
        address, now = ASKED_FROM.get().address, self.clock.seconds()
        in_time = self._paces.of(address, now).take(1, now)
        return self._count(address, taken=in_time and self._take_of_the_hour())

    async def take_in_turn(self) -> bool:
        """Take one when its address's pace allows that, if it may be written then.

        Refused, too, is who has waited: who asks without end hears few refusals.
        """
        address, now = ASKED_FROM.get().address, self.clock.seconds()
        wait = self._paces.of(address, now).owe(1, now, LONGEST_WAIT)
        if wait:
            await deferLater(self.clock, wait)
        in_time = wait < LONGEST_WAIT
        return self._count(address, taken=in_time and self._take_of_the_hour())

    def _take_of_the_hour(self) -> bool:
        return not self.is_short() and self._bucket.take(1, self.clock.seconds())

    def _count(self, address: str, *, taken: bool) -> bool:
        if not taken:
            self.refused += 1
            self.refused_at = self.clock.seconds()
            self._told.tell(address)
        return taken

    def refused_within(self, seconds: float) -> bool:
        """Whether one was refused a short while ago."""
        at = self.refused_at
        return at is not None and self.clock.seconds() - at < seconds
