"""A customer's host as a process, served to a vanilla client as a process."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
from attrs import define, evolve, field
from twisted.internet import reactor
from twisted.internet.defer import TimeoutError as DeferTimeout
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from lae_protocol.host_messages import StoragePlace, TubIdentity
from lae_protocol.process import crash
from lae_protocol.secret import Secret
from lae_provision.hosts.user_data import HostSettings, node_yaml
from lae_provision.identity.keys import at_generation
from lae_storage import host as host_module
from tests.client_tahoe import start_tahoe, tahoe
from tests.forks import Forked

CHECKOUT = Path(__file__).parents[2]
TWISTD = CHECKOUT / ".venv" / "bin" / "twistd"
METADATA = "AWS_EC2_METADATA_SERVICE_ENDPOINT"
PATIENCE = 60.0

pytestmark = pytest.mark.end_to_end


@define
class HostProcess:
    """``twistd lae-node`` in a folder that stands for an instance's disk."""

    root: Path
    metadata_url: str
    bootstrap_furl: str
    s3_endpoint: str
    process: subprocess.Popen[bytes] | None = None

    def install(self) -> None:
        etc = self.root / "etc" / "s4"
        etc.mkdir(parents=True)
        settings = HostSettings(
            metadata_url="http://169.254.169.254",
            aws_region="us-east-1",
            s3_endpoint=self.s3_endpoint,
            log_format="text",
        )
        (etc / "node.yaml").write_text(node_yaml(settings))
        (etc / "bootstrap.furl").touch(mode=0o600)
        (etc / "bootstrap.furl").write_text(self.bootstrap_furl)

    def start(self, crash_at: str = "") -> None:
        words = [TWISTD, "--nodaemon", "--pidfile=", "lae-node"]
        with (self.root / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [*words, "--config", "etc/s4/node.yaml"],
                cwd=self.root,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=os.environ
                | {METADATA: self.metadata_url, crash.VARIABLE: crash_at},
            )

    def end(self, how: int) -> int:
        assert self.process is not None
        self.process.send_signal(how)
        return self.process.wait(20)

    def arguments(self) -> bytes:
        assert self.process is not None
        return Path(f"/proc/{self.process.pid}/cmdline").read_bytes()

    def log(self) -> str:
        return (self.root / "log").read_text()


@define
class Client:
    """An unmodified Tahoe-LAFS client."""

    folder: Path
    processes: list[Forked] = field(factory=list)

    def create(self, furl: str, *, foolscap: bool, web: int) -> None:
        words = ["create-client", "--introducer", furl, f"--webport=tcp:{web}"]
        words += [f"--shares-{name}=1" for name in ("needed", "happy", "total")]
        tahoe(*words, self.folder).check_returncode()
        if foolscap:
            cfg = self.folder / "tahoe.cfg"
            text = cfg.read_text()
            assert "[client]" in text
            cfg.write_text(
                text.replace("[client]", "[client]\nforce_foolscap = true", 1)
            )

    def run(self) -> None:
        self.processes.append(
            start_tahoe(
                "run", "--allow-stdin-close", self.folder, log=subprocess.DEVNULL
            )
        )

    def tahoe(self, *words: str, data: bytes | None = None) -> bytes:
        """Run a command until it succeeds: the client may not be connected yet."""
        until = time.monotonic() + PATIENCE
        while True:
            done = tahoe("-d", self.folder, *words, data=data or b"")
            if done.returncode == 0:
                return done.stdout.strip()
            if time.monotonic() > until:
                raise AssertionError(done.stderr.decode())

    def end(self) -> None:
        for process in self.processes:
            process.kill()
            process.wait()


def moved(tub: TubIdentity, port: int) -> TubIdentity:
    """The same Tub on another port."""
    return evolve(
        tub,
        location=f"tcp:localhost:{port}",
        port=f"tcp:{port}:interface=127.0.0.1",
    )


class OnOneMachine(TestCase):
    """A daemon and a metadata service in this process, hosts and clients in others."""

    foolscap: bool

    def setUp(self) -> None:
        self.identity = self.an_identity()
        self.bucket = f"test-{os.getpid()}-{time.time_ns()}"
        self.s3_server.make_bucket(self.bucket)
        place = StoragePlace(self.bucket, "us-east-1", self.s3_server.endpoint, 10**10)
        self.daemon = self.FakeDaemon(self.identity, place).start()
        self.addCleanup(self.daemon.service.stopService)
        self.metadata = self.FakeMetadata().start()
        self.metadata.keys = {"id": self.access_key, "secret": self.secret_key}
        self.addCleanup(self.metadata.port.stopListening)
        self.hosts: list[HostProcess] = []
        self.addCleanup(self.end_hosts)

    def end_hosts(self) -> None:
        for host in self.hosts:
            if host.process is not None and host.process.poll() is None:
                host.end(signal.SIGKILL)

    def a_folder(self) -> Path:
        return Path(self.mktemp()).resolve()

    def new_host(self) -> HostProcess:
        host = HostProcess(
            self.a_folder(),
            self.metadata.url,
            self.daemon.bootstrap_furl,
            self.s3_server.endpoint,
        )
        host.install()
        self.hosts.append(host)
        return host

    async def until_ready(self, host: HostProcess) -> None:
        ready = self.daemon.hears("ready")
        host.start()
        ready.addTimeout(PATIENCE, reactor)
        try:
            await ready
        except DeferTimeout:
            raise AssertionError(host.log()) from None

    async def a_client(self) -> Client:
        client = Client(self.a_folder())
        self.addCleanup(client.end)
        (web,) = self.free_ports(1)
        furl = self.identity.introducer_furl()
        await deferToThread(client.create, furl, foolscap=self.foolscap, web=web)
        client.run()
        return client


