"""Draining: a copy of the site that stops answers accepted requests first.

The listening socket belongs to the supervisor and stays open
(``docs/decisions/deploy.rst``), so another copy accepts later connections.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure
from twisted.web.http import HTTPChannel

from lae_protocol.process.deadline import DeadlinePassed, with_deadline
from lae_site.neighbours import Places, neighbourhood_of

#: How long accepted requests have to be answered.
DRAIN_WITHIN = 5.0  # s


class Connections:
    """All connections of one copy of the site."""

    def __init__(self, reactor: IReactorTime, places: Places) -> None:
        self._reactor = reactor
        self._open = places
        self._empty: Deferred[None] | None = None
        self.draining = False

    def has_room(self, address: Any) -> bool:
        """Whether one more may come from *address*."""
        return self._open.has_room(neighbourhood_of(address))

    def opened(self, channel: DrainableChannel) -> None:
        """Add an accepted connection."""
        peer = channel.getPeer()  # type: ignore[no-untyped-call]
        self._open.take(channel, neighbourhood_of(peer))

    def closed(self, channel: DrainableChannel) -> None:
        """Remove a closed connection; the last one ends a drain."""
        self._open.leave(channel)
        if self._empty is not None and not self._open:
            empty, self._empty = self._empty, None
            empty.callback(None)

    def drain(self, endless: Iterable[Any]) -> Deferred[None]:
        """Answer the requests under way and close the other connections; fires when no
        connection is left, or after :data:`DRAIN_WITHIN`.

        *endless* requests (streams) are cut: their browsers reconnect by themselves,
        to another copy.
        """
        self.draining = True
        for request in list(endless):
            request.loseConnection()
        for channel in list(self._open):
            channel.close_when_answered()
        empty: Deferred[None] = Deferred()
        if not self._open:
            empty.callback(None)
            return empty
        self._empty = empty
        waited = with_deadline(self._reactor, DRAIN_WITHIN, "visitors", empty)
        return waited.addErrback(self._give_up)

    def _give_up(self, failure: Failure) -> None:
        failure.trap(DeadlinePassed)  # type: ignore[no-untyped-call]
        self._empty = None


class DrainableChannel(HTTPChannel):  # type: ignore[misc, unused-ignore]
    """An HTTP/1.1 connection that closes early when its copy of the site drains."""

    def __init__(self, connections: Connections) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._connections = connections
        self._asked = False

    def connectionMade(self) -> None:
        """Add this connection."""
        super().connectionMade()  # type: ignore[no-untyped-call]
        self._connections.opened(self)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Remove this connection."""
        super().connectionLost(reason)  # type: ignore[no-untyped-call]
        self._connections.closed(self)

    def checkPersistence(self, request: Any, version: bytes) -> bool:
        """Whether the connection stays open for more requests: not while draining."""
        self._asked = True
        kept: Callable[[Any, bytes], Any] = super().checkPersistence
        if kept(request, version) and not self._connections.draining:
            return True
        request.responseHeaders.setRawHeaders(b"connection", [b"close"])
        return False

    def close_when_answered(self) -> None:
        """Close after the answer that is under way, or now if the last one was sent.  A
        new connection stays open: its first request may be on the way.
        """
        if self.requests:
            self.persistent = False
        elif self._asked:
            self.loseConnection()  # type: ignore[no-untyped-call]
