"""The gate before real ports: a crowd of strangers keeps nobody out."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
from foolscap.api import Referenceable, RemoteException
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import clientFromString, serverFromString
from twisted.internet.error import CannotListenError
from twisted.internet.protocol import Factory, Protocol
from twisted.trial.unittest import TestCase

from lae_localcloud.ports import free_ports
from lae_protocol.process.crowd import CrowdLimits
from lae_protocol.process.gate import Gate, GatedEndpoint, gate_before
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


def make_and_start(case: TestCase) -> Any:
    tub = make_tub()
    tub.startService()
    case.addCleanup(tub.stopService)
    return tub


class GateTests(TestCase):
    async def listen(self, most: int, patience: float = 60) -> int:
        inner = serverFromString(reactor, "tcp:0:interface=127.0.0.1")
        limits = CrowdLimits(most, most, most, most, patience, 10)
        self.gate = Gate(reactor, limits)
        self.greeted = Factory.forProtocol(Greeter)
        port = await GatedEndpoint(self.gate, inner).listen(self.greeted)
        self.addCleanup(port.stopListening)
        return port.getHost().port

    async def visit(self, port: int) -> tuple[Visitor, bytes]:
        endpoint = clientFromString(reactor, f"tcp:127.0.0.1:{port}")
        visitor = await endpoint.connect(Factory.forProtocol(Visitor))
        self.addCleanup(visitor.transport.abortConnection)
        return visitor, await visitor.told

    def gone(self, visitor: Visitor) -> Deferred[None]:
        """When the other end lets the visitor go."""
        gone: Deferred[None] = Deferred()
        visitor.connectionLost = lambda reason=None: gone.callback(None)
        return gone

    async def test_the_admitted_stay(self) -> None:
        """With all places taken by who belongs here, one too many is closed at once,
        and may come when another has left.
        """
        port = await self.listen(2)
        first, told = await self.visit(port)
        self.assertEqual(told, b"welcome")
        second, told = await self.visit(port)
        self.assertEqual(told, b"welcome")
        for visitor in (first, second):
            self.gate.admit(visitor.transport.getHost())
        self.assertEqual((await self.visit(port))[1], b"")
        gone: Deferred[None] = Deferred()
        first.connectionLost = lambda reason=None: gone.callback(None)
        first.transport.loseConnection()
        await gone
        while (told := (await self.visit(port))[1]) != b"welcome":
            self.assertEqual(told, b"")

    async def test_the_longest_stranger_makes_room(self) -> None:
        """Of too many strangers the first is let go, and the admitted are not."""
        port = await self.listen(3)
        kept, _ = await self.visit(port)
        self.gate.admit(kept.transport.getHost())
        first, _ = await self.visit(port)
        gone = self.gone(first)
        second, _ = await self.visit(port)
        self.assertEqual((await self.visit(port))[1], b"welcome")
        await gone
        self.assertEqual((len(self.gate.crowd), self.gate.crowd.strangers), (3, 2))
        del second

    async def test_patience(self) -> None:
        """A stranger is let go in time; who was admitted in time stays."""
        port = await self.listen(5, patience=0.2)
        kept, _ = await self.visit(port)
        self.gate.admit(kept.transport.getHost())
        stranger, _ = await self.visit(port)
        await self.gone(stranger)
        self.assertEqual(len(self.gate.crowd), 1)

    async def test_a_stranger_who_brings_much(self) -> None:
        """Who sends more than a stranger may is let go; the admitted send what they
        like.
        """
        port = await self.listen(5)
        kept, _ = await self.visit(port)
        self.gate.admit(kept.transport.getHost())
        kept.transport.write(b"x" * 1000)
        stranger, _ = await self.visit(port)
        stranger.transport.write(b"x" * 11)
        await self.gone(stranger)
        self.assertEqual(len(self.gate.crowd), 1)

    async def test_under_foolscap(self) -> None:
        """A Tub on a bounded endpoint negotiates, answers and ends as on any other."""
        number = free_ports(1)[0]
        inner = serverFromString(reactor, f"tcp:{number}:interface=127.0.0.1")
        server, client = make_tub(), make_tub()
        server.listenOn(inner)
        gate = gate_before(reactor, server, CrowdLimits())
        server.setLocation(f"127.0.0.1:{number}")
        for tub in (server, client):
            tub.startService()
            self.addCleanup(tub.stopService)
        furl = server.registerReference(Referenceable(), "named")
        reference = await client.getReference(furl)
        self.assertEqual(reference.getRemoteTubID(), server.getTubID())
        # Who knew the name is no stranger any more.
        self.assertEqual((len(gate.crowd), gate.crowd.strangers), (1, 0))
        with self.assertRaises(RemoteException):
            await make_and_start(self).getReference(furl[:-1] + "x")
        self.assertEqual((len(gate.crowd), gate.crowd.strangers), (2, 1))

    async def test_port_in_use(self) -> None:
        """A Tub whose port is somebody else's does not start; it would hear nobody."""
        number = await self.listen(1)
        inner = serverFromString(reactor, f"tcp:{number}:interface=127.0.0.1")
        tub = make_tub()
        tub.listenOn(inner)
        gate_before(reactor, tub, CrowdLimits())
        self.addCleanup(tub.stopService)
        self.assertRaises(CannotListenError, tub.startService)


PROGRAM = """
import resource, sys
soft, hard, most = map(int, sys.argv[1:])
resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
from lae_protocol.process.gate import room_for
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
