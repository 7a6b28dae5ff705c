"""A real S3 server, started once for all tests that ask for it, and moto's."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
import uuid
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import boto3
import pytest
from attrs import define, field
from moto.server import ThreadedMotoServer
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from lae_localcloud.ports import free_ports
from lae_storage.s3.interface import StoreError, Unavailable
from lae_storage.s3.young import YOUNG_FOR
from lae_storage.server import cache
from lae_storage.server.bucket import open_bucket
from lae_storage.server.limits import Allowance, Limits
from lae_storage.server.storage_server import S3StorageServer
from tests.client_tahoe import start_tahoe, tahoe
from tests.forks import Forked
from tests.twins.store import MemoryStore, Request

HERE = Path(__file__).parent
WEED = HERE.parents[1] / ".venv/bin/weed"
NODE = HERE / "node_process.py"
ACCESS_KEY, SECRET_KEY, REGION = (
    "AKIAEXAMPLEEXAMPLE00",
    "an-example-secret",
    "us-east-1",
)


@define(frozen=True)
class S3Server:
    """Where a test's S3 is; buckets are made with boto3, a client not ours."""

    endpoint: str

    def client(self) -> Any:
        """boto3's."""
        return boto3.client(
            "s3",
            endpoint_url=self.endpoint,
            aws_access_key_id=ACCESS_KEY,
            aws_secret_access_key=SECRET_KEY,
            region_name=REGION,
        )

    def make_bucket(self, name: str) -> None:
        self.client().create_bucket(Bucket=name)

    def version(self, name: str) -> None:
        """Keep what is replaced and deleted, from now on."""
        enabled = {"Status": "Enabled"}
        self.client().put_bucket_versioning(
            Bucket=name, VersioningConfiguration=enabled
        )


def start_weed(folder: Path, *more: str) -> tuple[subprocess.Popen[bytes], str]:
    """Start SeaweedFS on free loopback ports; the process and its S3 address.

    Another process may take one of so many ports first: then it is others' turn.
    """
    for _ in range(2):
        process, endpoint = _start_weed(folder, *more)
        if _is_up(endpoint, process):
            return process, endpoint
        process.kill()
        process.wait()
    process, endpoint = _start_weed(folder, *more)
    assert _is_up(endpoint, process), "SeaweedFS did not start"
    return process, endpoint


def _start_weed(folder: Path, *more: str) -> tuple[subprocess.Popen[bytes], str]:
    folder.mkdir(parents=True, exist_ok=True)
    key = {"accessKey": ACCESS_KEY, "secretKey": SECRET_KEY}
    identity = {"name": "test", "credentials": [key], "actions": ["Admin"]}
    config = folder / "s3.json"
    config.write_text(json.dumps({"identities": [identity]}))
    names = ["master", "volume", "filer", "s3"]
    ports = free_ports(10)
    arguments = [
        argument
        for number, name in enumerate(names)
        for argument in (
            f"-{name}.port={ports[2 * number]}",
            f"-{name}.port.grpc={ports[2 * number + 1]}",
        )
    ]
    log = (folder / "weed.log").open("wb")
    process = subprocess.Popen(
        [
            str(WEED),
            "server",
            f"-dir={folder}",
            "-ip=127.0.0.1",
            "-ip.bind=127.0.0.1",
            "-filer",
            "-s3",
            f"-s3.config={config}",
            "-s3.port.iceberg=0",
            "-s3.port.lance=0",
            "-volume.max=0",
            "-master.volumeSizeLimitMB=256",
            *arguments,
            *more,
        ],
        stdout=log,
        stderr=log,
        start_new_session=True,
    )
    return process, f"http://127.0.0.1:{ports[6]}"


def _is_up(endpoint: str, process: subprocess.Popen[bytes]) -> bool:
    until = time.monotonic() + 60
    while time.monotonic() < until and process.poll() is None:
        try:
            S3Server(endpoint).make_bucket("is-it-up")
        except Exception:  # noqa: BLE001  (boto3's many ways to say: not yet)
            time.sleep(0.2)
        else:
            return True
    return False


@pytest.fixture(scope="session")
def seaweed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """A real S3 server."""
    process, endpoint = start_weed(tmp_path_factory.mktemp("weed"))
    try:
        yield S3Server(endpoint)
    finally:
        # SIGTERM takes it more than ten seconds.
        process.send_signal(signal.SIGKILL)
        process.wait()


