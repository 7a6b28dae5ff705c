"""What strangers cost a node: real sockets against a real node, which serves a client
of PyPI meanwhile.
"""

from __future__ import annotations

import contextlib
import re
import select
import socket
import ssl
import time
import uuid
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from http.client import HTTPSConnection
from pathlib import Path
from typing import Any

import pytest
from attrs import define
from foolscap.api import RemoteException
from foolscap.banana import int2b128
from foolscap.tokens import STRING
from twisted.internet.defer import Deferred
from twisted.trial.unittest import TestCase

from lae_protocol.process.crowd import CrowdLimits
from lae_protocol.process.tub import make_tub
from lae_storage.server.keys import si_text

from .conftest import NodeProcess, S3Server, VanillaClient

#: Seconds that the node of these tests waits for a stranger.
PATIENCE = 2.0
LIMITS = CrowdLimits()
MB = 1024 * 1024


def _no_checks() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


@define
class Besieged:
    """A node, its client, and ways to be a stranger to it."""

    node: NodeProcess
    client: VanillaClient

    @property
    def furl(self) -> str:
        (server,) = self.node.found.values()
        furl: str = server["ann"]["anonymous-storage-FURL"]
        return furl

    def memory(self) -> int:
        """The node's resident bytes."""
        assert self.node.process is not None
        status = Path(f"/proc/{self.node.process.pid}/status").read_text()
        found = re.search(r"VmRSS:\s+(\d+)", status)
        assert found is not None
        return int(found[1]) * 1024

    def connect(self, source: str = "127.0.0.1") -> socket.socket:
        """A connection that has said nothing."""
        return socket.create_connection(("127.0.0.1", self.node.port), 10, (source, 0))

    def version(self) -> float:
        """Ask for the version as clients do each second; the seconds it takes."""
        began = time.monotonic()
        swissnum = self.furl.rpartition("/")[2].encode()
        asking = HTTPSConnection(
            "127.0.0.1", self.node.port, timeout=10, context=_no_checks()
        )
        known = {"Authorization": f"Tahoe-LAFS {b64encode(swissnum).decode()}"}
        asking.request("GET", "/storage/v1/version", headers=known)
        assert asking.getresponse().status == 200
        asking.close()
        return time.monotonic() - began

    def serves(self) -> None:
        """The client stores and reads, and versions are told at once."""
        data = uuid.uuid4().bytes * 10_000
        assert self.client.ask("GET", f"/uri/{self.client.store(data)}") == data
        assert self.version() < 2

    def open_connections(self) -> int:
        """How many the node has."""
        # Local address, state 01 is established; the node's end has its port.
        lines = Path("/proc/net/tcp").read_text().splitlines()[1:]
        port = f":{self.node.port:04X}"
        return sum(
            words[1].endswith(port) and words[3] == "01"
            for words in map(str.split, lines)
        )


@pytest.fixture(scope="module")
def besieged(
    tmp_path_factory: pytest.TempPathFactory, seaweed: S3Server
) -> Iterator[Besieged]:
    folder = tmp_path_factory.mktemp("besieged")
    bucket = f"grid-{uuid.uuid4().hex}"
    seaweed.make_bucket(bucket)
    node = NodeProcess(
        folder / "node", seaweed.endpoint, bucket, (f"patience={PATIENCE}",)
    )
    client = VanillaClient(folder / "client")
    with ExitStack() as ending:
        ending.callback(node.kill)
        ending.callback(client.stop)
        node.start()
        client.start(node.found, foolscap=False)
        made = Besieged(node, client)
        client.find_node()
        yield made


@pytest.fixture(scope="class")
def to_besiege(request: pytest.FixtureRequest, besieged: Besieged) -> None:
    """Give a TestCase class the node as ``besieged``."""
    request.cls.besieged = besieged


def _ended(connection: socket.socket, seconds: float = 10) -> bool:
    """Whether the other end closes it in time."""
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        if select.select([connection], [], [], left)[0]:
            try:
                if not connection.recv(65536):
                    return True
            except ConnectionError:
                return True
    return False


def _hello() -> bytes:
    """The first bytes of a TLS handshake."""
    outgoing = ssl.MemoryBIO()
    connection = _no_checks().wrap_bio(ssl.MemoryBIO(), outgoing)
    with pytest.raises(ssl.SSLWantReadError):
        connection.do_handshake()
    return outgoing.read()


@pytest.mark.parametrize("said", [b"", b"GET /id/", "hello"])
@pytest.mark.parametrize("source", ["127.0.0.1", "127.0.0.7"])
def test_five_hundred_that_only_wait(
    besieged: Besieged, said: bytes | str, source: str
) -> None:
    """500 connections that say nothing, or begin and go silent, keep no client out and
    no version waiting, nor do those from the client's own address; they are kept in
    little memory, and none for long, and of another address' only few.
    """
    words = _hello() if said == "hello" else said
    assert isinstance(words, bytes)
    besieged.serves()
    before = besieged.memory()
    with ExitStack() as closing:
        for _ in range(500):
            connection = closing.enter_context(besieged.connect(source))
            with contextlib.suppress(ConnectionError):
                connection.send(words)
        besieged.serves()
        assert besieged.memory() - before < 48 * MB
        # The client has some of its own.
        known = source == "127.0.0.1"
        most = 500 if known else LIMITS.strangers_per_address
        assert besieged.open_connections() < most + 20
        assert _ended(connection, PATIENCE + 10)
        besieged.serves()


