"""Attacks on the site: whoever floods it is refused early, cheaply, and alone."""

from __future__ import annotations

import re
import tracemalloc
from typing import Any

import pytest
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.error import ConnectionDone
from twisted.internet.testing import StringTransport
from twisted.logger import globalLogPublisher
from twisted.python.failure import Failure

from lae_protocol.process.resources import config_folder
from lae_site.admission import LARGE_BODIES, LARGE_BODIES_EACH, LONGEST_DELAY
from lae_site.http_server import ARRIVES_WITHIN

HEAD = b"POST %s HTTP/1.1\r\nHost: s4.example.org\r\nContent-Length: %d\r\n%s\r\n"
FORM = b"Content-Type: application/x-www-form-urlencoded\r\n"


class Connection:
    """One connection of an attacker, who sends what no browser would."""

    def __init__(self, world: Any, host: str = "203.0.113.66") -> None:
        kind = IPv6Address if ":" in host else IPv4Address
        peer = kind("TCP", host, 40000)
        self.protocol = world.visitor.factory.buildProtocol(peer)
        if self.protocol is None:
            return
        self.transport = StringTransport(peerAddress=peer)
        self.protocol.makeConnection(self.transport)

    @property
    def hung_up_on(self) -> bool:
        """Whether the site ended the connection."""
        return bool(self.transport.disconnecting)

    def leave(self) -> None:
        """Hang up."""
        self.protocol.connectionLost(Failure(ConnectionDone()))

    def send(self, data: bytes) -> bytes:
        """Send, and return what came back so far."""
        self.protocol.dataReceived(data)
        return self.transport.value()


@pytest.fixture
def told() -> Any:
    """The lines of the log that operators see."""
    lines: list[str] = []

    def watch(event: Any) -> None:
        if event["log_level"].name == "info" and "what" in event:
            lines.append(event["log_format"].format(**event))

    globalLogPublisher.addObserver(watch)
    yield lines
    globalLogPublisher.removeObserver(watch)


@pytest.mark.parametrize("path", [b"/", b"/signup", b"/nothing", b"/webhook/stripes"])
def test_a_large_body_is_refused_before_it_is_read(world, path) -> None:
    """The head alone is answered with our page, whatever the route; the connection
    ends, so that no body is waited for.
    """
    attacker = Connection(world)
    got = attacker.send(HEAD % (path, 16 * 1024 + 1, b"Expect: 100-continue\r\n"))
    assert got.startswith(b"HTTP/1.1 413 ")
    assert b"This request is too large" in got
    assert b"\r\nContent-Security-Policy: default-src 'none'" in got
    assert attacker.hung_up_on


def test_a_body_of_unknown_length_is_refused(world) -> None:
    """Chunks could come without end: neither a form nor a webhook is sent so."""
    for path in (b"/signup", b"/webhook/stripe"):
        got = Connection(world).send(
            b"POST %s HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" % path
        )
        assert got.startswith(b"HTTP/1.1 411 ")


def test_a_body_in_bounds_is_taken(world) -> None:
    """16 KB is read by any route, and 512 KB is by Stripe's webhook."""
    answer = world.visitor.ask("POST", "/webhook/stripe", b"x" * 512 * 1024)
    assert answer.status == 400
    assert answer.text == "no signature\n"
    assert world.visitor.ask("POST", "/signup", b"x" * 16 * 1024).status == 400


def test_a_body_is_not_parsed_before_a_route_asks(world, monkeypatch) -> None:
    """A webhook that says that it is a form is not taken apart as one."""

    def parse(*_: object, **__: object) -> None:
        raise AssertionError("parsed")

    monkeypatch.setattr("twisted.web.http.parse_qs", parse)
    monkeypatch.setattr("twisted.web.http._getMultiPartArgs", parse)
    for kind in (
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=b",
    ):
        answer = world.visitor.ask(
            "POST", "/webhook/stripe", b"&" * 9_000, {"Content-Type": kind}
        )
        assert answer.status == 400


