"""Whether a request is worth reading, judged by its head before its body is read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from attrs import Factory, define, field

from lae_site.neighbours import Places, Rate, RequestPace, client_of

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


@define(frozen=True)
class RouteLimits:
    """What one route accepts: *times* as many requests as a page does."""

    largest_body: int = LARGEST_BODY
    times: int = 1


_PAGE = RouteLimits()
#: The routes that accept more.  Stripe sends all its events from a few addresses.
_ROUTES = {b"/webhook/stripe": RouteLimits(largest_body=512 * 1024, times=10)}


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
    """Answer with *status*, after which the client may ask again in *wait* seconds."""

    status: int
    wait: int = 0


@define(frozen=True, eq=False)
class Admission:
    """Judges requests by their heads."""

    limits: VisitLimits
    seconds: Callable[[], float]
    _large: Places = Factory(lambda: Places(LARGE_BODIES, LARGE_BODIES_EACH))
    _paces: dict[RouteLimits, RequestPace] = field(init=False)

    @_paces.default
    def _make_paces(self) -> dict[RouteLimits, RequestPace]:
        each = self.limits.requests_per_second
        return {
            route: RequestPace(Rate(each * route.times, each * route.times * _BURST))
            for route in (_PAGE, *_ROUTES.values())
        }

    def judge(self, request: Any, target: bytes, length: int | None) -> Refusal | None:
        """Refuse a request for *target* with a body of *length* bytes, or None.

        A body of unknown length is refused: browsers and Stripe say how long it is.
        """
        route = _ROUTES.get(target.partition(b"?")[0], _PAGE)
        client = client_of(request, self.limits.proxies)
        wait = self._paces[route].take(client, self.seconds())
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
