"""An S3 that misbehaves, between a node of ours and vanilla clients, as processes.

The local cloud's S3 front stands before SeaweedFS and does what the faults say.
"""

from __future__ import annotations

import http.client
import json
import os
import ssl
import subprocess
import sys
import threading
import time
import urllib.request
import uuid
from base64 import b64encode
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from attrs import define, field

from tests.storage.conftest import NodeProcess, VanillaClient

pytestmark = pytest.mark.end_to_end
REGION = "us-east-1"
SMALL, LARGE = 200_000, 17 * 1024 * 1024
#: More often than anything asks.
ALWAYS = 10_000
#: Seconds in which a client hears that S3 fails, and in which a version is told.
TOLD, VERSION = 45.0, 1.0


@define
class CloudS3:
    """``python -m lae_localcloud s3`` as a process."""

    folder: Path
    process: subprocess.Popen[str] = field(init=False)
    facts: dict[str, Any] = field(init=False)

    def start(self) -> None:
        words = ["s3", "--state-dir", str(self.folder), "--region", REGION]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "lae_localcloud.command", *words],
            stdout=subprocess.PIPE,
            stderr=self.folder.with_suffix(".log").open("wb"),
            text=True,
        )
        assert self.process.stdout is not None
        assert any("everything else" in line for line in self.process.stdout)
        self.facts = json.loads((self.folder / "aws.json").read_text())

    def keys(self) -> dict[str, str]:
        """For a node's environment."""
        return {
            "AWS_ACCESS_KEY_ID": self.facts["access_key"],
            "AWS_SECRET_ACCESS_KEY": self.facts["secret_key"],
        }

    def make_bucket(self) -> str:
        name = f"b-{uuid.uuid4().hex}"
        boto3.client(
            "s3",
            endpoint_url=self.facts["s3_endpoint"],
            aws_access_key_id=self.facts["access_key"],
            aws_secret_access_key=self.facts["secret_key"],
            region_name=REGION,
        ).create_bucket(Bucket=name)
        return name

    def control(self, method: str, path: str = "", body: Any = None) -> Any:
        """Ask its control endpoint."""
        asking = urllib.request.Request(
            self.facts["control_url"] + path,
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(asking, timeout=10) as answer:
            return json.loads(answer.read() or b"null")

    def fault(self, action: str, kind: str, **more: Any) -> int:
        """Have something go wrong; the fault's number."""
        asked = {"service": "s3", "action": action, "kind": kind, **more}
        number: int = self.control("POST", "faults", asked)["number"]
        return number

    def state(self, number: int) -> dict[str, Any]:
        """One fault's row."""
        rows = self.control("GET")["faults"]
        return next(row for row in rows if row["number"] == number)

    def calm(self) -> None:
        self.control("DELETE", "faults")

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(20)


@define
class Stage:
    """The front, a node on a bucket behind it, and a client of each protocol."""

    s3: CloudS3
    node: NodeProcess
    clients: dict[str, VanillaClient]

    def version(self) -> float:
        """Seconds until the node told its version, as each client asks every second."""
        (there,) = self.node.found.values()
        (nurl,) = there["ann"]["anonymous-storage-NURLs"]
        where, _, rest = nurl.partition("@")[2].partition("/")
        swissnum = b64encode(rest.partition("#")[0].encode()).decode()
        began = time.monotonic()
        asking = http.client.HTTPSConnection(
            where, timeout=10, context=ssl._create_unverified_context()
        )
        headers = {"Authorization": f"Tahoe-LAFS {swissnum}"}
        asking.request("GET", "/storage/v1/version", headers=headers)
        assert asking.getresponse().status == 200
        asking.close()
        return time.monotonic() - began


@pytest.fixture(scope="module")
def whole_stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    folder = tmp_path_factory.mktemp("misbehaves")
    s3 = CloudS3(folder / "s3")
    s3.start()
    endpoint, bucket = s3.facts["s3_endpoint"], s3.make_bucket()
    more = ("nothing-kept",)
    node = NodeProcess(folder / "node", endpoint, bucket, more, keys=s3.keys())
    clients = {name: VanillaClient(folder / name) for name in ("gbs", "foolscap")}
    try:
        node.start()
        for name, client in clients.items():
            client.start(node.found, foolscap=name == "foolscap")
            client.find_node()
        yield Stage(s3, node, clients)
    finally:
        for client in clients.values():
            client.stop()
        node.kill()
        s3.stop()


@pytest.fixture
def stage(whole_stage: Stage) -> Iterator[Stage]:
    """The stage with an S3 that is well."""
    whole_stage.s3.calm()
    yield whole_stage
    whole_stage.s3.calm()


def _in_background(work: Callable[[], Any]) -> tuple[threading.Thread, list[Any]]:
    """Do it; its answer or error comes into the list."""
    ended: list[Any] = []

    def do() -> None:
        try:
            ended.append(work())
        except OSError as e:
            ended.append(e)

    worker = threading.Thread(target=do, daemon=True)
    worker.start()
    return worker, ended


def _until(true: Callable[[], bool], seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.02)


CONFLICT = {"status": 409, "code": "ConditionalRequestConflict"}
SHORT: list[tuple[str, str, dict[str, Any]]] = [
    ("PutObject", "throttle", {"times": 2}),
    ("PutObject", "error-after", {}),
    ("PutObject", "lost-reply", {}),
    ("PutObject", "lost-call", {}),
    ("PutObject", "error-before", CONFLICT),
    ("PutObject", "error-before", {"status": 400, "code": "ExpiredToken"}),
    ("PutObject", "delay", {"seconds": 2}),
    ("UploadPart", "lost-reply", {}),
    ("UploadPart", "throttle", {"times": 2}),
    ("CreateMultipartUpload", "error-before", {"status": 503}),
    ("CompleteMultipartUpload", "lost-reply", {}),
    ("CompleteMultipartUpload", "error-after", {}),
    ("CompleteMultipartUpload", "error-before", CONFLICT),
    ("GetObject", "cut-body", {"bytes": 1000}),
    ("GetObject", "error-before", {}),
    ("GetObject", "lost-reply", {}),
    ("GetObject", "delay", {"seconds": 2}),
]


@pytest.mark.parametrize(
    ("action", "kind", "more"), SHORT, ids=[f"{a}-{k}-{m}" for a, k, m in SHORT]
)
def test_what_passes_is_not_seen(
    stage: Stage, action: str, kind: str, more: dict[str, Any]
) -> None:
    """Where S3 fails once or twice, both clients store, change and read files all the
    same.
    """
    size = SMALL if action == "PutObject" else LARGE
    client = stage.clients[
        "gbs" if SHORT.index((action, kind, more)) % 2 else "foolscap"
    ]
    data = os.urandom(size)
    if action == "PutObject":
        cap = client.store(b"first", "SDMF")
        number = stage.s3.fault(action, kind, contains="/mutable/", **more)
        client.ask("PUT", f"/uri/{cap}", b"second")
        assert client.ask("GET", f"/uri/{cap}") == b"second"
        assert stage.s3.state(number)["struck"] == more.get("times", 1)
    number = stage.s3.fault(action, kind, contains="/immutable/", **more)
    cap = client.store(data)
    assert client.ask("GET", f"/uri/{cap}") == data
    assert stage.s3.state(number)["struck"] == more.get("times", 1)


@pytest.mark.parametrize(
    ("kind", "more"),
    [
        ("throttle", {}),
        ("lost-call", {}),
        ("error-before", {"status": 404, "code": "NoSuchBucket"}),
    ],
    ids=["slow-down", "cut-off", "bucket-gone"],
)
def test_what_lasts_is_told(stage: Stage, kind: str, more: dict[str, Any]) -> None:
    """Where S3 refuses everything, each client hears so in time, nothing is
    acknowledged, versions are told at once; and when it is over all goes on.
    """
    caps = {
        n: c.store(f"first of {n}".encode(), "SDMF") for n, c in stage.clients.items()
    }
    stage.s3.fault("*", kind, times=ALWAYS, **more)
    began = time.monotonic()
    working = []
    for name, client in stage.clients.items():
        data = os.urandom(SMALL)
        working += [
            _in_background(lambda c=client, d=data: c.store(d)),
            _in_background(
                lambda c=client, n=name: c.ask("PUT", f"/uri/{caps[n]}", b"second")
            ),
        ]
    slowest = 0.0
    while any(worker.is_alive() for worker, _ in working):
        slowest = max(slowest, stage.version())
        assert time.monotonic() < began + TOLD
        time.sleep(0.1)
    assert slowest < VERSION
    for _, ended in working:
        assert isinstance(ended[0], OSError), ended
    stage.s3.calm()
    for name, client in stage.clients.items():
        first = f"first of {name}".encode()
        cap = caps[name]
        assert client.until(lambda c=client, u=cap: c.ask("GET", f"/uri/{u}")) == first
        client.ask("PUT", f"/uri/{cap}", b"third")
        assert client.ask("GET", f"/uri/{cap}") == b"third"


def test_a_silent_s3_holds_nobody_else_up(stage: Stage) -> None:
    """While S3 answers nothing, versions are told at once and what is in memory is
    read; and what waited is done when it answers again.
    """
    client = stage.clients["gbs"]
    read = os.urandom(SMALL)
    cap = client.store(read)
    number = stage.s3.fault("*", "hold", times=ALWAYS, contains=stage.node.bucket)
    data = os.urandom(SMALL)
    worker, ended = _in_background(lambda: client.store(data))
    _until(lambda: stage.s3.state(number)["holding"] > 0)
    for _ in range(20):
        assert stage.version() < VERSION
        time.sleep(0.1)
    assert client.ask("GET", f"/uri/{cap}") == read
    assert not ended
    stage.s3.calm()
    worker.join(60)
    assert client.ask("GET", f"/uri/{ended[0]}") == data


def test_a_put_held_across_a_kill_is_refused(stage: Stage) -> None:
    """A PUT that was on its way when the host died, and lands after its successor has
    acknowledged a newer write, changes nothing.
    """
    client = stage.clients["gbs"]
    cap = client.until(lambda: client.store(b"old", "SDMF"))
    number = stage.s3.fault("PutObject", "hold", contains="/mutable/")
    worker, ended = _in_background(
        lambda: client.ask("PUT", f"/uri/{cap}", b"late, of the dead host")
    )
    _until(lambda: stage.s3.state(number)["holding"] == 1)
    stage.node.lose_host()
    worker.join(60)
    assert isinstance(ended[0], OSError)
    stage.node.start()
    client.find_node()
    client.ask("PUT", f"/uri/{cap}", b"newer")
    log = stage.s3.folder.with_suffix(".log")
    refused = f"s3 PutObject {stage.node.bucket}/mutable/"
    before = log.read_text().count(refused)
    assert stage.s3.control("POST", f"faults/{number}/release", {}) == {"released": 1}
    _until(lambda: log.read_text().count(refused) > before)
    assert client.ask("GET", f"/uri/{cap}") == b"newer"
    stage.node.lose_host()
    stage.node.start()
    client.find_node()
    assert client.ask("GET", f"/uri/{cap}") == b"newer"