def test_half_bodies_are_bounded_in_memory(world) -> None:
    """Of 300 half webhooks of one network a few are waited for, and of many networks a
    few more: not the 140 MB that they say they will send.
    """
    head = HEAD % (b"/webhook/stripe", 512 * 1024, b"")

    def count_waiting(connections: list[Connection]) -> int:
        """Send half of each; for how many the site waits to send the other half."""
        for one in connections:
            one.send(head)
            if not one.hung_up_on:
                one.send(bytes(500_000))
        held.append(tracemalloc.get_traced_memory()[0])
        world.clock.advance(LONGEST_DELAY)
        return sum(not one.transport.value() for one in connections)

    held: list[int] = []
    tracemalloc.start()
    try:
        near = [Connection(world, "203.0.113.66") for _ in range(90)]
        assert count_waiting(near) == LARGE_BODIES_EACH
        far = [Connection(world, f"198.51.100.{n}") for n in range(210)]
        assert count_waiting(far) == LARGE_BODIES - LARGE_BODIES_EACH
    finally:
        tracemalloc.stop()
    assert max(held) < 32 * 1024 * 1024
    for connection in near + far:
        connection.leave()
    assert count_waiting([Connection(world)])


def test_a_half_body_is_bounded_in_time(world) -> None:
    """Whoever sends a byte now and then gains no time by it."""
    attacker = Connection(world)
    attacker.send(HEAD % (b"/signup", 1000, FORM))
    for _ in range(ARRIVES_WITHIN // 10):
        assert not attacker.hung_up_on
        attacker.send(b"x")
        world.clock.advance(10)
    assert attacker.hung_up_on


def test_a_slow_head_is_bounded_in_time(world) -> None:
    """So is a head that comes byte by byte, also as the second on its connection."""
    attacker = Connection(world)
    attacker.send(b"GET /health/site HTTP/1.1\r\nHost: x\r\n\r\n")
    attacker.send(b"GET / HTTP/1.1\r\nHost: x\r\n")
    for _ in range(ARRIVES_WITHIN // 10):
        assert not attacker.hung_up_on
        attacker.send(b"X-More: x\r\n")
        world.clock.advance(10)
    assert attacker.hung_up_on


def test_each_request_has_its_own_time(world) -> None:
    """Who kept the connection idle before has as long as others to send a request."""
    visitor = Connection(world, "192.0.2.7")
    visitor.send(b"GET /health/site HTTP/1.1\r\nHost: x\r\n\r\n")
    for _ in range(2):
        world.clock.advance(ARRIVES_WITHIN - 1)
        assert not visitor.hung_up_on
        visitor.send(b"GET /health/site HTTP/1.1\r\n")
        world.clock.advance(ARRIVES_WITHIN - 1)
        assert not visitor.hung_up_on
        assert visitor.send(b"Host: x\r\n\r\n").endswith(b"}\n")
    world.clock.advance(ARRIVES_WITHIN)
    assert visitor.hung_up_on


def test_one_networks_requests_do_not_keep_others_out(world, told) -> None:
    """Whoever asks without end is told to wait, and for how long; others are served,
    and so is Stripe.  The log says it in a few lines.
    """
    attacker = world.stranger("203.0.113.66")
    statuses = [attacker.get("/health/site").status for _ in range(219)]
    assert statuses == [200] * 200 + [429] * 19
    refused = attacker.get("/signup")
    assert refused.headers["retry-after"] == "1"
    assert "Too many requests from your network" in refused.text
    assert world.visitor.get("/signup").status == 200
    webhook = [attacker.ask("POST", "/webhook/stripe").status for _ in range(50)]
    assert webhook == [400] * 50
    line = "GET %s refused: 429; not told before: %d"
    assert told == [line % ("/health/site", 0)] * 19 + [line % ("/signup", 0)]
    world.clock.advance(5)
    assert [attacker.get("/signup").status for _ in range(51)][50] == 429
    world.clock.advance(6)
    assert [attacker.get("/signup").status for _ in range(61)][60] == 429
    assert told[20:] == [line % ("/signup", 1)]
    world.clock.advance(6)
    assert [attacker.get("/").status for _ in range(61)][60] == 429
    assert told[21:] == [line % ("/", 0)]


def test_who_is_refused_again_and_again_is_answered_late(world) -> None:
    """Of one network twenty refusals are told at once, and then two a second, each ten
    seconds late at most; meanwhile nothing is read of the connection.  Another network
    is answered at once, and so is this one when it has rested.
    """

    def attack(host: str, many: int) -> list[Connection]:
        connections = [Connection(world, host) for _ in range(many)]
        for one in connections:
            one.send(HEAD % (b"/nowhere", 500_000, b""))
        return connections

    def count_answered() -> int:
        return sum(one.hung_up_on for one in attackers)

    attackers = attack("203.0.113.66", 60)
    assert count_answered() == 20
    states = [one.transport.producerState for one in attackers]
    assert states[20:] == ["paused"] * 40
    for answered in (21, 22, 23):
        world.clock.advance(0.5)
        assert count_answered() == answered
        assert attackers[answered - 1].transport.value().startswith(b"HTTP/1.1 413 ")
    assert attack("198.51.100.1", 1)[0].hung_up_on
    attackers[30].leave()
    world.clock.advance(LONGEST_DELAY - 1.5)
    assert count_answered() == 59
    assert not attackers[30].transport.value()
    world.clock.advance(LONGEST_DELAY)
    assert attack("203.0.113.66", 1)[0].hung_up_on


def test_webhooks_have_a_pace_of_their_own(world) -> None:
    """Fifty come at once, and ten a second, whatever a page's pace is; Stripe
    sends again what is refused.
    """
    stripe = world.stranger("203.0.113.7")
    for count in (50, 10):
        answers = [stripe.ask("POST", "/webhook/stripe") for _ in range(count + 1)]
        assert [one.status for one in answers] == [400] * count + [429]
        assert answers[-1].headers["retry-after"] == "1"
        assert stripe.get("/health/site").status == 200
        world.clock.advance(1)


def test_behind_a_proxy_the_visitors_are_counted(worlds) -> None:
    """The proxy's own address is not whom requests are counted for, nor connections."""
    world = worlds(proxies=1, requests_per_second=1, connections_per_network=2)
    proxy = world.stranger("127.0.0.1")
    for host, seen in (("203.0.113.66", [200] * 20 + [429]), ("198.51.100.1", [200])):
        asked = [
            proxy.get("/health/site", **{"X-Forwarded-For": host}).status for _ in seen
        ]
        assert asked == seen
    assert all(Connection(world, "127.0.0.1").protocol for _ in range(50))


def test_one_network_cannot_take_all_connections(world, told) -> None:
    """The site without a proxy counts connections by network, whatever addresses of it
    they come from; one that ends makes room.
    """
    taken = [Connection(world, f"2001:db8::{n:x}") for n in range(1, 201)]
    assert sum(c.protocol is not None for c in taken) == 100
    assert Connection(world, "2001:db8:0:1::1").protocol is not None
    assert told[0].startswith("a connection refused: too many from its network")
    taken[0].leave()
    assert Connection(world, "2001:db8::ffff").protocol is not None
    assert Connection(world, "2001:db8::ffff").protocol is None


@pytest.mark.parametrize(
    "sent",
    [
        b"nonsense\r\n\r\n",
        b"GET / HTTP/1.1\r\nno colon\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: minus\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"x" * 20_000 + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\n"
        + b"".join(b"X: %d\r\n" % n for n in range(600))
        + b"\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: s4.example.org\r\nHost: s4.example.org\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: evil.example\r\nHost: s4.example.org\r\n\r\n",
    ],
)
def test_what_is_not_http_is_answered_once_with_our_headers(world, sent) -> None:
    """Twisted's own refusals, and a Host that is missing or there twice, look like all
    of our answers.
    """
    attacker = Connection(world)
    got = attacker.send(sent)
    assert got.startswith(b"HTTP/1.1 400 ")
    assert got.count(b"HTTP/1.1") == 1
    head = got.partition(b"\r\n\r\n")[0].lower()
    for name in world.visitor.get("/").headers:
        if name not in ("date", "content-length", "cache-control"):
            assert b"\r\n" + name.encode() + b": " in head
    assert b"includesubdomains" in head
    assert b"<h1>" in got
    assert attacker.hung_up_on


@pytest.mark.parametrize("method", ["OPTIONS", "GET"])
def test_the_whole_server_is_no_resource(world, method) -> None:
    """What asks for "*" gets an answer of ours, not of Twisted."""
    answer = world.visitor.ask(method, "*")
    assert answer.status in (404, 405)
    assert "content-security-policy" in answer.headers


def test_a_403_leaves_a_line_in_the_log(world, told) -> None:
    """Whoever acts without an owner's cookie is seen by the operators, with no address
    or query.
    """
    signup_id = world.signed_up()
    answer = world.stranger().post(f"/signup/{signup_id}/pay?x=private", {"token": "a"})
    assert answer.status == 403
    assert told == [f"POST /signup/{signup_id}/pay refused: 403; not told before: 0"]


def test_what_fills_memory_ends_its_own_process() -> None:
    """Each unit that ships says how much memory its process may have at most."""
    units = list((config_folder() / "systemd").glob("*.service"))
    assert len(units) == 3
    for unit in units:
        assert re.search(r"^MemoryMax=\d+[MG]$", unit.read_text(), re.MULTILINE)
