"""The daemon's Tubs over real Foolscap: who may call what, and how large it may be."""

from __future__ import annotations

import shutil
import tempfile
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from attrs import evolve
from foolscap.api import Referenceable, RemoteException, Violation
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import TestCase

from lae_flapp.desk import tubs
from lae_flapp.desk.hosts import HostDesk
from lae_flapp.desk.tubs import (
    furl_of,
    new_name,
    serve_hosts,
    serve_operators,
    serving_tub,
)
from lae_flapp.grid.furls import CustomerFurls
from lae_flapp.journal import operators
from lae_flapp.settings import TubSettings
from lae_localcloud.ports import free_ports
from lae_protocol import wire
from lae_protocol.furl import Furl
from lae_protocol.host_messages import Claim, Report
from lae_protocol.looking_messages import AskHealth
from lae_protocol.messages import AskDoors, Refused
from lae_protocol.process.backpressure import REFUSALS
from lae_protocol.process.call import FacetRefused, ask
from lae_protocol.process.tub import make_tub
from lae_protocol.secret import Secret
from tests.twins.cloud import Cloud
from tests.twins.doors import Line
from tests.twins.identities import MemoryIdentities, MemorySealer
from tests.twins.journal import open_journal

REPORT = Report("serving", datetime(2026, 11, 23, tzinfo=UTC), 0, 0, 0, None)
NO_CLAIM = Claim(b"k" * 32, b"s" * 64, "i-1", "", None)


