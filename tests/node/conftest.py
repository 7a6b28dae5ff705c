"""A daemon, a metadata service and a client for what runs on a customer's host."""

from __future__ import annotations

import importlib.util
import json
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from attrs import define, field
from twisted.application.service import MultiService
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.web.resource import Resource
from twisted.web.server import Site

from lae_localcloud.ports import free_ports
from lae_protocol.host_messages import (
    Claim,
    Claimed,
    Desired,
    NodeIdentity,
    Report,
    StoragePlace,
)
from lae_protocol.messages import Refused
from lae_protocol.process.answer import Answering
from lae_protocol.process.tub import make_tub
from lae_protocol.remote import BOOTSTRAP, HOST, Questions
from lae_protocol.secret import Secret
from lae_provision.doors import IdentityRequest
from lae_provision.identity.keys import make_tub_key, new_identity

INSTANCE = "i-0123456789abcdef0"
LAUNCHED = "2026-11-23T17:00:00Z"


def an_identity(generation: int = 1) -> NodeIdentity:
    """An identity on this machine, with ports that are free."""
    introducer, storage = free_ports(2)
    request = IdentityRequest(
        signup_id="su" + "a" * 20,
        generation=generation,
        grid_label="g" + "b" * 15,
        nickname="S4 of a test",
        host="localhost",
        introducer_port=introducer,
        storage_port=storage,
        listen="127.0.0.1",
    )
    return new_identity(request, make_tub_key(), make_tub_key())


def _facet(questions: Questions, told: Any) -> Answering:
    async def answer(question: Any, _: str) -> Any:
        return told(question)

    return Answering(questions, answer)


@define(eq=False)
class FakeDaemon:
    """The part of the daemon that hosts see.

    *refusals* are answered to the first claims; *lost* claims are answered never.
    """

    identity: NodeIdentity
    place: StoragePlace
    refusals: list[Refused] = field(factory=list)
    lost: int = 0
    claims: list[Claim] = field(factory=list)
    reports: list[Report] = field(factory=list)
    desired: Desired = field(factory=lambda: Desired("serving", 10**9))
    service: Any = field(factory=MultiService)
    bootstrap_furl: str = ""
    host_furl: str = ""
    _bound: bytes | None = None
    _waiting: list[tuple[str, Deferred[Report]]] = field(factory=list)

    def start(self) -> FakeDaemon:
        self.build().service.startService()
        return self

    def build(self) -> FakeDaemon:
        """Have furls, and answer nobody yet."""
        (port,) = free_ports(1)
        tub = make_tub()
        tub.listenOn(f"tcp:{port}:interface=127.0.0.1")
        tub.setLocation(f"127.0.0.1:{port}")
        tub.setServiceParent(self.service)
        self.bootstrap_furl = tub.registerReference(_facet(BOOTSTRAP, self.claim))
        self.host_furl = tub.registerReference(_facet(HOST, self.report))
        return self

    def claim(self, claim: Claim) -> Any:
        self.claims.append(claim)
        if self.refusals:
            return self.refusals.pop(0)
        if self._bound is None:
            self._bound = claim.public_key
        if self._bound != claim.public_key:
            return Refused("not-now", "claimed by another")
        if self.lost:
            self.lost -= 1
            return Refused("try-later", "as if the answer were lost")
        return Claimed(self.identity, self.place, Secret(self.host_furl))

    def replace(self, identity: NodeIdentity) -> None:
        """The host is lost: the next claim is another host's."""
        self.identity, self._bound = identity, None

    def report(self, report: Report) -> Desired:
        self.reports.append(report)
        for phase, waiter in list(self._waiting):
            if phase == report.phase:
                self._waiting.remove((phase, waiter))
                waiter.callback(report)
        return self.desired

    def phases(self) -> list[str]:
        return [report.phase for report in self.reports]

    def hears(self, phase: str) -> Deferred[Report]:
        """The next report of *phase*."""
        waiter: Deferred[Report] = Deferred()
        self._waiting.append((phase, waiter))
        return waiter