@pytest.fixture(scope="module")
def moto_s3() -> Iterator[S3Server]:
    """moto's S3, in threads of this process."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    url = f"http://{host}:{port}"

    def check_keys_after(actions: str) -> str:
        switch = urllib.request.Request(
            f"{url}/moto-api/reset-auth",
            actions.encode(),
            {"Content-Type": "text/plain"},
        )
        with urllib.request.urlopen(switch) as answer:
            before: str = json.load(answer)["PREVIOUS_INITIAL_NO_AUTH_ACTION_COUNT"]
        return before

    # moto's switch is one for the whole process, and other tests turn it on: here
    # nobody has a key that moto knows.
    before = check_keys_after("inf")
    try:
        yield S3Server(url)
    finally:
        check_keys_after(before)
        server.stop()


@pytest.fixture(scope="class")
def on_seaweed(request: pytest.FixtureRequest, seaweed: S3Server) -> None:
    """Give a TestCase class the real server as ``s3_server``."""
    request.cls.s3_server = seaweed


@pytest.fixture(scope="class")
def on_moto(request: pytest.FixtureRequest, moto_s3: S3Server) -> None:
    """Give a TestCase class moto's server as ``s3_server``."""
    request.cls.s3_server = moto_s3


@define
class NodeProcess:
    """A storage node of ours as a process, to be killed and started again."""

    folder: Path
    endpoint: str
    bucket: str
    more: tuple[str, ...] = ()
    #: The environment's AWS keys, where others than SeaweedFS' here are needed.
    keys: dict[str, str] = field(factory=dict, repr=False)
    port: int = field(factory=lambda: free_ports(1)[0])
    found: dict[str, Any] = field(factory=dict)
    process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        """Start it; it serves when this returns."""
        self.begin()
        assert self.process is not None
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, "the node did not start"
        self.found = json.loads(line)

    def begin(self) -> None:
        """Start it, and wait for nothing."""
        arguments = [str(self.folder), self.endpoint, self.bucket, str(self.port)]
        self.process = subprocess.Popen(
            [sys.executable, str(NODE), *arguments, *self.more],
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | self.keys,
        )

    def lose_host(self) -> None:
        """kill -9, and nothing left but the node's identity."""
        self.kill()
        for name in ("uploads", "storage"):
            shutil.rmtree(self.folder / name, ignore_errors=True)

    def kill(self) -> None:
        """As the host's sudden end."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            assert self.process.stdout is not None
            self.process.stdout.close()
            self.process = None


@define
class VanillaClient:
    """The unmodified client of PyPI, in its own environment and process."""

    folder: Path
    process: Forked | None = None
    url: str = ""

    def start(
        self, servers: dict[str, Any], *, foolscap: bool, shares: int = 1
    ) -> None:
        """Make its folder and start it; it answers when this returns.

        Files have *shares* shares, each on another node; any one of them is enough.
        """
        one = [
            "--shares-needed=1",
            f"--shares-happy={shares}",
            f"--shares-total={shares}",
        ]
        port = free_ports(1)[0]
        web = f"--webport=tcp:{port}:interface=127.0.0.1"
        tahoe("create-client", *one, web, self.folder).check_returncode()
        if foolscap:
            config = self.folder / "tahoe.cfg"
            text = config.read_text()
            config.write_text(
                text.replace("[client]", "[client]\nforce_foolscap = true", 1)
            )
        known = json.dumps({"storage": servers})
        (self.folder / "private/servers.yaml").write_text(known)
        with (self.folder / "run.log").open("wb") as log:
            self.process = start_tahoe(
                "run", "--allow-stdin-close", self.folder, log=log
            )
        self.url = f"http://127.0.0.1:{port}"
        self.until(lambda: self.ask("GET", "/?t=json"))

    def ask(
        self,
        method: str,
        path: str,
        data: bytes | None = None,
        headers: dict[str, str] | None = None,
    ) -> bytes:
        """One request of its web API; raises OSError where it is refused."""
        request = urllib.request.Request(
            self.url + path, data=data, headers=headers or {}, method=method
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            body: bytes = answer.read()
            return body

    def until(self, asking: Any, seconds: float = 60) -> Any:
        """Ask again until it succeeds: the node may be away, or not found yet."""
        end = time.monotonic() + seconds
        while True:
            try:
                return asking()
            except OSError:
                if time.monotonic() > end:
                    raise
                time.sleep(0.1)

    def find_node(self) -> None:
        """Wait until it has its nodes, and will not take them for lost.

        A file of 56 bytes is stored: a smaller one lies in its capability and needs no
        node.  Then each node has been heard of since: the client asks for versions
        each second, and one asked of a node that was away may fail only now.
        """
        began = time.time()
        self.until(lambda: self.store(os.urandom(56)))
        self.until(lambda: self._heard_since(began))

    def _heard_since(self, began: float) -> None:
        for server in json.loads(self.ask("GET", "/?t=json"))["servers"]:
            if (server["last_received_data"] or 0) < began:
                raise OSError(f"nothing was heard of {server['nickname']}")

    def tahoe(self, *words: str | Path, status: int = 0) -> str:
        """What a command of the command line says; it must end with *status*."""
        done = tahoe("-d", self.folder, *words, timeout=250)
        assert done.returncode == status, (words, done.stdout, done.stderr)
        return (done.stdout + done.stderr).decode()

    def home(self) -> str:
        """The capability of its first alias."""
        return (self.folder / "private/aliases").read_text().split()[1]

    def store(self, data: bytes, kind: str = "CHK") -> str:
        """Store a new file; its capability."""
        return self.ask("PUT", f"/uri?format={kind}", data).decode()

    def stop(self) -> None:
        """End it."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()


