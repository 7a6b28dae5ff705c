"""The agent: who we are, the claim, the reports."""

from __future__ import annotations

import json
import random
from datetime import date
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from attrs import evolve
from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)
from foolscap.api import Referenceable, Tub
from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase, TestCase

from lae_protocol.aws.metadata import MetadataUnavailable
from lae_protocol.host_messages import (
    Claimed,
    DayCounts,
    Desired,
    Report,
)
from lae_protocol.messages import Refused, Requests
from lae_protocol.process.call import FacetAway
from lae_protocol.secret import Secret
from lae_storage.agent.claiming import (
    LONGEST_PAUSE,
    REFUSED_PAUSE,
    Claiming,
    make_claim,
)
from lae_storage.agent.instance import Instance, this_instance
from lae_storage.agent.reporting import LOOK_EVERY, Reporting, Usage
from lae_storage.agent.tub import agent_tub
from lae_storage.agent.wish import ProgramFiles

DOCUMENT = '{"pendingTime": "2026-11-23T17:00:00Z"}'
SIGNED = json.dumps({"document": DOCUMENT, "signature": "c2lnbmVk"})
INSTANCE = Instance("i-1", "2026-11-23T17:00:00Z", SIGNED)


class Metadata:
    """Answers from a dictionary."""

    def __init__(self, found: dict[str, bytes]) -> None:
        self.found = found

    def get(self, path: str) -> Deferred[bytes | None]:
        return succeed(self.found.get(path.removeprefix("/latest/")))


class InstanceTests(SynchronousTestCase):
    def instance(self, **found: bytes) -> Any:
        names = {
            "name": "meta-data/instance-id",
            "document": "dynamic/instance-identity/document",
            "signed": "dynamic/instance-identity/signature",
        }
        metadata = Metadata({names[k]: v for k, v in found.items()})
        return Deferred.fromCoroutine(this_instance(metadata))

    def test_on_aws(self) -> None:
        """With a document, the launch time is its pending time, letter by letter."""
        found = self.successResultOf(
            self.instance(
                name=b"i-1\n",
                document=DOCUMENT.encode(),
                signed=b"c2ln\nbmVk\n",
            )
        )
        self.assertEqual(found, INSTANCE)

    def test_without_documents(self) -> None:
        """A cloud without identity documents gives an id alone."""
        found = self.successResultOf(self.instance(name=b"i-1"))
        self.assertEqual(found, Instance("i-1", "", None))

    def test_without_an_id(self) -> None:
        """An instance without an id is no instance yet."""
        self.failureResultOf(self.instance(), MetadataUnavailable)

    def test_damaged_document(self) -> None:
        """A document that cannot be read is not passed over."""
        self.failureResultOf(
            self.instance(name=b"i-1", document=b"{}"), MetadataUnavailable
        )


class ScriptedFacet:
    """A facet that gives the answers of a list, and raises those that are errors."""

    def __init__(self, *answers: Any) -> None:
        self.answers, self.asked = list(answers), []
        self.listeners: list[Any] = []

    def on_connect(self, listener: Any) -> None:
        self.listeners.append(listener)

    async def ask(self, question: Any, _: float) -> Any:
        self.asked.append(question)
        answered = self.answers.pop(0)
        if isinstance(answered, Deferred):
            answered = await answered
        if isinstance(answered, Exception):
            raise answered
        return answered


@pytest.mark.usefixtures("host_doubles")
class ClaimTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.claim = make_claim(Ed25519PrivateKey.generate(), INSTANCE)
        self.claimed = Claimed(self.an_identity(), None, Secret("pb://host"))

    def claiming(self, *answers: Any) -> tuple[ScriptedFacet, Deferred[Claimed]]:
        facet = ScriptedFacet(*answers)
        claiming = Claiming(self.clock, random.Random(1), facet)
        return facet, Deferred.fromCoroutine(claiming.claim(self.claim))

    def test_signature(self) -> None:
        """The claim is signed over instance and launch time with the volume's key."""
        Ed25519PublicKey.from_public_bytes(self.claim.public_key).verify(
            self.claim.signature, b"s4 claim v1\0i-1\x002026-11-23T17:00:00Z"
        )
        self.assertEqual(self.claim.identity_document, SIGNED)

    def test_lost_answer(self) -> None:
        """A claim whose answer was lost is made again, the same, until it is heard."""
        facet, claimed = self.claiming(
            FacetAway("lost"), Refused("try-later", ""), self.claimed
        )
        self.assertNoResult(claimed)
        self.clock.pump([LONGEST_PAUSE] * 2)
        self.assertEqual(self.successResultOf(claimed), self.claimed)
        self.assertEqual(facet.asked, [self.claim] * 3)

    def test_refusal_is_no_storm(self) -> None:
        """A host that is refused asks once a minute, and goes on when it is let in."""
        facet, claimed = self.claiming(Refused("not-now", ""), self.claimed)
        self.clock.advance(REFUSED_PAUSE - 1)
        self.assertEqual(len(facet.asked), 1)
        self.clock.advance(1)
        self.assertEqual(self.successResultOf(claimed), self.claimed)

    def test_stopped(self) -> None:
        """A claim that is given up asks no more."""
        facet, claimed = self.claiming(FacetAway("away"), self.claimed)
        claimed.cancel()
        self.failureResultOf(claimed)
        self.clock.advance(REFUSED_PAUSE)
        self.assertEqual(len(facet.asked), 1)