class HostTests:
    """What holds over both protocols; the subclasses choose one."""

    async def test_life_of_a_grid(self) -> None:
        """A running client keeps its files over kill -9, an empty disk and a new host.

        The new host has the same identity, the next generation and another storage
        port; the client is never told anything but the first furl.
        """
        host = self.new_host()
        await self.until_ready(host)
        client = await self.a_client()
        data = os.urandom(1_500_000)
        cap = (await deferToThread(client.tahoe, "put", "-", data=data)).decode()
        folder = (await deferToThread(client.tahoe, "mkdir")).decode()
        await deferToThread(client.tahoe, "put", "-", f"{folder}/one", data=b"1" * 100)
        self.assertGreater(self.s3_server.count_objects(self.bucket), 2)
        self.assertEqual(len(self.daemon.claims), 1)

        host.end(signal.SIGKILL)
        await deferToThread(
            subprocess.run, ["rm", "-rf", host.root / "var/lib/s4/storage"]
        )
        await self.until_ready(host)
        await deferToThread(client.tahoe, "put", "-", f"{folder}/two", data=b"2" * 100)
        self.assertEqual(await deferToThread(client.tahoe, "get", cap), data.strip())
        self.assertEqual(len(self.daemon.claims), 1, "a reboot claims nothing")

        host.end(signal.SIGKILL)
        (port,) = self.free_ports(1)
        successor = at_generation(self.identity, self.identity.generation + 1)
        self.daemon.replace(evolve(successor, storage=moved(successor.storage, port)))
        await self.until_ready(self.new_host())
        await deferToThread(client.tahoe, "put", "-", f"{folder}/three", data=b"3" * 9)
        self.assertEqual(await deferToThread(client.tahoe, "get", cap), data.strip())
        listed = await deferToThread(client.tahoe, "ls", folder)
        self.assertEqual(listed.split(), [b"one", b"three", b"two"])

    async def test_sigterm(self) -> None:
        """SIGTERM ends the host within ten seconds, though a client is frozen."""
        host = self.new_host()
        await self.until_ready(host)
        client = await self.a_client()
        await deferToThread(client.tahoe, "put", "-", data=os.urandom(1000))
        (running,) = client.processes
        running.send_signal(signal.SIGSTOP)
        began = time.monotonic()
        # twistd gives itself the signal again when everything has ended.
        status = await deferToThread(host.end, signal.SIGTERM)
        self.assertEqual(status, -signal.SIGTERM)
        self.assertLess(time.monotonic() - began, 10)
        self.assertIn("Server Shut Down.", host.log())

    async def test_secrets_stay_inside(self) -> None:
        """No secret is in the process' arguments or its log, nor readable by others."""
        host = self.new_host()
        await self.until_ready(host)
        client = await self.a_client()
        await deferToThread(client.tahoe, "put", "-", data=os.urandom(1000))
        arguments, log = host.arguments().decode(), host.log()
        identity = self.identity
        for secret in (
            identity.introducer.swissnum,
            identity.storage.swissnum,
            identity.signing_key,
            identity.lease_secret,
            Secret(self.daemon.bootstrap_furl.rsplit("/")[-1]),
            Secret(self.daemon.host_furl.rsplit("/")[-1]),
            Secret(self.secret_key),
        ):
            self.assertNotIn(secret.reveal(), arguments)
            self.assertNotIn(secret.reveal(), log)
        for path in (host.root / "var").rglob("*"):
            if path.is_file():
                self.assertEqual(path.stat().st_mode & 0o077, 0, path)


@pytest.mark.usefixtures("host_doubles", "on_s3")
class FoolscapHostTests(HostTests, OnOneMachine):
    """Over Foolscap."""

    foolscap = True


@pytest.mark.usefixtures("host_doubles", "on_s3")
class GbsHostTests(HostTests, OnOneMachine):
    """Over HTTP, "Great Black Swamp"."""

    foolscap = False


@pytest.mark.usefixtures("host_doubles", "on_s3")
class CrashTests(OnOneMachine):
    """kill -9 of the host at each named point of its way."""

    async def dies_at(self, point: str) -> None:
        host = self.new_host()
        host.start(point)
        assert host.process is not None
        status = await deferToThread(host.process.wait, 20)
        self.assertEqual(status, -signal.SIGKILL, host.log())
        await self.until_ready(host)
        keys = {claim.public_key for claim in self.daemon.claims}
        self.assertEqual(len(keys), 1)

    async def test_bound(self) -> None:
        """A host that dies before it kept its identity gets the same one again."""
        await self.dies_at(host_module.BOUND)
        self.assertEqual(len(self.daemon.claims), 2)

    async def test_kept(self) -> None:
        """A host that dies once it has its identity claims nothing any more."""
        await self.dies_at(host_module.KEPT)
        self.assertEqual(len(self.daemon.claims), 1)

    async def test_serving(self) -> None:
        """A host that dies before it proved itself proves itself when it is back."""
        await self.dies_at(host_module.SERVING)
        self.assertEqual(len(self.daemon.claims), 1)

    def test_every_point(self) -> None:
        """There is a test for every point that the host declares."""
        points = {name for name in crash.declared() if name.startswith("node-")}
        tested = {host_module.BOUND, host_module.KEPT, host_module.SERVING}
        self.assertEqual(points, tested)
