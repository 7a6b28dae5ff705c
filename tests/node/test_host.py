"""The way from power-on to ready, in this process."""

from __future__ import annotations

import gc
import random
import socket
from pathlib import Path
from typing import Any

import pytest
from allmydata.client import _Client
from allmydata.storage.server import StorageServer
from foolscap.eventual import flushEventualQueue
from twisted.internet import reactor
from twisted.internet.defer import Deferred, succeed
from twisted.internet.endpoints import clientFromString, connectProtocol
from twisted.internet.error import CannotListenError
from twisted.internet.protocol import Protocol
from twisted.internet.task import deferLater
from twisted.python.usage import UsageError
from twisted.trial.unittest import SynchronousTestCase, TestCase

from lae_protocol.aws.agent import pooled_agent
from lae_protocol.aws.metadata import MetadataService
from lae_protocol.host_messages import Desired, StoragePlace
from lae_protocol.messages import Refused
from lae_protocol.process.crowd import CrowdLimits
from lae_protocol.secret import Secret
from lae_provision.hosts.user_data import HostSettings, node_yaml
from lae_storage import host as host_module
from lae_storage.agent import claiming
from lae_storage.agent.reporting import Usage
from lae_storage.agent.tub import agent_tub
from lae_storage.agent.volume import Volume
from lae_storage.agent.wish import ProgramFiles
from lae_storage.host import Host, Surroundings
from lae_storage.node import NotListening
from lae_storage.self_test import SelfTestFailed
from lae_storage.service import Options

PLACE = StoragePlace("bucket", "us-east-1", None, 10**9)


class Forgetful(StorageServer):
    """Tells something else of a slot as often as it is told to."""

    forgets, after = 0, 0
    forbids = False

    def slot_testv_and_readv_and_writev(self, *arguments: Any, **named: Any) -> Any:
        if Forgetful.forbids:
            raise PermissionError("suspended")
        return super().slot_testv_and_readv_and_writev(*arguments, **named)

    def slot_readv(self, *arguments: Any) -> Any:
        Forgetful.after -= 1
        if Forgetful.forgets and Forgetful.after < 0:
            Forgetful.forgets -= 1
            return {0: [b"something else"]}
        return super().slot_readv(*arguments)


class ForgetfulNode(_Client):
    """Upstream's node on a forgetful server."""

    def get_anonymous_storage_server(self) -> Any:
        if not hasattr(self, "forgetful"):
            folder = self.config.get_config_path("shares")
            self.forgetful = Forgetful(folder, self.nodeid)
            self.forgetful.setServiceParent(self)
        return self.forgetful


class DiskShares:
    """Shares on this disk, and what was desired of them."""

    client_class = ForgetfulNode

    def __init__(self) -> None:
        self.obeyed: list[Desired] = []
        self.closed = False

    @property
    def forbids(self) -> bool:
        return Forgetful.forbids

    @forbids.setter
    def forbids(self, value: bool) -> None:
        Forgetful.forbids = value

    def usage(self) -> Usage:
        return Usage(7, 1, 0)

    def obey(self, desired: Desired) -> None:
        self.obeyed.append(desired)

    def close(self) -> Deferred[None]:
        self.closed = True
        return succeed(None)