REQUESTS = (Requests("put", 3),)


class Node:
    """A node that remembers what it was told."""

    def __init__(self) -> None:
        self.obeyed: list[Desired] = []

    def usage(self) -> Usage:
        return Usage(5, 1, 0, 6, (DayCounts(date(2026, 11, 23), 1, 2, REQUESTS),))

    def obey(self, desired: Desired) -> None:
        self.obeyed.append(desired)


DESIRED = Desired("suspended", 7)


class ReportingTests(SynchronousTestCase):
    def reporting(self, *answers: Any) -> tuple[ScriptedFacet, Reporting]:
        self.clock = Clock()
        facet = ScriptedFacet(*answers)
        place = Path(self.mktemp()).resolve()
        self.told = place / "program.json"
        self.program = ProgramFiles(self.told, place / "program")
        reporting = Reporting(self.clock, facet, 60, self.program)
        reporting.startService()
        self.addCleanup(lambda: reporting.running and reporting.stopService())
        return facet, reporting

    def heard(self, facet: ScriptedFacet) -> list[str]:
        return [report.phase for report in facet.asked]

    def test_what_it_cannot_do(self) -> None:
        """What the node cannot do is told, and whose doing it is; what the host itself
        cannot do goes before that, and is no client's.
        """
        capped = Usage(problem="leases take 9 bytes", capped=True)
        for own, told in (
            (None, ("leases take 9 bytes", True)),
            ("self-test: broken", ("self-test: broken", False)),
        ):
            facet, reporting = self.reporting(DESIRED)
            node: Any = SimpleNamespace(usage=lambda: capped, obey=lambda _: None)
            reporting.about(node)
            reporting.phase("ready", own)
            (report,) = facet.asked
            self.assertEqual((report.problem, report.capped), told)

    def test_in_their_order(self) -> None:
        """Phases reached while a report is under way are told after it, in order."""
        first: Deferred[Any] = Deferred()
        facet, reporting = self.reporting(first, DESIRED, DESIRED)
        for phase in ("starting", "serving", "ready"):
            reporting.phase(phase)
        self.assertEqual(self.heard(facet), ["starting"])
        first.callback(DESIRED)
        self.assertEqual(self.heard(facet), ["starting", "serving", "ready"])

    def test_again_and_again(self) -> None:
        """The last phase is reported again each minute, with the usage of then."""
        facet, reporting = self.reporting(DESIRED, DESIRED, DESIRED)
        reporting.phase("ready")
        reporting.about(Node())
        self.clock.pump([60, 60])
        self.assertEqual(self.heard(facet), ["ready"] * 3)
        report = facet.asked[-1]
        self.assertEqual((report.used_bytes, report.noncurrent_bytes), (5, 6))
        self.assertEqual(report.days[0].requests, REQUESTS)
        self.assertIsInstance(report, Report)

    def test_daemon_away(self) -> None:
        """Phases that nobody heard are told when the daemon is back."""
        away = FacetAway("away")
        facet, reporting = self.reporting(away, away, DESIRED, DESIRED)
        reporting.phase("starting")
        reporting.phase("serving")
        (reconnected,) = facet.listeners
        reconnected()
        self.assertEqual(self.heard(facet), ["starting"] * 3 + ["serving"])

    def test_obeys(self) -> None:
        """What the daemon desires reaches the node."""
        _, reporting = self.reporting(DESIRED)
        node = Node()
        reporting.about(node)
        reporting.phase("ready")
        self.assertEqual(node.obeyed, [DESIRED])

    def test_refusal_blocks_nothing(self) -> None:
        """A report that is refused is not told again; the next one is."""
        facet, reporting = self.reporting(Refused("malformed", ""), DESIRED)
        reporting.phase("starting")
        reporting.phase("serving")
        self.assertEqual(self.heard(facet), ["starting", "serving"])

    def test_stopped(self) -> None:
        """After the stop nothing is reported."""
        facet, reporting = self.reporting(DESIRED)
        reporting.stopService()
        self.clock.advance(600)
        self.assertEqual(facet.asked, [])

    def root_tells(self, **told: Any) -> None:
        self.told.parent.mkdir(exist_ok=True)
        known = {"program": "r@1", "release": 4, "trouble": "", "refused": ""}
        self.told.write_text(json.dumps(known | told))

    def programs(self, facet: ScriptedFacet) -> list[Any]:
        return [
            (r.program, r.release, r.program_trouble, r.program_refused)
            for r in facet.asked
        ]

    def test_what_root_tells_is_reported_at_once(self) -> None:
        """Which program runs is reported, and within seconds what came of a wish."""
        facet, reporting = self.reporting(*[DESIRED] * 3)
        reporting.phase("ready")
        self.root_tells()
        self.clock.pump([LOOK_EVERY] * 3)
        self.root_tells(trouble="below-floor", refused="r@0")
        self.clock.pump([LOOK_EVERY] * 3)
        self.assertEqual(
            self.programs(facet),
            [("", 0, "", ""), ("r@1", 4, "", ""), ("r@1", 4, "below-floor", "r@0")],
        )

    def test_damaged_outcome(self) -> None:
        """What root has told and nobody can read is reported as nothing."""
        facet, reporting = self.reporting(DESIRED)
        self.root_tells(release="four")
        reporting.phase("ready")
        self.assertEqual(self.programs(facet), [("", 0, "", "")])

    def test_daemon_of_an_earlier_release(self) -> None:
        """A daemon that refuses a report with a program is told the same without, as
        long as it is the same daemon; after a new connection it may be another.
        """
        too_new = Refused("malformed", "not a Report: ForbiddenExtraKeysError")
        facet, reporting = self.reporting(too_new, *[DESIRED] * 3)
        self.root_tells()
        reporting.phase("serving")
        reporting.phase("ready")
        (reconnected,) = facet.listeners
        reconnected()
        reporting.phase("ready")
        self.assertEqual(self.heard(facet), ["serving"] * 2 + ["ready"] * 2)
        known, unknown = ("r@1", 4, "", ""), ("", 0, "", "")
        self.assertEqual(self.programs(facet), [known, unknown, unknown, known])

    def test_refused_for_another_reason(self) -> None:
        """A refusal that has nothing to do with the program is not asked again."""
        facet, reporting = self.reporting(Refused("malformed", ""), DESIRED)
        reporting.phase("serving")
        self.assertEqual(self.heard(facet), ["serving"])
        facet, reporting = self.reporting(Refused("unknown-signup", ""), DESIRED)
        self.root_tells()
        reporting.phase("serving")
        self.assertEqual(self.heard(facet), ["serving"])

    def test_the_wish_is_written_once(self) -> None:
        """A wish is written when it changes, also when it is taken back; without one
        nothing is.
        """
        wished = evolve(DESIRED, program="r@2", floor=3)
        _, reporting = self.reporting(DESIRED, wished, wished, DESIRED)
        path = self.program.folder / "wanted.json"
        reporting.phase("ready")
        self.assertFalse(path.exists())
        reporting.phase("ready")
        self.assertEqual(json.loads(path.read_text()), {"program": "r@2", "floor": 3})
        before = path.stat().st_ino
        reporting.phase("ready")
        self.assertEqual(path.stat().st_ino, before)
        reporting.phase("ready")
        self.assertEqual(json.loads(path.read_text()), {"program": "", "floor": 0})


class Echo(Referenceable):
    """Says that it is there."""

    def remote_who(self) -> bytes:
        return b"here"


class AgentTubTests(TestCase):
    async def test_foolscap_takes_it(self) -> None:
        """A Tub on our quick certificate reaches a Tub on Foolscap's own, and back."""
        server = Tub()
        listener = server.listenOn("tcp:0:interface=127.0.0.1")
        server.startService()
        self.addCleanup(server.stopService)
        port = listener._lp.getHost().port
        server.setLocation(f"127.0.0.1:{port}")
        client = agent_tub()
        client.startService()
        self.addCleanup(client.stopService)
        reference = await client.getReference(server.registerReference(Echo()))
        self.assertEqual(await reference.callRemote("who"), b"here")