@pytest.fixture
def grid(tmp_path: Path, seaweed: S3Server) -> Iterator[Any]:
    """Make a running node on a fresh bucket and a vanilla client of it."""
    started: list[Any] = []

    def make(
        *options: str, foolscap: bool = False
    ) -> tuple[NodeProcess, VanillaClient]:
        bucket = f"grid-{uuid.uuid4().hex}"
        seaweed.make_bucket(bucket)
        more = (*options, "force-foolscap") if foolscap else options
        node = NodeProcess(tmp_path / "node", seaweed.endpoint, bucket, more)
        client = VanillaClient(tmp_path / "client")
        started.extend([node.kill, client.stop])
        node.start()
        client.start(node.found, foolscap=foolscap)
        return node, client

    yield make
    for stop in started:
        stop()


@define
class Serving:
    """A storage server on the in-memory bucket, with clocks of its own."""

    folder: Path
    store: MemoryStore = field(factory=MemoryStore)
    clock: Clock = field(factory=Clock)
    retries: Clock = field(factory=Clock)
    server: Any = None
    quota: int = 10**9
    limits: Limits | None = None
    expire_days: int | None = None
    young_for: float = YOUNG_FOR

    def grow(self) -> None:
        """The bucket is older than the time in which S3 may not show what is in it."""
        self.young_for = 0.0
        self.server._bucket.store.store.grown = 0.0

    def start(self) -> Serving:
        """A new process on this bucket."""
        opening = open_bucket(
            self.store, self.retries, Random(0), young_for=self.young_for
        )
        bucket = self.now(opening)
        self.server = S3StorageServer(
            bucket,
            b"n" * 20,
            self.folder / uuid.uuid4().hex,
            Allowance(self.quota),
            self.limits,
            expire_days=self.expire_days,
            clock=self.clock,
        )
        self.server.startService()
        return self

    def another(self) -> Serving:
        """Another process on the same bucket."""
        return Serving(self.folder, self.store, quota=self.quota).start()

    def now(self, answering: Any) -> Any:
        """What is answered, while the retries' clock goes on."""
        if not isinstance(answering, Deferred):
            answering = Deferred.fromCoroutine(answering)
        found: list[Any] = []
        answering.addBoth(found.append)
        for _ in range(30):
            if not found:
                self.retries.advance(5)
        assert found, "no answer"
        if isinstance(found[0], Failure):
            found[0].raiseException()
        return found[0]

    def upload(self, si: bytes, data: bytes, secret: bytes = b"r" * 32) -> None:
        """Store a share 0 as clients do: in order, by a megabyte."""
        writer = self.writer(si, len(data), secret)
        for at in range(0, len(data), 1 << 20):
            self.now(writer.write(at, data[at : at + (1 << 20)]))
        self.now(writer.close())

    def writer(self, si: bytes, size: int, secret: bytes = b"r" * 32) -> Any:
        """A writer for share 0."""
        _, writers = self.now(
            self.server.allocate_buckets(si, secret, secret, {0}, size)
        )
        return writers[0]

    def change(self, si: bytes, data: bytes, offset: int = 0, tests: Any = ()) -> Any:
        """Write to share 0 of a slot; whether the tests passed."""
        vectors = {0: (list(tests), [(offset, data)], None)}
        secrets = (b"w" * 32, b"r" * 32, b"c" * 32)
        passed, _ = self.now(
            self.server.slot_testv_and_readv_and_writev(si, secrets, vectors, [])
        )
        return passed

    def slot(self, si: bytes, length: int = 10**9) -> Any:
        """Share 0's data, None where there is none."""
        found = self.now(self.server.slot_readv(si, [0], [(0, length)]))
        return found[0][0] if 0 in found else None

    def fail_once(self, operation: str) -> list[StoreError]:
        """Have S3 refuse the next request of a kind; empty when it has."""
        troubles: list[StoreError] = [Unavailable("SlowDown")]

        def fault(request: Request) -> None:
            if request.operation == operation and troubles:
                raise troubles.pop()

        self.store.fault = fault
        return troubles

    def requests(self, *operations: str) -> list[str]:
        """The keys of the requests made since this was asked last."""
        made = [r.key for r in self.store.requests if r.operation in operations]
        self.store.requests.clear()
        return made


@pytest.fixture
def serving(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Serving:
    """A server on a fresh bucket; there is no reactor that would hear of a thread."""
    monkeypatch.setattr(cache, "deferToThread", maybeDeferred)
    return Serving(tmp_path).start()
