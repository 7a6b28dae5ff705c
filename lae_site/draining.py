"""Connections that are let go when a copy of the site ends: nobody is cut off.

The socket belongs to the supervisor and stays open (``docs/decisions/deploy.rst``), so
whoever comes later is another copy's.  Who was taken already is answered first.
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

#: Seconds in which those who were taken are answered.
DRAIN_WITHIN = 5.0


class Connections:
    """All connections of one copy.  *reactor* is the one that time is taken from."""

    def __init__(self, reactor: IReactorTime) -> None:
        self._reactor = reactor
        self._open: set[LetGoChannel] = set()
        self._empty: Deferred[None] | None = None
        self.draining = False

    def channel(self) -> LetGoChannel:
        """A new connection's protocol."""
        return LetGoChannel(self)

    def opened(self, channel: LetGoChannel) -> None:
        """It was taken."""
        self._open.add(channel)

    def closed(self, channel: LetGoChannel) -> None:
        """It is over."""
        self._open.discard(channel)
        if self._empty is not None and not self._open:
            empty, self._empty = self._empty, None
            empty.callback(None)

    def drain(self, endless: Iterable[Any]) -> Deferred[None]:
        """Answer who was taken, hang up on the rest; fires when nobody is left, or
        after :data:`DRAIN_WITHIN`.

        Of *endless* requests (streams) the browser asks again by itself, and is then
        another copy's.
        """
        self.draining = True
        for request in list(endless):
            request.loseConnection()
        for channel in list(self._open):
            channel.let_go()
        empty: Deferred[None] = Deferred()
        if not self._open:
            empty.callback(None)
            return empty
        self._empty = empty
        waited = with_deadline(self._reactor, DRAIN_WITHIN, "visitors", empty)
        return waited.addErrback(self._late)

    def _late(self, failure: Failure) -> None:
        failure.trap(DeadlinePassed)  # type: ignore[no-untyped-call]
        self._empty = None


class LetGoChannel(HTTPChannel):  # type: ignore[misc, unused-ignore]
    """HTTP/1.1 that knows when its copy of the site is about to end."""

    def __init__(self, connections: Connections) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._connections = connections
        self._asked = False

    def connectionMade(self) -> None:
        """Somebody is there."""
        super().connectionMade()  # type: ignore[no-untyped-call]
        self._connections.opened(self)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Nobody is."""
        super().connectionLost(reason)  # type: ignore[no-untyped-call]
        self._connections.closed(self)

    def checkPersistence(self, request: Any, version: bytes) -> bool:
        """Whether more may be asked on this connection: not of one that ends."""
        self._asked = True
        kept: Callable[[Any, bytes], Any] = super().checkPersistence
        if kept(request, version) and not self._connections.draining:
            return True
        request.responseHeaders.setRawHeaders(b"connection", [b"close"])
        return False

    def let_go(self) -> None:
        """End with the answer that is under way.  Who is idle after an answer is hung
        up on; who has asked nothing yet may be about to.
        """
        if self.requests:
            self.persistent = False
        elif self._asked:
            self.loseConnection()  # type: ignore[no-untyped-call]
