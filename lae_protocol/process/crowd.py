"""A limit on connections, before anybody has said who they are."""

from __future__ import annotations

import resource
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import (
    IListeningPort,
    IProtocolFactory,
    IReactorFDSet,
    IStreamServerEndpoint,
)
from twisted.internet.protocol import Factory
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

#: Files beside connections: the journal, what we ask of others, threads, logs.
SPARE = 256
#: The daemon has two ports; neither's crowd may take the other's files, or the rest.
PORTS = 2


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


class _Bounded(Factory):
    """Lets *inner* build protocols while there are few enough connections.

    They are counted at the reactor.  To wrap each protocol would be simpler, but
    Foolscap exchanges its protocol for another one when it has negotiated.
    """

    noisy = False
    _log = Logger()

    def __init__(
        self, reactor: IReactorFDSet, inner: IProtocolFactory, most: int
    ) -> None:
        self._reactor, self._inner, self._most = reactor, inner, most
        self.port: IListeningPort | None = None
        self._full = False

    def buildProtocol(self, addr: Any) -> Any:
        """A protocol, or None: the connection is then closed at once."""
        readers = self._reactor.getReaders()
        now = sum(getattr(r, "server", None) is self.port for r in readers)
        if now >= self._most:
            if not self._full:
                self._log.warn("{count} connections: no more are taken", count=now)
            self._full = True
            return None
        self._full = False
        return self._inner.buildProtocol(addr)

    def doStart(self) -> None:
        """Start both."""
        super().doStart()  # type: ignore[no-untyped-call]
        self._inner.doStart()

    def doStop(self) -> None:
        """Stop both."""
        super().doStop()  # type: ignore[no-untyped-call]
        self._inner.doStop()


@implementer(IStreamServerEndpoint)
class BoundedEndpoint:
    """An endpoint that takes at most *most* connections at the same time, fewer where
    the process may not open so many files.
    """

    def __init__(
        self, reactor: IReactorFDSet, inner: IStreamServerEndpoint, most: int
    ) -> None:
        self._reactor, self._inner, self._most = reactor, inner, most

    def listen(self, factory: IProtocolFactory) -> Deferred[IListeningPort]:
        """Listen; see :class:`IStreamServerEndpoint`.

        Raises at once where the port cannot be had: a Tub looks at no Deferred, and
        its process would say that it is ready and hear nobody.
        """
        bounded = _Bounded(self._reactor, factory, room_for(self._most))

        def listening(port: IListeningPort) -> IListeningPort:
            bounded.port = port
            return port

        waiting: Deferred[Any] = self._inner.listen(bounded)
        if isinstance(waiting.result if waiting.called else None, Failure):
            failed: list[Failure] = []
            waiting.addErrback(failed.append)
            failed[0].raiseException()
        return waiting.addCallback(listening)