@define(eq=False)
class FakeMetadata(Resource):
    """An instance's metadata service, with tokens, a role and a document."""

    isLeaf = True
    signed: str | None = "c2lnbmVk"
    keys: dict[str, str] = field(factory=lambda: {"id": "test", "secret": "test"})
    token: bytes = field(factory=lambda: secrets.token_hex(16).encode())
    asked: list[str] = field(factory=list)
    url: str = ""
    port: Any = None
    down: int = 0

    def __attrs_post_init__(self) -> None:
        Resource.__init__(self)

    def start(self) -> FakeMetadata:
        self.port = reactor.listenTCP(0, Site(self), interface="127.0.0.1")  # type: ignore[attr-defined]
        self.url = f"http://127.0.0.1:{self.port.getHost().port}"
        return self

    def render_PUT(self, request: Any) -> bytes:
        if self.down:
            self.down -= 1
            request.setResponseCode(503)
            return b""
        return self.token

    def render_GET(self, request: Any) -> bytes:
        path = request.path.decode()
        self.asked.append(path)
        if request.getHeader("X-aws-ec2-metadata-token") != self.token.decode():
            request.setResponseCode(401)
            return b""
        role = "/latest/meta-data/iam/security-credentials/"
        found = {
            "/latest/meta-data/instance-id": INSTANCE,
            "/latest/dynamic/instance-identity/document": json.dumps(
                {"instanceId": INSTANCE, "pendingTime": LAUNCHED}
            ),
            "/latest/dynamic/instance-identity/signature": self.signed,
            role: "role",
            role + "role": json.dumps(
                {
                    "Code": "Success",
                    "AccessKeyId": self.keys["id"],
                    "SecretAccessKey": self.keys["secret"],
                    # SeaweedFS knows static keys alone, which have no session.
                    "Token": "",
                    "Expiration": "2099-01-01T00:00:00Z",
                }
            ),
        }.get(path)
        if found is None:
            request.setResponseCode(404)
            return b""
        return found.encode()


@pytest.fixture(scope="class")
def host_doubles(request: pytest.FixtureRequest) -> None:
    """Give a test class the doubles of what a host talks to."""
    request.cls.FakeDaemon, request.cls.FakeMetadata = FakeDaemon, FakeMetadata
    request.cls.an_identity = staticmethod(an_identity)
    request.cls.instance, request.cls.launched = INSTANCE, LAUNCHED
    request.cls.free_ports = staticmethod(free_ports)


def _storage_tests() -> Any:
    """The S3 servers of the storage server's tests."""
    path = Path(__file__).parents[1] / "storage" / "conftest.py"
    spec = importlib.util.spec_from_file_location("s4_tests_storage_conftest", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


_storage = _storage_tests()


@define(frozen=True)
class RealS3:
    """SeaweedFS, looked at with boto3."""

    endpoint: str

    def client(self) -> Any:
        return boto3.client(
            "s3",
            endpoint_url=self.endpoint,
            aws_access_key_id=_storage.ACCESS_KEY,
            aws_secret_access_key=_storage.SECRET_KEY,
            region_name=_storage.REGION,
        )

    def make_bucket(self, name: str) -> None:
        self.client().create_bucket(Bucket=name)

    def count_objects(self, name: str) -> int:
        return int(self.client().list_objects_v2(Bucket=name).get("KeyCount", 0))


@pytest.fixture(scope="session")
def real_s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealS3]:
    """A real S3 server."""
    process, endpoint = _storage.start_weed(tmp_path_factory.mktemp("weed"))
    yield RealS3(endpoint)
    # SIGTERM takes it more than ten seconds.
    process.kill()
    process.wait()


@pytest.fixture(scope="class")
def on_s3(request: pytest.FixtureRequest, real_s3: RealS3) -> None:
    """Give a test class a real S3 server."""
    request.cls.s3_server = real_s3
    request.cls.access_key = _storage.ACCESS_KEY
    request.cls.secret_key = _storage.SECRET_KEY
