"""A copy of the site that ends lets nobody down whom it took."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET

from lae_site.admission import VisitLimits
from lae_site.draining import DRAIN_WITHIN
from lae_site.http_server import WebServer

PEER = IPv4Address("TCP", "192.0.2.7", 40000)
ASKED = b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n"


class Slow(Resource):
    """Answers when it is told to."""

    isLeaf = True

    def __init__(self) -> None:
        super().__init__()
        self.waiting: list[Any] = []

    def render_GET(self, request: Any) -> Any:
        """Keep it."""
        self.waiting.append(request)
        return NOT_DONE_YET

    def answer(self) -> None:
        """The oldest that waits."""
        request = self.waiting.pop(0)
        request.setHeader(b"content-length", b"2")
        request.write(b"ok")
        request.finish()


class Browser:
    """One connection to the site."""

    def __init__(self, server: WebServer) -> None:
        self.transport = StringTransport(peerAddress=PEER)
        self.protocol = server.buildProtocol(PEER)
        self.protocol.makeConnection(self.transport)

    @property
    def hung_up_on(self) -> bool:
        return bool(self.transport.disconnecting)

    def ask(self) -> None:
        """Send one request."""
        self.protocol.dataReceived(ASKED)

    def leave(self) -> None:
        """The connection is over."""
        self.protocol.connectionLost(Failure(ConnectionDone()))


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def slow() -> Slow:
    return Slow()


@pytest.fixture
def server(clock: Clock, slow: Slow) -> WebServer:
    return WebServer(slow, clock, VisitLimits(), bad_request=b"")


def fired(waiting: Deferred[None]) -> list[Any]:
    """What came of it, once it came."""
    came: list[Any] = []
    waiting.addBoth(came.append)
    return came


def test_with_nobody_there_it_is_over_at_once(server: WebServer) -> None:
    """A copy without visitors ends at once."""
    assert fired(server.connections.drain([])) == [None]


def test_an_answer_under_way_is_finished(server: WebServer, slow: Slow) -> None:
    """Who has asked gets the whole answer, is told that the connection ends, and the
    copy waits for that.
    """
    browser = Browser(server)
    browser.ask()
    over = fired(server.connections.drain([]))
    assert over == []
    assert not browser.hung_up_on
    slow.answer()
    assert browser.transport.value().endswith(b"\r\n\r\nok")
    assert browser.hung_up_on
    browser.leave()
    assert over == [None]


def test_a_request_that_comes_late_is_answered(server: WebServer, slow: Slow) -> None:
    """A connection that was taken and has asked nothing yet may still ask, once."""
    browser = Browser(server)
    over = fired(server.connections.drain([]))
    browser.ask()
    slow.answer()
    assert b"\r\nConnection: close\r\n" in browser.transport.value()
    assert browser.transport.value().endswith(b"ok")
    assert browser.hung_up_on
    browser.leave()
    assert over == [None]


def test_who_is_idle_is_hung_up_on(server: WebServer, slow: Slow) -> None:
    """A browser that keeps its connection for later opens another one later."""
    browser = Browser(server)
    browser.ask()
    slow.answer()
    assert not browser.hung_up_on
    over = fired(server.connections.drain([]))
    assert browser.hung_up_on
    browser.leave()
    assert over == [None]


def test_a_stream_is_ended(server: WebServer, slow: Slow) -> None:
    """Live progress, which has no end of its own, is cut; the browser asks again."""
    browser = Browser(server)
    browser.ask()
    (request,) = slow.waiting
    request.write(b": still here\n\n")
    over = fired(server.connections.drain(slow.waiting))
    assert browser.hung_up_on
    browser.leave()
    assert over == [None]


def test_nobody_is_waited_for_for_ever(server: WebServer, clock: Clock) -> None:
    """Who asks nothing, or whose answer does not come, is left after some seconds."""
    silent, waiting = Browser(server), Browser(server)
    waiting.ask()
    over = fired(server.connections.drain([]))
    clock.advance(DRAIN_WITHIN - 0.1)
    assert over == []
    clock.advance(0.2)
    assert over == [None]
    silent.leave()
    waiting.leave()