def test_a_flood_of_handshakes(besieged: Besieged) -> None:
    """From an address where nobody belongs only so many connections are taken at once;
    clients elsewhere do not feel it.
    """
    taken = 0
    for _ in range(int(LIMITS.burst) + 200):
        with besieged.connect("127.0.0.9") as connection:
            try:
                connection.send(b"GET /id/x\r\n\r\n")
                # Told that there is no such Tub, or closed with nothing said.
                taken += bool(connection.recv(100))
            except ConnectionError:
                continue
    assert LIMITS.burst / 2 < taken < LIMITS.burst + 150
    besieged.serves()


def test_a_slow_loris(besieged: Besieged) -> None:
    """Who sends a header byte by byte is let go in the same time as who is silent."""
    began = time.monotonic()
    with _no_checks().wrap_socket(besieged.connect()) as connection:
        connection.send(b"GET /storage/v1/version HTTP/1.1\r\nHost: ")
        while not _ended(connection, 0.2):
            assert time.monotonic() < began + PATIENCE + 10
            try:
                connection.send(b"x")
            except OSError:
                break
    assert time.monotonic() - began > PATIENCE / 2


def _pour(connection: Any, amount: int, piece: bytes = b"x" * 65536) -> int:
    """Send so much; how much the other end's system took before it closed."""
    sent = 0
    connection.settimeout(10)
    try:
        while sent < amount:
            sent += connection.send(piece)
    except OSError:
        return sent
    return sent


def _over_tls(besieged: Besieged) -> Any:
    return _no_checks().wrap_socket(besieged.connect())


@pytest.mark.parametrize(
    ("connect", "said"),
    [
        (_over_tls, b"GET /storage/v1/version HTTP/1.1\r\nX-Long: "),
        (_over_tls, b"GET /"),
        (_over_tls, b"GET /storage/v1/version HTTP/1.1\r\n" + b"a: b\r\n" * 100),
        (Besieged.connect, b"GET /id/"),
        (Besieged.connect, b"\x16\x03\x01\xff\xff\x01"),
    ],
    ids=["header", "path", "many-headers", "negotiation", "handshake"],
)
def test_a_hundred_megabytes_before_a_word(
    besieged: Besieged, connect: Callable[[Besieged], Any], said: bytes
) -> None:
    """A head of 100 MB, in whatever phase, is cut off at its beginning, and is in no
    memory.
    """
    before = besieged.memory()
    with connect(besieged) as connection:
        connection.send(said)
        piece = b"a: b\r\n" * 10_000 if b"a: b" in said else b"x" * 65536
        assert _pour(connection, 100 * MB, piece) < 10 * MB
    assert besieged.memory() - before < 8 * MB
    besieged.serves()


def test_a_body_without_the_swissnum(besieged: Besieged) -> None:
    """Without the swissnum a long body is refused before it is sent, and one that is
    sent all the same is cut off.
    """
    before = besieged.memory()
    path = f"/storage/v1/mutable/{si_text(b'i' * 16)}/read-test-write"
    head = f"POST {path} HTTP/1.1\r\nHost: h\r\nContent-Length: 900000000\r\n\r\n"
    with _no_checks().wrap_socket(besieged.connect()) as connection:
        connection.send(head.encode())
        assert connection.recv(1000).startswith(b"HTTP/1.1 401 ")
        assert _pour(connection, 100 * MB) < 10 * MB
    assert besieged.memory() - before < 8 * MB
    besieged.serves()


@pytest.mark.usefixtures("to_besiege")
class FoolscapTests(TestCase):
    besieged: Besieged

    async def stranger(self) -> Any:
        """A connection of Foolscap that has negotiated, and names nothing rightly."""
        tub = make_tub()
        tub.startService()
        self.addCleanup(tub.stopService)
        with self.assertRaises(RemoteException):
            await tub.getReference(self.besieged.furl[:-5] + "wrong")
        (broker,) = tub.brokers.values()
        return broker

    def gone(self, broker: Any) -> Deferred[None]:
        gone: Deferred[None] = Deferred()
        broker.notifyOnDisconnect(lambda: gone.callback(None))
        return gone

    async def test_one_that_names_nothing(self) -> None:
        """Who negotiates and knows no name is let go in time; who knows one stays."""
        tub = make_tub()
        tub.startService()
        self.addCleanup(tub.stopService)
        known = await tub.getReference(self.besieged.furl)
        await self.gone(await self.stranger())
        version = await known.callRemote("get_version")
        self.assertIn(b"application-version", version)

    async def test_long_tokens(self) -> None:
        """A token of 50 MB, and many short ones, are cut off and kept nowhere."""
        before = self.besieged.memory()
        for many in (False, True):
            broker = await self.stranger()
            gone = self.gone(broker)
            write = broker.transport.write
            if many:
                # Each adds a word to what the peer's Foolscap knows.
                for n in range(20_000):
                    number = broker.sendOpen()
                    for token in (b"add-vocab", n, b"%0900d" % n):
                        broker.sendToken(token)
                    broker.sendClose(number)
            else:
                broker.sendOpen()
                for token in (b"call", 7, 0, b"getReferenceByName", 1):
                    broker.sendToken(token)
                int2b128(50 * MB, write)
                write(STRING)
                for _ in range(100):
                    write(b"x" * 500_000)
            await gone
        self.assertLess(self.besieged.memory() - before, 8 * MB)
        self.besieged.version()
