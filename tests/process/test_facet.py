"""A facet is called over real Foolscap, whatever the state of its process."""

from __future__ import annotations

from typing import Any

from attrs import define
from foolscap.api import Referenceable, RemoteInterface
from foolscap.schema import ByteStringConstraint, IntegerConstraint
from foolscap.util import allocate_tcp_port
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.trial.unittest import TestCase
from zope.interface import implementer

from lae_protocol.furl import Furl
from lae_protocol.messages import Refused
from lae_protocol.process.answer import Refusal, answers
from lae_protocol.process.call import Facet, FacetAway, FacetRefused, FacetSlow
from lae_protocol.process.tub import make_tub


@define(frozen=True)
class Ask:
    word: str


@define(frozen=True)
class Told:
    word: str


Answer = Told | Refused


class RIEcho(RemoteInterface):
    __remote_name__ = "RIEcho.test.s4"

    def echo(
        version=IntegerConstraint(),
        request_id=ByteStringConstraint(64),
        message=ByteStringConstraint(256),
    ):
        return ByteStringConstraint(256)


@implementer(RIEcho)
class Echo(Referenceable):
    def __init__(self) -> None:
        self.never: Deferred[None] = Deferred()

    @answers(1, Ask, Answer)
    async def remote_echo(self, message: Ask, request_id: str) -> Any:
        if message.word == "hang":
            await self.never
        if message.word == "fail":
            raise RuntimeError("the secret is 42")
        if message.word == "refuse":
            raise Refusal(Refused("full", "no room"))
        return Told(message.word)


class FacetTests(TestCase):
    async def listening(self, port: int = 0, pem: bytes | None = None) -> Any:
        tub = make_tub(pem=pem)
        port = port or allocate_tcp_port()
        tub.listenOn(f"tcp:{port}:interface=127.0.0.1")
        tub.setLocation(f"127.0.0.1:{port}")
        tub.startService()
        return tub, port

    async def asyncSetUp(self) -> None:
        self.server, self.port = await self.listening()
        self.furl = self.server.registerReference(Echo(), "echo").replace("tcp:", "")
        self.client = make_tub()
        self.client.startService()
        self.addCleanup(self.client.stopService)
        self.facet = Facet(reactor, self.client, Furl.parse(self.furl), 1)
        self.facet.startService()
        self.addCleanup(self.facet.stopService)

    async def ask(self, word: str, seconds: float = 5) -> Any:
        return await self.facet.call("echo", Ask(word), Answer, seconds)

    async def test_answers(self) -> None:
        """An answer, a refusal and a failure all come back as values."""
        await self.asyncSetUp()
        self.addCleanup(self.server.stopService)
        self.assertEqual(await self.ask("hello"), Told("hello"))
        self.assertEqual(await self.ask("refuse"), Refused("full", "no room"))
        failed = await self.ask("fail")
        self.assertEqual(failed.code, "try-later")
        self.assertNotIn("42", failed.message)
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)

    async def test_deadline(self) -> None:
        """A call that is never answered ends at its deadline."""
        await self.asyncSetUp()
        self.addCleanup(self.server.stopService)
        with self.assertRaises(FacetSlow):
            await self.ask("hang", 0.3)
        self.assertEqual(await self.ask("on"), Told("on"))

    async def test_too_large(self) -> None:
        """A message over the interface's size is refused before it is sent."""
        await self.asyncSetUp()
        self.addCleanup(self.server.stopService)
        with self.assertRaises(FacetRefused):
            await self.ask("x" * 1000)

    async def test_version(self) -> None:
        """A peer of another version is told so."""
        await self.asyncSetUp()
        self.addCleanup(self.server.stopService)
        other = Facet(reactor, self.client, Furl.parse(self.furl), 2)
        other.startService()
        self.addCleanup(other.stopService)
        told = await other.call("echo", Ask("x"), Answer, 5)
        self.assertEqual(told.code, "version")

    async def test_restart_of_the_other_end(self) -> None:
        """A facet works again after its process was away, without a restart here."""
        await self.asyncSetUp()
        await self.ask("one")
        pem = self.server.getCertData()
        await self.server.stopService()
        with self.assertRaises(FacetAway):
            await self.ask("two", 0.3)
        self.server, _ = await self.listening(self.port, pem)
        self.addCleanup(self.server.stopService)
        self.server.registerReference(Echo(), "echo")
        # A new Echo has another swissnum unless it is named, so name it as before.
        name = self.furl.rsplit("/", 1)[1]
        self.server.registerReference(Echo(), name)
        self.assertEqual(await self.ask("three", 10), Told("three"))

    async def test_many_callers_do_not_put_the_connection_off(self) -> None:
        """A process that is asked ten times a second connects as soon as one asked once."""
        await self.asyncSetUp()
        await self.ask("one")
        pem = self.server.getCertData()
        await self.server.stopService()
        with self.assertRaises(FacetAway):
            await self.ask("two", 1.5)
        self.server, _ = await self.listening(self.port, pem)
        self.addCleanup(self.server.stopService)
        self.server.registerReference(Echo(), self.furl.rsplit("/", 1)[1])
        for _ in range(40):
            try:
                told = await self.ask("three", 0.1)
            except FacetAway:
                continue
            self.assertEqual(told, Told("three"))
            return
        self.fail("never connected within 40 calls of a tenth of a second")
