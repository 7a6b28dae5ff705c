"""Connections to AWS take much at once, as far as Twisted lets them."""

from __future__ import annotations

from typing import Any

from twisted.internet import reactor
from twisted.internet.abstract import FileDescriptor
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import TestCase
from twisted.web.client import URI

from lae_protocol.aws.connections import AT_ONCE, PATIENCE, Endpoints
from lae_protocol.aws.tls import NamedPeerPolicy


class Connections(TestCase):
    async def test_more_at_once(self) -> None:
        """More than by itself, and under the name that Twisted reads."""
        port = reactor.listenTCP(  # type: ignore[attr-defined]
            0, Factory.forProtocol(Protocol), interface="127.0.0.1"
        )
        self.addCleanup(port.stopListening)
        uri = URI.fromBytes(b"http://127.0.0.1:%d/" % port.getHost().port)
        endpoint = Endpoints(reactor, NamedPeerPolicy()).endpointForURI(uri)
        connected: Any = await endpoint.connect(Factory.forProtocol(Protocol))
        self.assertEqual(connected.transport.SEND_LIMIT, AT_ONCE)
        self.assertLess(FileDescriptor.SEND_LIMIT, AT_ONCE)
        connected.transport.abortConnection()

    def test_it_gives_up(self) -> None:
        """Where nobody answers, after :data:`PATIENCE`."""
        clock = MemoryReactorClock()
        uri = URI.fromBytes(b"http://127.0.0.1:1/")
        endpoint = Endpoints(clock, NamedPeerPolicy()).endpointForURI(uri)
        connecting = endpoint.connect(Factory.forProtocol(Protocol))
        self.assertNoResult(connecting)
        clock.advance(1)
        self.assertEqual(
            [timeout for _, _, _, timeout, _ in clock.tcpClients], [PATIENCE]
        )
