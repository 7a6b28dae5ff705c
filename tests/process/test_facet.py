"""A facet is called over real Foolscap, whatever the state of its process."""

from __future__ import annotations

from typing import Any, ClassVar

from attrs import define
from foolscap.api import Referenceable, RemoteException
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.trial.unittest import TestCase

from lae_localcloud.ports import free_ports
from lae_protocol import wire
from lae_protocol.furl import Furl
from lae_protocol.messages import AskDoors, Refused
from lae_protocol.process.answer import Answering, Refusal
from lae_protocol.process.call import (
    Facet,
    FacetAway,
    FacetRefused,
    FacetSlow,
    ask,
)
from lae_protocol.process.tub import make_tub
from lae_protocol.question import Question
from lae_protocol.remote import questions


@define(frozen=True)
class Told:
    word: str


@define(frozen=True)
class Ask(Question[Told]):
    LARGEST: ClassVar[int] = 256
    LARGEST_ANSWER: ClassVar[int] = 256

    word: str


@define(frozen=True)
class AskAtLength(Question[Told]):
    """Lets Foolscap take more than what :class:`Ask` may be."""

    word: str


ECHO = questions("RIEcho.test.s4", Ask | AskAtLength)


async def answer(question: Ask | AskAtLength, request_id: str) -> Any:
    match question.word:
        case "hang":
            await Deferred()
        case "fail":
            raise RuntimeError("the secret is 42")
        case "refuse":
            raise Refusal(Refused("full", "no room"))
        case "return a refusal":
            return Refused("full", "no room")
        case "another answer":
            return question
        case "much":
            return Told("x" * 300)
        case "id":
            return Told(request_id)
    return Told(question.word)


class Broken(Referenceable):
    """A facet with a bug outside of what :class:`Answering` guards."""

    def remote_ask(self) -> None:
        raise KeyError("the secret is 42")


class FacetTests(TestCase):
    async def listening(self, port: int = 0, pem: bytes | None = None) -> Any:
        tub = make_tub(pem=pem)
        port = port or free_ports(1)[0]
        tub.listenOn(f"tcp:{port}:interface=127.0.0.1")
        tub.setLocation(f"127.0.0.1:{port}")
        tub.startService()
        return tub, port

    async def asyncSetUp(self) -> None:
        self.server, self.port = await self.listening()
        self.furl = self.server.registerReference(
            Answering(ECHO, answer), "echo"
        ).replace("tcp:", "")
        self.client = make_tub()
        self.client.startService()
        self.addCleanup(self.client.stopService)
        self.facet = Facet(reactor, self.client, Furl.parse(self.furl))
        self.facet.startService()
        self.addCleanup(self.facet.stopService)

    async def test_failures_say_nothing(self) -> None:
        """Neither the type nor the text of what failed reaches the peer: not of a name
        that is not there, nor of a bug.
        """
        await self.asyncSetUp()
        self.addCleanup(self.server.stopService)
        broken = self.server.registerReference(Broken()).replace("tcp:", "")
        raising = await self.client.getReference(broken)
        with_bug = raising.callRemote("ask")
        no_name = self.client.getReference(self.furl.replace("/echo", "/ohce"))
        for failing in (with_bug, no_name):
            with self.assertRaises(RemoteException) as raised:
                await failing
            told = raised.exception.failure
            self.assertIn("tub.CallFailed", str(told.parents[0]))
            self.assertEqual(str(told.value), "the call failed")

    async def ask(self, word: str, seconds: float = 5) -> Any:
        return await self.facet.ask(Ask(word), seconds)

    async def test_answers(self) -> None:
        """An answer, a refusal and a failure all come back as values."""
        await self.asyncSetUp()
        self.addCleanup(self.server.stopService)
        self.assertEqual(await self.ask("hello"), Told("hello"))
        for word in ("refuse", "return a refusal"):
            self.assertEqual(await self.ask(word), Refused("full", "no room"))
        failed = await self.ask("fail")
        self.assertEqual(failed.code, "try-later")
        self.assertNotIn("42", failed.message)
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)
        self.assertEqual((await self.ask("another answer")).code, "try-later")
        self.assertEqual(len(self.flushLoggedErrors(TypeError)), 1)

    async def test_request_ids(self) -> None:
        """The caller's request id arrives; without one each question has its own."""
        await self.asyncSetUp()
        self.addCleanup(self.server.stopService)
        told = await self.facet.ask(Ask("id"), 5, "rq-of-the-caller")
        self.assertEqual(told, Told("rq-of-the-caller"))
        self.assertNotEqual(await self.ask("id"), await self.ask("id"))

    async def test_deadline(self) -> None:
        """A call that is never answered ends at its deadline."""
        await self.asyncSetUp()
        self.addCleanup(self.server.stopService)
        with self.assertRaises(FacetSlow):
            await self.ask("hang", 0.3)
        self.assertEqual(await self.ask("on"), Told("on"))

    async def test_too_large(self) -> None:
        """A question over its own size is not sent; one that is sent all the same, and
        an answer over its size, are refused by the other end.
        """
        await self.asyncSetUp()
        self.addCleanup(self.server.stopService)
        with self.assertRaises(FacetRefused):
            await self.ask("x" * 300)
        self.assertEqual((await self.ask("much")).code, "too-large")
        self.assertEqual(await self.facet.ask(AskAtLength("much"), 5), Told("x" * 300))
        reference = await self.client.getReference(self.furl)
        data = wire.encode(Ask("x" * 300))
        told = await reference.callRemote("ask", b"Ask", 1, b"rq1", data)
        self.assertEqual(wire.decode_answer(Ask, told).code, "too-large")

    async def test_an_answer_over_its_size(self) -> None:
        """What a peer answers over the question's size is not read."""
        await self.asyncSetUp()
        self.addCleanup(self.server.stopService)
        at_length = questions("RIEcho2.test.s4", AskAtLength)

        class Talkative(Answering):
            def remote_ask(self, *_: Any) -> bytes:
                return wire.encode_answer(Ask, Told("x" * 300))

        furl = self.server.registerReference(Talkative(at_length, answer))
        reference = await self.client.getReference(furl)
        self.assertEqual(
            await ask(reactor, reference, AskAtLength("much"), 5), Told("x" * 300)
        )
        with self.assertRaises(FacetRefused):
            await ask(reactor, reference, Ask("much"), 5)

    async def test_not_known_here(self) -> None:
        """A question that the other end does not know, or of which it knows another
        version, is refused as that.
        """
        await self.asyncSetUp()
        self.addCleanup(self.server.stopService)
        told = await self.facet.ask(AskDoors(), 5)
        self.assertEqual(told.code, "not-known-here")

        @define(frozen=True)
        class Newer(Ask):
            VERSION: ClassVar[int] = 2

        Newer.__name__ = "Ask"
        self.assertEqual((await self.facet.ask(Newer("x"), 5)).code, "version")

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
        self.server.registerReference(Answering(ECHO, answer), "echo")
        # A new Echo has another swissnum unless it is named, so name it as before.
        name = self.furl.rsplit("/", 1)[1]
        self.server.registerReference(Answering(ECHO, answer), name)
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
        self.server.registerReference(
            Answering(ECHO, answer), self.furl.rsplit("/", 1)[1]
        )
        for _ in range(40):
            try:
                told = await self.ask("three", 0.1)
            except FacetAway:
                continue
            self.assertEqual(told, Told("three"))
            return
        self.fail("never connected within 40 calls of a tenth of a second")
