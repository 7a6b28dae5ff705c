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


class _Pouring(Protocol):
    """Hands on what arrives; *finished* fires at the body's end."""

    def __init__(
        self, take: Callable[[bytes], None], finished: Deferred[int], limit: int
    ) -> None:
        self._take, self._finished, self._limit = take, finished, limit
        self._held = 0

    def dataReceived(self, data: bytes) -> None:
        self._held += len(data)
        if self._held > self._limit:
            self.abort()
        else:
            self._take(data)

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
            self._finished.callback(self._held)
        else:
            # Also where the length was never told (PotentialDataLoss): a body that
            # may lack its end is not taken for a whole one.
            self._finished.errback(BodyCutShort(f"after {self._held} bytes"))


def pour_body(
    reactor: IReactorTime,
    response: IResponse,
    take: Callable[[bytes], None],
    *,
    seconds: float,
    limit: int,
) -> Deferred[int]:
    """Hand the body's bytes to *take* as they arrive; how many, at its end.

    Raises what :func:`read_body` does; what was handed on until then was right.
    """
    finished: Deferred[int] = Deferred(lambda _: pouring.abort())
    pouring = _Pouring(take, finished, limit)
    response.deliverBody(pouring)  # type: ignore[no-untyped-call]  # Twisted's
    return with_deadline(reactor, seconds, "the body", finished)


def read_body(
    reactor: IReactorTime, response: IResponse, *, seconds: float, limit: int
) -> Deferred[bytes]:
    """The whole body of at most *limit* bytes, within *seconds*.

    Raises :class:`BodyTooLarge`, :class:`BodyCutShort` or ``DeadlinePassed``; the
    connection is then dropped, since what follows on it belongs to nobody.
    """
    chunks: list[bytes] = []
    pouring = pour_body(reactor, response, chunks.append, seconds=seconds, limit=limit)
    return pouring.addCallback(lambda _: b"".join(chunks))
