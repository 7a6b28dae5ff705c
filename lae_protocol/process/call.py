"""Calling a facet of another process, with a deadline, whatever its state."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from foolscap.api import DeadReferenceError, RemoteException, Violation
from foolscap.tokens import NoLocationHintsError
from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectError, ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from lae_protocol import wire
from lae_protocol.furl import Furl
from lae_protocol.ids import new_request_id
from lae_protocol.messages import Refused
from lae_protocol.process.deadline import DeadlinePassed, with_deadline
from lae_protocol.process.tub import RECONNECT_AT_MOST, RECONNECT_FIRST
from lae_protocol.question import A, Question


class FacetError(Exception):
    """A facet did not answer as it should; the text tells no argument."""


class FacetAway(FacetError):
    """Not connected, or the connection was lost under way: the call may have happened.

    Try again, with the same message.
    """


class FacetSlow(FacetAway):
    """No answer within the deadline: the call may have happened."""


class FacetRefused(FacetError):
    """The peer broke the protocol, or says that we did.  Do not try again."""


#: Seconds within which a reconnector that is reset tries again.
SOON = 1.0

_LOST = (
    DeadReferenceError,
    ConnectionDone,
    ConnectionLost,
    ConnectError,
    NoLocationHintsError,
)


async def ask(
    reactor: IReactorTime,
    reference: Any,
    question: Question[A],
    seconds: float,
    request_id: str | None = None,
) -> A | Refused:
    """Ask a live reference; *request_id* is the caller's, or made.

    Raises :class:`FacetAway`, :class:`FacetSlow` or :class:`FacetRefused`.
    """
    kind, data = type(question), wire.encode(question)
    name = kind.__name__
    if len(data) > kind.LARGEST:
        raise FacetRefused(f"{name}: too large to be asked")
    told = reference.callRemote(
        "ask",
        name.encode(),
        kind.VERSION,
        (request_id or new_request_id()).encode(),
        data,
    )
    try:
        answer = await with_deadline(reactor, seconds, name, told)
    except DeadlinePassed as e:
        raise FacetSlow(str(e)) from None
    except _LOST as e:
        raise FacetAway(f"{name}: connection lost ({type(e).__name__})") from None
    except (RemoteException, Violation) as e:
        raise FacetRefused(f"{name}: refused ({type(e).__name__})") from None
    if len(answer) > kind.LARGEST_ANSWER:
        raise FacetRefused(f"{name}: the answer is too large")
    try:
        return wire.decode_answer(kind, answer)
    except wire.MalformedMessage as e:
        raise FacetRefused(f"{name}: {e}") from None


class Facet(Service):
    """A facet behind a furl, for as long as this process lives.

    It reconnects by itself, after at most 5 s; a call made meanwhile waits for the
    connection within its own deadline.  *tub* is started by whoever made it.
    """

    _log = Logger()

    def __init__(self, reactor: IReactorTime, tub: Any, furl: Furl) -> None:
        self._reactor, self._tub, self._furl = reactor, tub, furl
        self._reference: Any = None
        self._reconnector: Any = None
        self._waiting: list[Deferred[Any]] = []
        self._on_connect: list[Callable[[], object]] = []

    @property
    def connected(self) -> bool:
        """Whether a call could go out now."""
        return self._reference is not None

    def on_connect(self, listener: Callable[[], object]) -> None:
        """Have *listener* called after each new connection."""
        self._on_connect.append(listener)

    def startService(self) -> None:
        """Begin to connect."""
        super().startService()  # type: ignore[no-untyped-call]
        self._reconnector = self._tub.connectTo(self._furl.reveal(), self._came)
        self._reconnector.maxDelay = RECONNECT_AT_MOST
        self._reconnector.initialDelay = RECONNECT_FIRST

    def stopService(self) -> None:
        """Stop connecting; calls that wait for a connection end as away."""
        super().stopService()  # type: ignore[no-untyped-call]
        self._reconnector.stopConnecting()
        waiting, self._waiting = self._waiting, []
        for waiter in waiting:
            waiter.errback(FacetAway("stopping"))

    def _came(self, reference: Any) -> None:
        self._reference = reference
        reference.notifyOnDisconnect(self._went, reference)
        self._log.info("connected to {furl}", furl=str(self._furl))
        waiting, self._waiting = self._waiting, []
        for waiter in waiting:
            waiter.callback(reference)
        for listener in self._on_connect:
            listener()

    def _went(self, reference: Any) -> None:
        if self._reference is reference:
            self._reference = None
            self._log.warn("lost {furl}", furl=str(self._furl))

    def _hurry(self) -> None:
        """Have the next try within a second, and never put it off: Foolscap's reset
        starts that second anew, so many callers would keep it from ever passing.
        """
        if self._reconnector is None:
            return
        left = self._reconnector.getDelayUntilNextAttempt()
        if left is not None and left > SOON:
            self._reconnector.reset()

    def _connection(self, seconds: float) -> Deferred[Any]:
        waiter: Deferred[Any] = Deferred(self._waiting.remove)
        self._waiting.append(waiter)
        self._hurry()
        return with_deadline(self._reactor, seconds, "connection", waiter)

    async def ask(
        self, question: Question[A], seconds: float, request_id: str | None = None
    ) -> A | Refused:
        """Ask; see :func:`ask`.  *seconds* covers the wait for a connection too."""
        reference, started = self._reference, self._reactor.seconds()
        if reference is None:
            try:
                reference = await self._connection(seconds)
            except DeadlinePassed:
                name = type(question).__name__
                raise FacetAway(f"{name}: not connected") from None
        left = max(0.01, seconds - (self._reactor.seconds() - started))
        return await ask(self._reactor, reference, question, left, request_id)
