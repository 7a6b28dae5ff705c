"""The gate before a port: connections are counted, and strangers kept short.

Whom to let in :mod:`lae_protocol.process.crowd` decides.
"""

from __future__ import annotations

import resource
from collections.abc import Callable
from typing import Any

from attrs import evolve
from foolscap.logging import log as foolscap_log
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import (
    IListeningPort,
    IProtocolFactory,
    IStreamServerEndpoint,
)
from twisted.internet.protocol import Factory
from twisted.internet.tcp import Server
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from lae_protocol.process.backpressure import Backpressure, Paused
from lae_protocol.process.crowd import Crowd, CrowdLimits, Refuse, neighbourhood

_log = Logger()
#: Files beside connections: the journal, what we ask of others, threads, logs.
SPARE = 256
#: Each process has two ports; neither's crowd may take the other's files, or the rest.
PORTS = 2
#: Connections that the system may keep for us between two turns of the reactor.
BACKLOG = 1024
#: Seconds between two words about connections that are turned away.
QUIET = 60.0


def room_for(most: int) -> int:
    """How many connections a port may take, and leave files for all that is done.

    The usual limit of 1,024 files is raised as far as the system lets us.
    """
    wanted = PORTS * most + SPARE
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    if soft == resource.RLIM_INFINITY:
        return most
    return min(most, max(1, (soft - SPARE) // PORTS))


class Guest(Server):
    """A connection at the gate; it knows what a stranger brought until now.

    To wrap each protocol would be simpler, but Foolscap exchanges its protocol for
    another one when it has negotiated, and Tahoe-LAFS for HTTPS.
    """

    def __init__(self, gate: Gate, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._gate, self._brought, self._stranger = gate, 0, True
        peer: Any = self.getPeer()  # type: ignore[no-untyped-call]
        self.name = _name(peer)
        gate.crowd.arrived(self, gate.address_of(peer))
        patience = gate.crowd.limits.patience
        self._patience = gate.reactor.callLater(patience, self.end)

    def end(self) -> None:
        """Close it at once."""
        self.abortConnection()  # type: ignore[no-untyped-call]

    def admitted(self, name: str) -> None:
        """It showed by *name* that it belongs here: it may stay."""
        if self._stranger:
            self._stranger = False
            self._stop_waiting()
            crowd, now = self._gate.crowd, self._gate.reactor.seconds()
            instead = crowd.admitted(self, now, name)
            if instead is not None:
                crowd.left(instead)
                instead.end()

    def _stop_waiting(self) -> None:
        if self._patience.active():
            self._patience.cancel()

    # Twisted tells the bytes of the wire, under TLS, nowhere else; a test would fail
    # if a release renamed this.
    def _dataReceived(self, data: bytes | None) -> Any:
        result = super()._dataReceived(data)
        if self._stranger and data:
            self._brought += len(data)
            if self._brought > self._gate.crowd.limits.unproved:
                self.end()
        return result

    def connectionLost(self, reason: Failure) -> None:
        """It is gone."""
        self._stop_waiting()
        self._gate.left(self)
        super().connectionLost(reason)


class Gate:
    """One port's gate; *admit* is for who finds out whom a connection belongs to."""

    def __init__(self, reactor: Any, limits: CrowdLimits) -> None:
        self.reactor = reactor
        self.crowd: Crowd[Guest] = Crowd(limits)
        self.backpressure = Backpressure(reactor)
        self._guests: dict[Any, Guest] = {}
        self._told = -QUIET

    def address_of(self, peer: Any) -> str:
        """Tell what the limits per address count together."""
        return neighbourhood(getattr(peer, "host", "local"))

    def comes(self, peer: Any) -> bool:
        """Decide about a connection that is to come; another may have to go for it."""
        now = self.reactor.seconds()
        verdict = self.crowd.judge(self.address_of(peer), now)
        if isinstance(verdict, Refuse):
            if now - self._told >= QUIET:
                self._told = now
                _log.warn("a connection is turned away: {why}", why=verdict.why)
            return False
        if verdict.instead is not None:
            # Counted no more from here on, whenever its end is heard of.
            self.crowd.left(verdict.instead)
            verdict.instead.end()
        return True

    def here(self, *arguments: Any) -> Guest:
        """Make the connection's transport, in the place of Twisted's own class."""
        guest = Guest(self, *arguments)
        self._guests[guest.name] = guest
        return guest

    def left(self, guest: Guest) -> None:
        """Forget it."""
        self.crowd.left(guest)
        self._guests.pop(guest.name, None)

    def admit(self, peer: Any, name: str = "") -> None:
        """The connection from *peer* has shown by *name* that it belongs here."""
        guest = self._guests.get(_name(peer))
        if guest is not None:
            guest.admitted(name)

    def note_misnaming(self, peer: Any) -> None:
        """The connection from *peer* asked for what nobody has here."""
        guest = self._guests.get(_name(peer))
        if guest is not None:
            self.crowd.misnamed(guest, self.reactor.seconds())


def _name(peer: Any) -> tuple[Any, Any]:
    return getattr(peer, "host", None), getattr(peer, "port", None)


class _Gated(Factory):
    """Lets *inner* build protocols for whom the gate lets in."""

    noisy = False

    def __init__(self, gate: Gate, inner: IProtocolFactory) -> None:
        self._gate, self._inner = gate, inner

    def buildProtocol(self, addr: Any) -> Any:
        """A protocol, or None: the connection is then closed at once."""
        return self._inner.buildProtocol(addr) if self._gate.comes(addr) else None

    def doStart(self) -> None:
        """Start both."""
        super().doStart()  # type: ignore[no-untyped-call]
        self._inner.doStart()

    def doStop(self) -> None:
        """Stop both."""
        super().doStop()  # type: ignore[no-untyped-call]
        self._inner.doStop()


@implementer(IStreamServerEndpoint)
class GatedEndpoint:
    """An endpoint of TCP with a gate before it."""

    def __init__(self, gate: Gate, inner: IStreamServerEndpoint) -> None:
        self._gate, self._inner = gate, inner

    def listen(self, factory: IProtocolFactory) -> Deferred[IListeningPort]:
        """Listen; see :class:`IStreamServerEndpoint`.

        Raises at once where the port cannot be had: a Tub looks at no Deferred, and
        its process would say that it is ready and hear nobody.
        """

        def listening(port: Any) -> IListeningPort:
            port.transport = self._gate.here
            # Twisted's 50 are full at once in a crowd, and who finds no place there
            # tries again a second later; the system lowers it as it must.
            port.socket.listen(BACKLOG)
            found: IListeningPort = port
            return found

        waiting: Deferred[Any] = self._inner.listen(_Gated(self._gate, factory))
        if isinstance(waiting.result if waiting.called else None, Failure):
            failed: list[Failure] = []
            waiting.addErrback(failed.append)
            failed[0].raiseException()
        return waiting.addCallback(listening)


def gate_before(
    reactor: Any,
    tub: Any,
    limits: CrowdLimits,
    is_live: Callable[[str], bool] = lambda _: True,
) -> Gate:
    """Put a gate before every port of a Tub that has not started yet.

    Who names something that the Tub has is admitted, if the name *is_live*: a Tub may
    also answer names that are good for nothing, to say so.
    """
    room = room_for(limits.most)
    gate = Gate(reactor, _within(limits, room))
    for listener in tub.getListeners():
        # Foolscap takes an endpoint when a listener is made, and gives none back.
        listener._ep = GatedEndpoint(gate, listener._ep)  # noqa: SLF001
    admit_who_names(tub, gate, is_live)
    return gate


def admit_who_names(tub: Any, gate: Gate, is_live: Callable[[str], bool]) -> None:
    """Have the Tub's peers admitted when they ask for something by its right name."""

    class AdmittingBroker(Paused, tub.brokerClass):
        """The Tub's, which tells the gate, and pauses who is refused."""

        backpressure = gate.backpressure

        def remote_getReferenceByName(self, name: Any) -> Any:
            peer = self.transport.getPeer()
            try:
                found = super().remote_getReferenceByName(name)
            except Exception:
                gate.note_misnaming(peer)
                raise
            asked = name if isinstance(name, str) else name.decode("ascii")
            if is_live(asked):
                gate.admit(peer, asked)
            else:
                gate.note_misnaming(peer)
            return found

    tub.brokerClass = AdmittingBroker
    # Foolscap keeps its last hundred words of each kind in memory, and in them all that
    # strangers sent.
    negotiation = "foolscap.negotiation"
    foolscap_log.set_generation_threshold(foolscap_log.OPERATIONAL, negotiation)


def _within(limits: CrowdLimits, room: int) -> CrowdLimits:
    """The limits, where the process may open no more files than *room* a port."""
    return evolve(
        limits,
        most=min(limits.most, room),
        strangers=min(limits.strangers, max(1, room // 2)),
    )
