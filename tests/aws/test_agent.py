from __future__ import annotations

import pytest
from twisted.internet import reactor
from twisted.internet.defer import Deferred, fail
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase, TestCase
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgent, IBodyProducer
from twisted.web.resource import Resource
from twisted.web.server import Site
from zope.interface.verify import verifyObject

from lae_protocol.aws.agent import BytesBody, SigningAgent, fetch, pooled_agent
from lae_protocol.aws.credentials import NoRole, StaticCredentials
from lae_protocol.aws.sigv4 import UNSIGNED_PAYLOAD, Credentials, Scope, Unsignable
from lae_protocol.process.deadline import DeadlinePassed
from lae_protocol.secret import Secret

SCOPE = Scope("eu-west-1", "s3")
KEYS = StaticCredentials(Credentials("AKIA", Secret("s"), Secret("session")))


class SigningAgentTests(SynchronousTestCase):
    @pytest.fixture(autouse=True)
    def _doubles(self, doubles: object) -> None:
        self.doubles = doubles
        self.clock = Clock()
        self.clock.advance(1_795_000_000)
        self.inner = doubles.Agent(lambda sent: doubles.Response(200, b"yes"))

    def agent(self, source: object = KEYS) -> SigningAgent:
        return SigningAgent(self.clock, self.inner, source, SCOPE, patience=7)

    def header(self, name: str) -> str | None:
        values = self.inner.sent[-1].headers.getRawHeaders(name)
        return values[0] if values else None

    def test_signs(self) -> None:
        """A request goes out with the region, the day, the token and a signature."""
        done = self.agent().request(b"GET", b"https://h:8443/b/k")
        self.assertEqual(self.successResultOf(done).code, 200)
        authorization = self.header("authorization") or ""
        self.assertIn("AKIA/20261118/eu-west-1/s3/aws4_request", authorization)
        self.assertIn("x-amz-security-token", authorization)
        self.assertEqual(self.header("x-amz-security-token"), "session")
        self.assertEqual(self.header("host"), "h:8443")

    def test_signs_with_the_true_time(self) -> None:
        """What AWS compares with its own clock is this machine's, not the reactor's."""
        agent = SigningAgent(
            self.clock, self.inner, KEYS, SCOPE, wall=lambda: self.clock.seconds() + 60
        )
        agent.request(b"GET", b"https://h/")
        self.assertEqual(self.header("x-amz-date"), "20261118T110740Z")

    def test_replaces_others_signatures(self) -> None:
        """What a client computed itself, with whatever keys, does not get out."""
        stale = Headers({"authorization": ["AWS4 old"], "x-amz-date": ["old"]})
        self.agent().request(b"GET", b"https://h/", stale)
        self.assertEqual(self.header("x-amz-date"), "20261118T110640Z")
        self.assertNotIn("old", self.header("authorization") or "")

    def test_unsigned_payload(self) -> None:
        """A body may go unsigned where the caller says so."""
        said = Headers({"x-amz-content-sha256": [UNSIGNED_PAYLOAD]})
        done = self.agent().request(b"PUT", b"https://h/", said, BytesBody(b"x"))
        self.successResultOf(done)
        self.assertEqual(self.header("x-amz-content-sha256"), UNSIGNED_PAYLOAD)

    def test_body_without_hash_is_refused(self) -> None:
        """A body whose hash nobody told is not sent as if it were empty."""
        done = self.agent().request(b"PUT", b"https://h/", None, BytesBody(b"x"))
        self.failureResultOf(done, Unsignable)
        self.assertEqual(self.inner.sent, [])

    def test_no_headers_in_time(self) -> None:
        """A service that never answers is given up, and the request cancelled."""
        cancelled: list[object] = []
        self.inner.answer = lambda sent: Deferred(cancelled.append)
        done = self.agent().request(b"GET", b"https://h/")
        self.clock.advance(7)
        self.failureResultOf(done, DeadlinePassed)
        self.assertEqual(len(cancelled), 1)

    def test_no_credentials(self) -> None:
        """Without credentials nothing is sent."""

        class Nobody:
            def current(self) -> Deferred:
                return fail(NoRole("none"))

        self.failureResultOf(
            self.agent(Nobody()).request(b"GET", b"https://h/"), NoRole
        )
        self.assertEqual(self.inner.sent, [])

    def test_fetch_hashes_the_body(self) -> None:
        """fetch() sends the body with its hash and gives the whole answer."""
        done = fetch(self.clock, self.agent(), "POST", "https://h/", body=b"abc")
        answer = self.successResultOf(done)
        self.assertEqual((answer.status, answer.body), (200, b"yes"))
        self.assertEqual(
            self.header("x-amz-content-sha256"),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
        )

    def test_interfaces(self) -> None:
        """The agent and the body are what Twisted's clients take."""
        verifyObject(IAgent, self.agent())
        verifyObject(IBodyProducer, BytesBody(b""))


class Peer(Resource):
    isLeaf = True

    def __init__(self) -> None:
        super().__init__()
        self.ports: set[int] = set()
        self.bodies: list[bytes] = []

    def render(self, request: object) -> bytes:
        self.ports.add(request.getClientAddress().port)
        self.bodies.append(request.content.read())
        return b"ok"


class PoolTests(TestCase):
    async def test_one_connection_serves_many_requests(self) -> None:
        """Five requests, one after the other, go over one kept connection."""
        peer = Peer()
        port = reactor.listenTCP(0, Site(peer), interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        inner = pooled_agent(reactor)
        self.addCleanup(inner._pool.closeCachedConnections)
        agent = SigningAgent(reactor, inner, KEYS, SCOPE)
        url = f"http://127.0.0.1:{port.getHost().port}/"
        for number in range(5):
            answer = await fetch(reactor, agent, "PUT", url, body=b"%d" % number)
            self.assertEqual(answer.body, b"ok")
        self.assertEqual(len(peer.ports), 1)
        self.assertEqual(peer.bodies, [b"0", b"1", b"2", b"3", b"4"])
