"""A crowd of strangers cannot take all of a process's connections."""

from __future__ import annotations

import subprocess
import sys

import pytest
from foolscap.api import Referenceable
from foolscap.util import allocate_tcp_port
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import clientFromString, serverFromString
from twisted.internet.error import CannotListenError
from twisted.internet.protocol import Factory, Protocol
from twisted.trial.unittest import TestCase

from lae_protocol.process.crowd import BoundedEndpoint
from lae_protocol.process.tub import make_tub


class Greeter(Protocol):
    def connectionMade(self) -> None:
        self.transport.write(b"welcome")


class Visitor(Protocol):
    def __init__(self) -> None:
        self.told: Deferred[bytes] = Deferred()

    def dataReceived(self, data: bytes) -> None:
        if not self.told.called:
            self.told.callback(data)

    def connectionLost(self, reason=None) -> None:
        if not self.told.called:
            self.told.callback(b"")


class CrowdTests(TestCase):
    async def listen(self, most: int) -> int:
        inner = serverFromString(reactor, "tcp:0:interface=127.0.0.1")
        port = await BoundedEndpoint(reactor, inner, most).listen(
            Factory.forProtocol(Greeter)
        )
        self.addCleanup(port.stopListening)
        return port.getHost().port

    async def visit(self, port: int) -> tuple[Visitor, bytes]:
        endpoint = clientFromString(reactor, f"tcp:127.0.0.1:{port}")
        visitor = await endpoint.connect(Factory.forProtocol(Visitor))
        self.addCleanup(visitor.transport.abortConnection)
        return visitor, await visitor.told

    async def test_most(self) -> None:
        """One too many is closed at once, and may come when another has left."""
        port = await self.listen(2)
        first, told = await self.visit(port)
        self.assertEqual(told, b"welcome")
        self.assertEqual((await self.visit(port))[1], b"welcome")
        self.assertEqual((await self.visit(port))[1], b"")
        gone: Deferred[None] = Deferred()
        first.connectionLost = lambda reason=None: gone.callback(None)
        first.transport.loseConnection()
        await gone
        while (told := (await self.visit(port))[1]) != b"welcome":
            self.assertEqual(told, b"")

    async def test_under_foolscap(self) -> None:
        """A Tub on a bounded endpoint negotiates, answers and ends as on any other."""
        number = allocate_tcp_port()
        inner = serverFromString(reactor, f"tcp:{number}:interface=127.0.0.1")
        server, client = make_tub(), make_tub()
        server.listenOn(BoundedEndpoint(reactor, inner, 10))
        server.setLocation(f"127.0.0.1:{number}")
        for tub in (server, client):
            tub.startService()
            self.addCleanup(tub.stopService)
        furl = server.registerReference(Referenceable(), "named")
        reference = await client.getReference(furl)
        self.assertEqual(reference.getRemoteTubID(), server.getTubID())

    async def test_port_in_use(self) -> None:
        """A Tub whose port is somebody else's does not start; it would hear nobody."""
        number = await self.listen(1)
        inner = serverFromString(reactor, f"tcp:{number}:interface=127.0.0.1")
        tub = make_tub()
        tub.listenOn(BoundedEndpoint(reactor, inner, 10))
        self.addCleanup(tub.stopService)
        self.assertRaises(CannotListenError, tub.startService)


PROGRAM = """
import resource, sys
soft, hard, most = map(int, sys.argv[1:])
resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
from lae_protocol.process.crowd import room_for
print(room_for(most), resource.getrlimit(resource.RLIMIT_NOFILE)[0])
"""


@pytest.mark.parametrize(
    ("soft", "hard", "room", "limit"),
    [(300, 4096, 1000, 2256), (300, 1024, 384, 1024), (4000, 4096, 1000, 4000)],
)
def test_files_are_left(soft, hard, room, limit) -> None:
    """A crowd cannot take the files that the process needs for its work; the limit is
    raised as far as that goes, and never lowered.
    """
    argv = [sys.executable, "-c", PROGRAM, str(soft), str(hard), "1000"]
    told = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=True)
    assert told.stdout.split() == [str(room), str(limit)]
