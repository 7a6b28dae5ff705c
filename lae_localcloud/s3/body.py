"""Bodies on their way: to the store from memory, to the client as it reads."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IConsumer
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.web.client import ResponseDone
from twisted.web.iweb import IBodyProducer
from zope.interface import implementer


@implementer(IBodyProducer)
class Bytes:
    """A body that is in memory."""

    def __init__(self, body: bytes) -> None:
        self._body = body
        self.length = len(body)

    def startProducing(self, consumer: IConsumer) -> Deferred[None]:
        """All at once: the transport buffers."""
        consumer.write(self._body)
        return succeed(None)

    def pauseProducing(self) -> None:
        """It is over already."""

    def resumeProducing(self) -> None:
        """It is over already."""

    def stopProducing(self) -> None:
        """It is over already."""


class Relay(Protocol):
    """Writes an object's body to the client, as fast as it reads.

    *limit*: cut the client's connection after so many bytes (a fault), None for never.
    """

    def __init__(self, request: Any, limit: int | None) -> None:
        self._request, self._limit = request, limit
        self.finished: Deferred[bool] = Deferred()

    def connectionMade(self) -> None:
        """The body comes: the client's connection now paces it."""
        self._request.registerProducer(self.transport, streaming=True)
        self._request.notifyFinish().addErrback(self._client_gone)

    def _client_gone(self, _: Failure) -> None:
        if self.transport is not None:
            abort: Any = getattr(self.transport, "abortConnection", None)
            (abort or self.transport.loseConnection)()

    def dataReceived(self, data: bytes) -> None:
        """Some of the body."""
        if self._limit is not None:
            data, self._limit = data[: self._limit], max(0, self._limit - len(data))
        self._request.write(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """All of it came, or the store failed in the middle."""
        self._request.unregisterProducer()
        whole = isinstance(reason.value, ResponseDone) and self._limit is None
        self.finished.callback(whole)
