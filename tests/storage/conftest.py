"""A real S3 server and moto's, started once for all tests that ask for them."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
from attrs import define
from moto.server import ThreadedMotoServer

WEED = Path(__file__).parents[2] / ".venv/bin/weed"
ACCESS_KEY, SECRET_KEY, REGION = (
    "AKIAEXAMPLEEXAMPLE00",
    "an-example-secret",
    "us-east-1",
)


@define(frozen=True)
class S3Server:
    """Where a test's S3 is; buckets are made with boto3, a client not ours."""

    endpoint: str

    def make_bucket(self, name: str) -> None:
        boto3.client(
            "s3",
            endpoint_url=self.endpoint,
            aws_access_key_id=ACCESS_KEY,
            aws_secret_access_key=SECRET_KEY,
            region_name=REGION,
        ).create_bucket(Bucket=name)


def free_ports(count: int) -> list[int]:
    """Ports that are free, and whose number plus 10,000 is a port."""
    held, ports = [], []
    while len(ports) < count:
        listening = socket.socket()
        listening.bind(("127.0.0.1", 0))
        held.append(listening)
        ports.append(listening.getsockname()[1])
    for listening in held:
        listening.close()
    return ports


def start_weed(folder: Path) -> tuple[subprocess.Popen[bytes], str]:
    """Start SeaweedFS on free loopback ports; the process and its S3 address."""
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
        ],
        stdout=log,
        stderr=log,
        start_new_session=True,
    )
    endpoint = f"http://127.0.0.1:{ports[6]}"
    _wait_for(endpoint, process)
    return process, endpoint


def _wait_for(endpoint: str, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + 60
    while time.monotonic() < until and process.poll() is None:
        try:
            S3Server(endpoint).make_bucket("is-it-up")
        except Exception:  # noqa: BLE001  (boto3's many ways to say: not yet)
            time.sleep(0.2)
        else:
            return
    raise AssertionError("SeaweedFS did not start")


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


@pytest.fixture(scope="session")
def moto_s3() -> Iterator[S3Server]:
    """moto's S3, in threads of this process."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    try:
        yield S3Server(f"http://{host}:{port}")
    finally:
        server.stop()


@pytest.fixture(scope="class")
def on_seaweed(request: pytest.FixtureRequest, seaweed: S3Server) -> None:
    """Give a TestCase class the real server as ``s3_server``."""
    request.cls.s3_server = seaweed


@pytest.fixture(scope="class")
def on_moto(request: pytest.FixtureRequest, moto_s3: S3Server) -> None:
    """Give a TestCase class moto's server as ``s3_server``."""
    request.cls.s3_server = moto_s3
