from __future__ import annotations

from ipaddress import ip_address

import pytest
from cryptography import x509
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.trial.unittest import TestCase
from twisted.web.client import (
    Agent,
    BrowserLikePolicyForHTTPS,
    HTTPConnectionPool,
    ResponseNeverReceived,
    readBody,
)
from twisted.web.iweb import IPolicyForHTTPS
from twisted.web.resource import Resource
from twisted.web.server import Site
from zope.interface.verify import verifyObject

from lae_protocol.aws.agent import pooled_agent
from lae_protocol.aws.tls import NamedPeerPolicy


class Hello(Resource):
    isLeaf = True

    def render_GET(self, request: object) -> bytes:
        return b"hello"


class NamedPeerTests(TestCase):
    @pytest.fixture(autouse=True)
    def _authority(self, authority: object) -> None:
        self.authority = authority

    def serve(self, names: list[x509.GeneralName] | None) -> int:
        context = self.authority.server("localhost", names)
        port = reactor.listenSSL(0, Site(Hello()), context, interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        return port.getHost().port

    async def get(self, agent: Agent, port: int, host: str = "localhost") -> bytes:
        self.addCleanup(agent._pool.closeCachedConnections)
        response = await agent.request(b"GET", f"https://{host}:{port}/".encode())
        return await readBody(response)

    def ours(self) -> Agent:
        return pooled_agent(reactor, NamedPeerPolicy(self.authority.trust_root))

    async def test_named_certificate_is_accepted(self) -> None:
        """A certificate of the trusted authority with the host's name is accepted."""
        port = self.serve([x509.DNSName("localhost")])
        self.assertEqual(await self.get(self.ours(), port), b"hello")

    async def test_address_is_accepted(self) -> None:
        """A certificate whose subjectAltName has the address is accepted for it."""
        port = self.serve([x509.IPAddress(ip_address("127.0.0.1"))])
        self.assertEqual(await self.get(self.ours(), port, "127.0.0.1"), b"hello")

    async def test_certificate_without_names_is_refused(self) -> None:
        """A trusted certificate without any subjectAltName is refused."""
        port = self.serve(None)
        await self.assertFailure(
            Deferred.fromCoroutine(self.get(self.ours(), port)), ResponseNeverReceived
        )
        self.flushLoggedErrors()

    async def test_certificate_of_another_host_is_refused(self) -> None:
        """The common name counts for nothing: another subjectAltName is refused."""
        port = self.serve([x509.DNSName("other.example")])
        await self.assertFailure(
            Deferred.fromCoroutine(self.get(self.ours(), port)), ResponseNeverReceived
        )

    async def test_unknown_authority_is_refused(self) -> None:
        """A good name of an authority that is not trusted is refused."""
        port = self.serve([x509.DNSName("localhost")])
        await self.assertFailure(
            Deferred.fromCoroutine(self.get(pooled_agent(reactor), port)),
            ResponseNeverReceived,
        )

    async def test_why_the_policy_is_needed(self) -> None:
        """Twisted's own policy accepts a certificate without subjectAltName: when
        this fails, the wrapper can go.
        """
        port = self.serve(None)
        stock = Agent(
            reactor,
            BrowserLikePolicyForHTTPS(self.authority.trust_root),
            pool=HTTPConnectionPool(reactor),
        )
        self.assertEqual(await self.get(stock, port), b"hello")
        self.flushLoggedErrors()

    def test_interface(self) -> None:
        """It is a policy as Twisted's agents want one."""
        verifyObject(IPolicyForHTTPS, NamedPeerPolicy())
