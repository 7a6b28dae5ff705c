"""How much of what others ask for is written: so much an hour, and none of the reserve.

Whoever has stolen the site's furl, or the webhook's secret, can ask without end.  The
last of the journal's disk is for what the daemon itself has to write.
"""

from __future__ import annotations

from collections.abc import Callable

from attrs import define, field
from twisted.internet.interfaces import IReactorTime

from lae_protocol.process.token_bucket import TokenBucket

HOUR = 3600.0  # s


@define(eq=False)
class HourlyLimit:
    """Allows *an_hour* at once, and as many an hour on average.

    *is_short* says that only the reserve is left of the journal's disk.
    """

    clock: IReactorTime
    an_hour: int
    is_short: Callable[[], bool]
    #: How many were refused, and when the last was; None where none was.
    refused: int = 0
    refused_at: float | None = None
    _bucket: TokenBucket = field(init=False)

    def __attrs_post_init__(self) -> None:
        now = self.clock.seconds()
        self._bucket = TokenBucket.full(self.an_hour / HOUR, self.an_hour, now)

    def take(self) -> bool:
        """Take one, if it may be written."""
        now = self.clock.seconds()
        if not self.is_short() and self._bucket.take(1, now):
            return True
        self.refused += 1
        self.refused_at = now
        return False

    def refused_within(self, seconds: float) -> bool:
        """Whether one was refused a short while ago."""
        at = self.refused_at
        return at is not None and self.clock.seconds() - at < seconds
