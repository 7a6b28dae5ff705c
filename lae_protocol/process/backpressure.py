"""Backpressure: who is refused again and again is heard more and more slowly.

A call that is refused costs nearly as much as a call that is answered: Foolscap parses
it, and sends the refusal.  So a connection whose calls are refused is paused: nothing
more is read from it, what was read before waits, and TCP keeps its other end from
sending.  Other connections go on, those of the same furl too.
"""

from __future__ import annotations

from typing import Any

from attrs import Factory, define
from foolscap.eventual import eventually
from twisted.internet.interfaces import IDelayedCall, IReactorTime

from lae_protocol.process.crowd import neighbourhood
from lae_protocol.process.peer import ASKED_FROM, Peer
from lae_protocol.process.token_bucket import Paces, Rate

#: How many refusals one furl is told at one address: scripts meet a few.
REFUSALS = Rate(per_second=2.0, burst=20.0)
#: The longest pause.  A peer takes us for dead when it hears nothing for 30 s.
LONGEST_PAUSE = 10.0  # s


@define(eq=False)
class Backpressure:
    """The debts of those who are refused, by furl and address, over all connections:
    who connects again gains nothing.
    """

    reactor: IReactorTime
    _debts: Paces = Factory(lambda: Paces(REFUSALS))

    def pause_after_refusal(self, name: str, address: str) -> float:
        """Count one refusal; the seconds for which the connection is not heard."""
        now = self.reactor.seconds()
        return self._debts.of(f"{name} {address}", now).owe(1, now, LONGEST_PAUSE)


class Paused:
    """To be mixed in before Foolscap's broker: pauses its connection.

    ``doNextCall``, ``_doCall``, ``finish``, ``inboundDeliveryQueue``, ``disconnected``
    and ``transport`` are Foolscap's.
    """

    backpressure: Backpressure
    transport: Any
    inboundDeliveryQueue: list[Any]
    disconnected: bool
    _pause: IDelayedCall | None = None
    _unread = False

    def _doCall(self, delivery: Any) -> Any:
        """Tell who answers the call over which connection it came."""
        address = neighbourhood(getattr(self.transport.getPeer(), "host", "local"))

        def refused(name: str) -> None:
            self._hear_later(self.backpressure.pause_after_refusal(name, address))

        token = ASKED_FROM.set(Peer(address, refused))
        try:
            return super()._doCall(delivery)  # type: ignore[misc]
        finally:
            ASKED_FROM.reset(token)

    def _hear_later(self, seconds: float) -> None:
        if seconds > 0 and self._pause is None and not self.disconnected:
            reactor = self.backpressure.reactor
            self._pause = reactor.callLater(seconds, self._hear_again)
            if not self._unread:
                self._unread = True
                self.transport.pauseProducing()

    def _hear_again(self) -> None:
        self._pause = None
        eventually(self.doNextCall)

    def doNextCall(self) -> None:
        """Answer the next call, unless there is a pause; read when none is left."""
        if self._pause is not None:
            return
        super().doNextCall()  # type: ignore[misc]
        if self._pause is None and not self.inboundDeliveryQueue:
            self._read_again()

    def _read_again(self) -> None:
        if self._unread:
            self._unread = False
            self.transport.resumeProducing()

    def finish(self, why: Any) -> None:
        """The connection is gone, or is to end: TLS reads its peer's farewell."""
        pause, self._pause = self._pause, None
        if pause is not None:
            pause.cancel()
        self._read_again()
        super().finish(why)  # type: ignore[misc]