class TubTests(TestCase):
    async def asyncSetUp(self) -> None:
        folder = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, folder)
        self.journal = open_journal(folder / "journal", Clock())
        self.addCleanup(lambda: Deferred.fromCoroutine(self.journal.close()))
        port = free_ports(1)[0]
        self.location = f"127.0.0.1:{port}"
        settings = TubSettings(f"tcp:{port}:interface=127.0.0.1", self.location)
        #: Names that the port lets in though no host has them.
        self.let_in: set[str] = set()
        self.tub = serving_tub(reactor, settings, folder / "tub.pem", self.is_live)
        doors = MemoryIdentities(Line(Cloud(), Clock()))
        self.desk = HostDesk(
            journal=self.journal,
            furls=CustomerFurls(self.journal, doors, MemorySealer()),
            sealer=MemorySealer(),
            s3_endpoint=None,
            host_furl=lambda name: furl_of(self.tub, self.location, name),
        )
        self.client = make_tub()
        for one in (self.tub, self.client):
            one.startService()
            self.addCleanup(one.stopService)

    def is_live(self, name: Secret) -> bool:
        return name.reveal() in self.let_in or self.journal.is_live(name)

    def furl(self, name: str) -> str:
        return furl_of(self.tub, self.location, name).reveal()

    async def reach(self, name: str) -> Any:
        return await self.client.getReference(self.furl(name))

    async def refused(self, name: str) -> str:
        """How a name that is not served is refused."""
        try:
            await self.reach(name)
        except RemoteException as e:
            return str(e.failure.value) + str(e.failure.type)
        raise AssertionError(f"{name} is served")

    async def ask(self, name: str, question: Any) -> Any:
        return await ask(reactor, await self.reach(name), question, 10)

    async def test_furls(self) -> None:
        """Furls of the Tub are of the plain form, and each name is another one."""
        await self.asyncSetUp()
        names = [new_name(kind) for kind in ("b", "f", "h", "o") for _ in range(3)]
        self.assertEqual(len(set(names)), 12)
        for name in names:
            furl = Furl.parse(self.furl(name))
            self.assertEqual(furl.hints, (self.location,))

    async def test_strangers(self) -> None:
        """A name that nobody was given is answered like one that is dead."""
        await self.asyncSetUp()
        serve_hosts(self.tub, self.desk, reactor.seconds)
        told = await self.ask(new_name("b"), NO_CLAIM)
        self.assertEqual(told.code, "malformed")
        told = await self.ask(new_name("h"), REPORT)
        self.assertEqual(told.code, "unknown-signup")

    async def test_an_invented_name_is_no_way_in(self) -> None:
        """Who comes by an invented name stays a stranger at the port, whose connection
        ends soon; who holds a live furl may stay.
        """
        limits = evolve(tubs.LIMITS, patience=0.5)
        self.patch(tubs, "LIMITS", limits)
        await self.asyncSetUp()
        serve_hosts(self.tub, self.desk, reactor.seconds)
        name = new_name("o")
        await self.journal.write(operators.add, "ann", Secret(name), "daemon")
        serve_operators(self.tub, lambda *_: Referenceable(), reactor.seconds)
        kept = await self.reach(name)
        other = make_tub()
        other.startService()
        self.addCleanup(other.stopService)
        stranger = await other.getReference(self.furl(new_name("h")))
        gone: Deferred[None] = Deferred()
        stranger.notifyOnDisconnect(gone.callback, None)
        await gone
        self.assertFalse(kept.tracker.broker.disconnected)

    async def test_one_host_cannot_ask_without_end(self) -> None:
        """Hundreds of calls at once over one furl are refused beyond its part, without
        a traceback in the log for each, and the last of them wait for their answer.
        """
        await self.asyncSetUp()
        serve_hosts(self.tub, self.desk, reactor.seconds)
        name = new_name("h")
        self.let_in.add(name)
        reference = await self.reach(name)
        data = wire.encode(REPORT)
        codes: Counter[str] = Counter()
        refused: Deferred[None] = Deferred()

        def answered(told: bytes) -> None:
            codes[wire.decode_answer(Report, told).code] += 1
            if codes["try-later"] == REFUSALS.burst:
                refused.callback(None)

        for _ in range(500):
            asking = reference.callRemote("ask", b"Report", 1, b"rq", data)
            asking.addCallbacks(answered, lambda _: None)
        await refused
        self.assertGreater(codes["unknown-signup"], 0)
        self.assertEqual(self.flushLoggedErrors(), [])

    async def test_names_of_another_shape(self) -> None:
        """Names that are none, or of another Tub's kinds, are all refused alike."""
        await self.asyncSetUp()
        serve_hosts(self.tub, self.desk, reactor.seconds)
        good = new_name("b")
        shapes = {
            (await self.refused(name)).replace(f"'{name[:2]}'", "")
            for name in (good[:-1], good + "a", new_name("o"), new_name("f"), "x", "b")
        }
        # Foolscap's own words, but for the two letters that it repeats.
        self.assertEqual(len(shapes), 1, shapes)

    async def test_operators_tub(self) -> None:
        """The private Tub asks the facet of an operator's name, and of no other."""
        await self.asyncSetUp()
        asked: list[str] = []

        def facet(swissnum: Any, _: Any) -> None:
            asked.append(swissnum.reveal())

        serve_operators(self.tub, facet, reactor.seconds)
        name = new_name("o")
        for one in (name, new_name("h"), new_name("b"), name + "a"):
            await self.refused(one)
        self.assertEqual(asked, [name])

    async def test_another_kind_of_facet(self) -> None:
        """A question of another facet is not known, whatever the name is."""
        await self.asyncSetUp()
        serve_hosts(self.tub, self.desk, reactor.seconds)
        for name, question in (
            (new_name("b"), REPORT),
            (new_name("b"), AskDoors()),
            (new_name("h"), AskHealth()),
        ):
            told = await self.ask(name, question)
            self.assertEqual(told.code, "not-known-here")
        # A claim may be larger than anything that a host says.
        reference = await self.reach(new_name("h"))
        small = Claim(b"k", b"s", "i", "", None)
        told = await ask(reactor, reference, small, 10)
        self.assertEqual(told.code, "not-known-here")
        large = Claim(b"k" * 20_000, b"s", "i", "", None)
        with self.assertRaises(FacetRefused):
            await ask(reactor, reference, large, 10)

    async def test_50_megabytes(self) -> None:
        """A report of 50 MB is refused by the constraint, before anybody reads it."""
        await self.asyncSetUp()
        serve_hosts(self.tub, self.desk, reactor.seconds)
        name = new_name("h")
        self.let_in.add(name)
        reference = await self.reach(name)
        # As a hostile peer would: without the interface that stops our own side.
        reference.tracker.interfaceName = None
        reference.tracker.interface = None
        hostile = reference.callRemote("ask", b"Report", 1, b"rq1", b"x" * 50_000_000)
        with self.assertRaises(RemoteException) as e:
            await hostile
        # Said by the other end, which has not stored the argument, nor says why.
        self.assertIn("CallFailed", repr(e.exception))
        # The Tub goes on for others, and for the same peer.
        told = await self.ask(name, REPORT)
        self.assertIsInstance(told, Refused)

    async def test_hostile_arguments(self) -> None:
        """Arguments of other kinds are refused by the interface; nothing is called."""
        await self.asyncSetUp()
        serve_hosts(self.tub, self.desk, reactor.seconds)
        reference = await self.reach(new_name("h"))
        reference.tracker.interfaceName = None
        reference.tracker.interface = None
        good = wire.encode(REPORT)
        for method, arguments in (
            ("ask", (b"Report", "1", b"rq1", good)),
            ("ask", (b"R" * 65, 1, b"rq1", good)),
            ("ask", ("Report", 1, b"rq1", good)),
            ("ask", (b"Report", 1, b"r" * 65, good)),
            ("ask", (b"Report", 1, b"rq1", {"a": good})),
            ("ask", (b"Report", 1, b"rq1", good, 1)),
            ("ask", ()),
            ("report", (1, b"rq1", good)),
            ("__init__", (b"Report", 1, b"rq1", good)),
        ):
            with self.assertRaises((Violation, RemoteException)):
                await reference.callRemote(method, *arguments)
        for raw_id in (b"", b"RQ", b"rq\n", b"r q"):
            data = await reference.callRemote("ask", b"Report", 1, raw_id, good)
            self.assertEqual(wire.decode_answer(Report, data).code, "malformed")
        for name, version, code in (
            (b"Report", 99, "version"),
            (b"Claim", 1, "not-known-here"),
            (b"\xff", 1, "not-known-here"),
            (b"", 1, "not-known-here"),
        ):
            data = await reference.callRemote("ask", name, version, b"rq1", good)
            self.assertEqual(wire.decode_answer(Report, data).code, code)
