"""A response's body, whole, within a deadline and a limit, or an error."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.web.client import ResponseDone
from twisted.web.iweb import IResponse

from lae_protocol.process.deadline import with_deadline


class BodyTooLarge(Exception):
    """The body is longer than allowed.  Do not try again."""


class BodyCutShort(Exception):
    """The connection ended before the body did.  Reading again is safe."""


class _Collector(Protocol):
    """Keeps what arrives, up to a limit in bytes."""

    def __init__(self, limit: int, finished: Deferred[bytes]) -> None:
        self._limit, self._finished = limit, finished
        self._chunks: list[bytes] = []
        self._held = 0

    def dataReceived(self, data: bytes) -> None:
        self._held += len(data)
        if self._held > self._limit:
            self._chunks.clear()
            self.abort()
        else:
            self._chunks.append(data)

    def abort(self) -> None:
        # Twisted gives a proxy of the connection here: it can abort, whatever its type.
        if (transport := self.transport) is not None:
            abort: Callable[[], None] | None = getattr(
                transport, "abortConnection", None
            )
            (abort or transport.loseConnection)()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if self._finished.called:
            return
        if self._held > self._limit:
            self._finished.errback(BodyTooLarge(f"more than {self._limit} bytes"))
        elif isinstance(reason.value, ResponseDone):
            self._finished.callback(b"".join(self._chunks))
        else:
            # Also where the length was never told (PotentialDataLoss): a body that
            # may lack its end is not taken for a whole one.
            self._finished.errback(BodyCutShort(f"after {self._held} bytes"))


def read_body(
    reactor: IReactorTime, response: IResponse, *, seconds: float, limit: int
) -> Deferred[bytes]:
    """The whole body of at most *limit* bytes, within *seconds*.

    Raises :class:`BodyTooLarge`, :class:`BodyCutShort` or ``DeadlinePassed``; the
    connection is then dropped, since what follows on it belongs to nobody.
    """
    finished: Deferred[bytes] = Deferred(lambda _: collector.abort())
    collector = _Collector(limit, finished)
    response.deliverBody(collector)  # type: ignore[no-untyped-call]  # Twisted's
    return with_deadline(reactor, seconds, "the body", finished)