@pytest.mark.usefixtures("host_doubles")
class HostTests(TestCase):
    def setUp(self) -> None:
        Forgetful.forgets, Forgetful.after, Forgetful.forbids = 0, 0, False
        self.patch(host_module, "FIRST_PAUSE", 0.01)
        self.patch(host_module, "LAST_WORDS", 0.2)
        self.daemon = self.FakeDaemon(self.an_identity(), PLACE).start()
        self.metadata = self.FakeMetadata().start()
        self.addCleanup(self.end)
        self.gave_up: Deferred[None] = Deferred()
        self.shares, self.refusals = DiskShares(), 0
        self.crowd = CrowdLimits()
        self.volume = Volume(Path(self.mktemp()).resolve() / "s4")
        self.agent = pooled_agent(reactor)

    async def end(self) -> None:
        await self.daemon.service.stopService()
        await self.agent._pool.closeCachedConnections()
        await self.metadata.port.stopListening()
        await flushEventualQueue()
        # Foolscap's connections end a turn after their Tubs.
        await deferLater(reactor, 0.1)

    async def open_shares(self, place: StoragePlace, _: Volume) -> DiskShares:
        self.place = place
        if self.refusals:
            self.refusals -= 1
            raise PermissionError("no rights yet")
        return self.shares

    def host(self) -> Host:
        around = Surroundings(
            reactor,
            random.Random(1),
            MetadataService(reactor, self.agent, self.metadata.url),
            agent_tub,
            self.open_shares,
            lambda: self.gave_up.callback(None),
            ProgramFiles(self.volume.folder / "told", self.volume.folder / "program"),
            self.crowd,
        )
        furl = Secret(self.daemon.bootstrap_furl)
        return Host(around, self.volume, lambda: furl, "http://s3.example", 60)

    def running(self) -> Host:
        host = self.host()
        host.startService()
        self.addCleanup(lambda: host.running and host.stopService())
        return host

    async def test_phases_in_order(self) -> None:
        """A new host claims once, with who it is, and reports each phase in order."""
        ready = self.daemon.hears("ready")
        self.running()
        report = await ready
        self.assertEqual(
            self.daemon.phases(), ["starting", "serving", "self-test-passed", "ready"]
        )
        self.assertEqual(report.used_bytes, 7)
        (claim,) = self.daemon.claims
        self.assertEqual(claim.instance_id, self.instance)
        self.assertEqual(claim.launch_time, self.launched)
        self.assertEqual(self.place.endpoint, "http://s3.example")

    async def test_strangers_at_the_introducer(self) -> None:
        """The introducer's port has a gate, too: who says nothing is let go."""
        self.crowd = CrowdLimits(patience=0.2)
        ready = self.daemon.hears("ready")
        self.running()
        await ready
        where = self.daemon.identity.introducer.location.removeprefix("tcp:")
        host, port = where.split(":")
        gone: Deferred[None] = Deferred()
        stranger = Protocol()
        stranger.connectionLost = lambda reason=None: gone.callback(None)  # type: ignore[method-assign]
        endpoint = clientFromString(reactor, f"tcp:{host}:{port}")
        await connectProtocol(endpoint, stranger)
        await gone

    async def test_obeys(self) -> None:
        """What the daemon answers to a report reaches the shares."""
        self.daemon.desired = Desired("suspended", 5)
        ready = self.daemon.hears("ready")
        self.running()
        await ready
        self.assertIn(Desired("suspended", 5), self.shares.obeyed)

    async def test_a_wished_program(self) -> None:
        """The daemon's wish is written for root, and that the self-test has passed is
        written before it is reported; a self-test that fails is no proof.
        """
        Forgetful.forgets = 1
        self.daemon.desired = Desired("serving", 5, None, "r/d/node@sha256:ab", 3)
        failing, ready = self.daemon.hears("failing"), self.daemon.hears("ready")
        passed = self.daemon.hears("self-test-passed")
        program = self.volume.folder / "program"
        self.running()
        await failing
        self.flushLoggedErrors(SelfTestFailed)
        self.assertFalse((program / "proved").exists())
        await passed
        self.assertTrue((program / "proved").exists())
        await ready
        self.assertEqual(
            (program / "wanted.json").read_text(),
            '{"program":"r/d/node@sha256:ab","floor":3}',
        )

    async def test_lost_answer(self) -> None:
        """A claim whose answer is lost is claimed again by the same key, and is one."""
        self.daemon.lost = 2
        ready = self.daemon.hears("ready")
        self.running()
        await ready
        self.assertEqual(len({c.public_key for c in self.daemon.claims}), 1)
        self.assertEqual(len(self.daemon.claims), 3)

    async def test_reboot(self) -> None:
        """A reboot asks neither the metadata service nor the bootstrap furl."""
        ready = self.daemon.hears("ready")
        first = self.running()
        await ready
        await first.stopService()
        self.assertTrue(self.shares.closed)
        self.daemon.refusals = [Refused("not-now", "dead")]
        self.metadata.asked.clear()
        ready = self.daemon.hears("ready")
        self.running()
        await ready
        self.assertEqual((self.metadata.asked, len(self.daemon.claims)), ([], 1))

    async def test_failing_then_ready(self) -> None:
        """A node that fails its test says so, serves on, and is ready when it holds."""
        Forgetful.forgets, Forgetful.after = 1, 1
        failing, ready = self.daemon.hears("failing"), self.daemon.hears("ready")
        self.running()
        report = await failing
        self.assertEqual(report.problem, "self-test: SelfTestFailed")
        await ready
        (failure,) = self.flushLoggedErrors(SelfTestFailed)
        self.assertIn("a slot is read over GBS", str(failure.value))

    async def test_interrupted_self_test(self) -> None:
        """What a self-test leaves whose host died is tidied up by the next one."""
        Forgetful.forgets, Forgetful.after = 1, 2
        failing, ready = self.daemon.hears("failing"), self.daemon.hears("ready")
        self.running()
        await failing
        (failure,) = self.flushLoggedErrors(SelfTestFailed)
        self.assertIn("a slot is read over Foolscap", str(failure.value))
        await ready

    async def test_port_in_use(self) -> None:
        """A port that another process holds ends this one, and the operator is told."""
        port = int(self.daemon.identity.storage.port.split(":")[1])
        with socket.create_server(("127.0.0.1", port)):
            failing = self.daemon.hears("failing")
            self.running()
            report = await failing
            await self.gave_up
        self.assertEqual(report.problem, "NotListening")
        self.assertEqual(len(self.flushLoggedErrors(NotListening)), 1)
        # Foolscap drops this one, and Twisted tells when it is collected.
        gc.collect()
        self.flushLoggedErrors(CannotListenError)

    async def test_suspended(self) -> None:
        """A new grid's node that may not write is neither failing nor ready until it
        may.
        """
        self.daemon.desired = Desired("suspended", 5)
        self.shares.forbids = True
        host = self.running()
        await self.daemon.hears("serving")
        await deferLater(reactor, 0.5)
        self.assertEqual(set(self.daemon.phases()), {"starting", "serving"})
        self.daemon.desired, self.shares.forbids = Desired("serving", 5), False
        ready = self.daemon.hears("ready")
        host._reporting.phase("serving")
        await ready

    async def test_a_suspended_grids_new_host_is_ready(self) -> None:
        """The host that replaces a suspended grid's is ready once it reads what the
        grid has: nothing is written, and no other host is launched in its place.
        """
        ready = self.daemon.hears("ready")
        first = self.running()
        await ready
        await first.stopService()
        self.daemon.desired = Desired("suspended", 5)
        self.shares.forbids = True
        ready = self.daemon.hears("ready")
        self.running()
        report = await ready
        self.assertIsNone(report.problem)
        self.assertTrue(self.shares.forbids)

    async def test_daemon_away(self) -> None:
        """A host that boots while the daemon is away claims when it is back."""
        away = self.FakeDaemon(self.daemon.identity, PLACE).build()
        await self.daemon.service.stopService()
        self.daemon = away
        self.patch(claiming, "CLAIM_TIMEOUT", 0.2)
        ready = away.hears("ready")
        self.running()
        await deferLater(reactor, 1)
        self.assertEqual((away.claims, self.volume.claimed()), ([], None))
        away.service.startService()
        await ready
        # An answer that is late on a busy machine is asked for again, by the same key.
        self.assertEqual(len({claim.public_key for claim in away.claims}), 1)

    async def test_claimed_by_another(self) -> None:
        """A host whose furl another key has claimed gets nothing and keeps asking."""
        self.daemon.refusals = [Refused("not-now", "")]
        self.patch(claiming, "REFUSED_PAUSE", 0.2)
        ready = self.daemon.hears("ready")
        self.running()
        while not self.daemon.claims:
            await deferLater(reactor, 0.01)
        self.assertIsNone(self.volume.claimed())
        await ready
        self.assertEqual(len(self.daemon.claims), 2)
        self.flushLoggedErrors()

    async def test_metadata_comes_late(self) -> None:
        """A metadata service that is not up yet is asked again."""
        self.metadata.down = 2
        ready = self.daemon.hears("ready")
        self.running()
        await ready
        self.assertEqual(self.metadata.down, 0)

    async def test_rights_come_late(self) -> None:
        """A bucket that refuses at first is opened again; only then long is told."""
        self.refusals = host_module.QUIET_ATTEMPTS + 1
        ready = self.daemon.hears("ready")
        self.running()
        await ready
        failing = [r.problem for r in self.daemon.reports if r.phase == "failing"]
        self.assertEqual(failing, ["opening the bucket: PermissionError"])

    async def test_stopped_while_claiming(self) -> None:
        """A host that is stopped before it has its identity ends at once, silently."""
        self.daemon.lost = 10**6
        host = self.running()
        while not self.daemon.claims:
            await deferLater(reactor, 0.01)
        await host.stopService()
        self.assertEqual(self.flushLoggedErrors(), [])
        self.assertIsNone(self.volume.claimed())


