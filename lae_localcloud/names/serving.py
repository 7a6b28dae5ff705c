"""When the name server hears of a change: after a while, in order, or not at all.

What Route 53 accepts is PENDING until all of its name servers have it; then the change
is INSYNC.  Called in the reactor's thread, but for :meth:`Serving.has`.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from lae_localcloud.front.slowness import Slowness
from lae_localcloud.names.knot import Knot
from lae_localcloud.names.zone import Zone


class Serving:
    """Brings zones to the name server; without one, changes are INSYNC in their time
    all the same.
    """

    _log = Logger()

    def __init__(self, reactor: Any, knot: Knot | None, slowness: Slowness) -> None:
        self._reactor, self._knot, self._slowness = reactor, knot, slowness
        self._numbers: dict[str, int] = {}
        self._served: set[str] = set()
        self._waiting: set[Any] = set()
        #: Of each zone what it is to be, while old records are to be served.
        self._withheld: dict[str, Zone] | None = None

    @property
    def where(self) -> str | None:
        """Where it listens: ``ADDRESS:PORT``; None where there is no name server."""
        if self._knot is None:
            return None
        return f"{self._knot.place.address}:{self._knot.place.port}"

    async def start(self, zones: tuple[Zone, ...]) -> None:
        """Serve what there is."""
        if self._knot is not None:
            await self._knot.start()
            for zone in zones:
                await self._knot.serve(zone)

    async def stop(self) -> None:
        """End the name server; what is pending is forgotten."""
        for later in self._waiting:
            later.cancel()
        if self._knot is not None:
            await self._knot.stop()

    def has(self, change: str) -> bool:
        """Tell whether a change is served, or withheld (in any thread)."""
        return change in self._served

    def change(self, change: str, number: int, zone: Zone) -> None:
        """Serve the zone as it is since a change, after a while.

        *number* grows with the changes: what is older than what is served is let go.
        """

        def begin() -> None:
            self._waiting.discard(later)
            done = Deferred.fromCoroutine(self._serve(number, zone))
            done.addErrback(lambda f: self._log.failure("a zone is not served", f))
            done.addCallback(lambda _: self._served.add(change))

        later = self._reactor.callLater(self._slowness.names, begin)
        self._waiting.add(later)

    def press(self, button: str) -> bool:
        """Break the name server, or mend it; False where there is no such button.

        ``freeze`` has it answer late, namely after ``thaw``; from ``withhold`` on it
        serves old records, until ``catch-up``.
        """
        match button:
            case "freeze" if self._knot is not None:
                self._knot.freeze()
            case "thaw" if self._knot is not None:
                self._knot.thaw()
            case "withhold":
                self._withheld = {}
            case "catch-up":
                withheld, self._withheld = self._withheld or {}, None
                for zone in withheld.values():
                    self.change("", self._numbers[zone.name], zone)
            case _:
                return False
        return True

    async def _serve(self, number: int, zone: Zone) -> None:
        if number < self._numbers.get(zone.name, 0):
            return
        self._numbers[zone.name] = number
        if self._withheld is not None:
            self._withheld[zone.name] = zone
        elif self._knot is not None:
            await self._knot.serve(zone)
