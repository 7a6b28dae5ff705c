"""Whether a request is worth reading, judged by its head before its body is read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from attrs import Factory, define, evolve, field

from lae_protocol.process.token_bucket import Paces, Rate
from lae_site.neighbours import Places, client_of

#: Our forms are far smaller.
LARGEST_BODY = 16 * 1024  # bytes
#: Bodies larger than that, which arrive or are worked on: in all, and of one network.
LARGE_BODIES = 32
LARGE_BODIES_EACH = 8
#: Connections of all networks, beside those of the event streams.
CONNECTIONS = 2000
#: So many seconds' worth of requests may come at once: an office that opens our pages.
_BURST = 20  # s
_BUSY = 5  # s
#: Stripe sends all its events from a few addresses, and sends again what is refused.
EVENTS = Rate(per_second=10.0, burst=50.0)
#: How many refusals one network is told at once.  More of them wait for their answer.
REFUSALS = Rate(per_second=2.0, burst=20.0)
LONGEST_DELAY = 10.0  # s


@define(frozen=True)
class RouteLimits:
    """What one route accepts; without a *rate*, at the rate of pages."""

    largest_body: int = LARGEST_BODY
    rate: Rate | None = None


_PAGE = RouteLimits()
#: The routes that accept more, or less often.
_ROUTES = {b"/webhook/stripe": RouteLimits(largest_body=512 * 1024, rate=EVENTS)}


@define(frozen=True)
class VisitLimits:
    """What visitors may ask, from the settings."""

    proxies: int = 0
    requests_per_second: int = 10
    connections_per_network: int = 100
    streams_at_most: int = 500

    def connections(self) -> Places:
        """Make the places for connections.  Our own proxy brings those of everybody,
        and counts networks itself.
        """
        most = CONNECTIONS + self.streams_at_most
        return Places(most, most if self.proxies else self.connections_per_network)


@define(frozen=True)
class Refusal:
    """Answer with *status*, after which the client may ask again in *wait* seconds.

    The answer is given after *delay* seconds.
    """

    status: int
    wait: int = 0
    delay: float = 0.0


@define(frozen=True, eq=False)
class Admission:
    """Judges requests by their heads."""

    limits: VisitLimits
    seconds: Callable[[], float]
    _large: Places = Factory(lambda: Places(LARGE_BODIES, LARGE_BODIES_EACH))
    _debts: Paces = Factory(lambda: Paces(REFUSALS))
    _paces: dict[RouteLimits, Paces] = field(init=False)

    @_paces.default
    def _make_paces(self) -> dict[RouteLimits, Paces]:
        each = self.limits.requests_per_second
        pages = Rate(each, each * _BURST)
        routes = (_PAGE, *_ROUTES.values())
        return {route: Paces(route.rate or pages) for route in routes}

    def judge(self, request: Any, target: bytes, length: int | None) -> Refusal | None:
        """Refuse a request for *target* with a body of *length* bytes, or None.

        A body of unknown length is refused: browsers and Stripe say how long it is.  A
        network that is refused again and again waits for its answers longer and longer.
        """
        client = client_of(request, self.limits.proxies)
        refusal = self._judge(request, client, target, length)
        if refusal is None:
            return None
        return evolve(refusal, delay=self.delay_refusal(client))

    def delay_refusal(self, client: str) -> float:
        """Count one refusal of a network; the seconds until it may be told."""
        now = self.seconds()
        return self._debts.of(client, now).owe(1, now, LONGEST_DELAY)

    def _judge(
        self, request: Any, client: str, target: bytes, length: int | None
    ) -> Refusal | None:
        route, now = _ROUTES.get(target.partition(b"?")[0], _PAGE), self.seconds()
        wait = self._paces[route].of(client, now).count(now)
        if wait:
            return Refusal(429, wait)
        if len(request.requestHeaders.getRawHeaders(b"host", [])) != 1:
            return Refusal(400)
        if length is None:
            return Refusal(411)
        if length > route.largest_body:
            return Refusal(413)
        if length > LARGEST_BODY:
            return self._find_place(request, client)
        return None

    def _find_place(self, request: Any, client: str) -> Refusal | None:
        """Give a large body a place in memory, until its request is over."""
        if not self._large.has_room(client):
            return Refusal(429, _BUSY)
        self._large.take(request, client)
        request.notifyFinish().addBoth(lambda _: self._large.leave(request))
        return None