class OptionsTests(SynchronousTestCase):
    def settings_file(self, text: str) -> str:
        folder = Path(self.mktemp())
        folder.mkdir(parents=True)
        (folder / "node.yaml").write_text(text)
        return str(folder / "node.yaml")

    def test_what_user_data_writes(self) -> None:
        """The node reads what the user-data of its launch wrote."""
        written = HostSettings(
            metadata_url="http://169.254.169.254",
            aws_region="eu-central-1",
            s3_endpoint=None,
            log_format="json",
            expire_leases_after_days=90,
            connections=500,
            connections_per_address=50,
        )
        path = self.settings_file(node_yaml(written))
        options = Options()
        options.parseOptions(["--config", path])
        folder = Path(path).resolve().parent
        self.assertEqual(
            options.settings.state_folder.resolve(),
            (folder / "../../var/lib/s4").resolve(),
        )
        self.assertEqual(
            options.settings.bootstrap_furl.file, folder / "bootstrap.furl"
        )
        self.assertEqual(options.settings.expire_leases_after_days, 90)
        crowd = options.settings.crowd()
        self.assertEqual((crowd.most, crowd.per_address), (500, 50))

    def test_typo(self) -> None:
        """A misspelt key ends twistd with the line and a suggestion."""
        path = self.settings_file("process: node\nstate_foldr: x\n")
        error = self.assertRaises(
            UsageError, Options().parseOptions, ["--config", path]
        )
        self.assertIn("node.yaml:2", str(error))
        self.assertIn("state_folder", str(error))

    def test_no_config(self) -> None:
        """Without settings there is no node."""
        self.assertRaises(UsageError, Options().parseOptions, [])
