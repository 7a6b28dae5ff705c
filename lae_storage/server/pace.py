"""How fast bytes go when the month's traffic is used up: slower, and never not at all.

What a plan's traffic counts are bytes to clients in a calendar month (UTC).  Beyond it
the bytes of files pass at :data:`RATE` in each direction, all clients and both
protocols together.  What keeps a grid alive waits for nothing: versions, listings,
leases, and changes of mutable slots of a directory's size.

While the traffic lasts all this costs one look at ``slowed``.
"""

from __future__ import annotations

from attrs import define, field
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater

from lae_protocol.process.token_bucket import TokenBucket
from lae_storage.server.meter import Meter

#: Bytes a second in each direction, and bytes that may pass at once.
RATE, BURST = 1024 * 1024, 4 * 1024 * 1024
#: Seconds that one request waits at most: clients give up after 60.  So very many at
#: once are together faster than the rate.
LONGEST = 30.0
#: An operation on a mutable slot that carries no more waits for nothing.
DIRECTORY = 1024 * 1024
#: Seconds between two looks at the month's count.
LOOK = 10.0


def used_up(sent: int, traffic: int | None) -> bool:
    """Whether so much sent is beyond the month's traffic; None is no limit."""
    return traffic is not None and sent > traffic


@define(eq=False)
class Lane:
    """One direction: who takes more than is there waits until it is paid."""

    reactor: IReactorTime
    _bucket: TokenBucket | None = None

    def turn(self, size: int) -> float:
        """Take so much; the seconds to wait, :data:`LONGEST` at most."""
        now = self.reactor.seconds()
        if self._bucket is None:
            self._bucket = TokenBucket.full(RATE, BURST, now)
        wait = self._bucket.owe(size, now)
        # Nobody waits for more than that, so nobody pays for it later either.
        self._bucket.held = max(self._bucket.held, -LONGEST * RATE)
        return min(wait, LONGEST)

    async def wait(self, size: int) -> None:
        """Wait for so many bytes' turn."""
        seconds = self.turn(size)
        if seconds:
            await deferLater(self.reactor, seconds)


@define(eq=False)
class Pace:
    """Both lanes, and whether they are in use.  *traffic* is the plan's, in bytes."""

    reactor: IReactorTime
    meter: Meter
    traffic: int | None = None
    slowed: bool = False
    to_clients: Lane = field(init=False)
    from_clients: Lane = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.to_clients, self.from_clients = Lane(self.reactor), Lane(self.reactor)

    async def slot(self, sent: int, received: int) -> None:
        """Wait, where an operation on a mutable slot is larger than a directory's."""
        if sent > DIRECTORY:
            await self.to_clients.wait(sent)
        if received > DIRECTORY:
            await self.from_clients.wait(received)

    def look(self) -> None:
        """Decide anew; the meter knows what earlier nodes counted, too."""
        self.slowed = used_up(self.meter.sent_this_month(), self.traffic)
