"""moto in this process, which checks signatures and policies; and what doors need."""

from __future__ import annotations

import json
import logging
import os
import urllib.request
from collections.abc import Callable, Iterator
from random import Random
from typing import Any
from urllib.parse import parse_qs
from xml.sax.saxutils import escape

import boto3
import pytest
from attrs import define, field
from moto.server import ThreadedMotoServer
from twisted.internet import reactor
from twisted.internet.defer import Deferred, ensureDeferred, fail, succeed
from twisted.internet.task import Clock, deferLater
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgent
from zope.interface import implementer

from lae_protocol.aws.agent import pooled_agent
from lae_protocol.aws.body import read_body
from lae_protocol.aws.credentials import StaticCredentials
from lae_protocol.aws.sigv4 import Credentials
from lae_protocol.secret import Secret
from lae_provision.aws.channel import Patience
from lae_provision.aws.cloud import AwsCloud, open_cloud
from lae_provision.aws.policies import ANY_LABEL
from lae_provision.aws.whole import WholeResponse
from tests.provision.wanted import (
    ACCOUNT,
    BOUNDARY,
    DEPLOYMENT,
    REGION,
    ROLE_PATH,
    STATE_BUCKET,
    ZONE,
    boundary,
    daemons,
)


class Account:
    """moto's account, seen by its owner: set up without checks, then locked."""

    def __init__(self, endpoint: str) -> None:
        self.endpoint = endpoint
        self.post("/moto-api/reset", b"")
        self.own = Credentials("AKIAOWNER", Secret("owner"))
        self._set_up()
        # From here on every request is checked against its keys' policies.
        self.post("/moto-api/reset-auth", b"0")

    def post(self, path: str, body: bytes) -> None:
        # Any other content type is answered with an error.
        request = urllib.request.Request(
            self.endpoint + path, body, {"Content-Type": "text/plain"}, method="POST"
        )
        urllib.request.urlopen(request, timeout=10).close()

    def client(self, service: str) -> Any:
        return boto3.client(
            service,
            region_name=REGION,
            endpoint_url=self.endpoint,
            aws_access_key_id=self.own.access_key,
            aws_secret_access_key=self.own.secret_key.reveal(),
        )

    def _set_up(self) -> None:
        ec2, iam = self.client("ec2"), self.client("iam")
        vpc = ec2.create_vpc(CidrBlock="10.77.0.0/16")["Vpc"]["VpcId"]
        self.vpc_id = vpc
        subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.77.1.0/24")
        self.subnet_id = subnet["Subnet"]["SubnetId"]
        ec2.modify_subnet_attribute(
            SubnetId=self.subnet_id, MapPublicIpOnLaunch={"Value": True}
        )
        self.image_id = ec2.describe_images()["Images"][0]["ImageId"]
        group = ec2.create_security_group(
            GroupName="hosts", Description="hosts", VpcId=vpc
        )
        self.group_id = group["GroupId"]
        zone = self.client("route53").create_hosted_zone(
            Name=ZONE, CallerReference="once"
        )
        self.zone_id = zone["HostedZone"]["Id"].rpartition("/")[2]
        key = self.client("kms").create_key()
        self.kms_key_arn = key["KeyMetadata"]["Arn"]
        self.client("s3").create_bucket(
            Bucket=STATE_BUCKET,
            CreateBucketConfiguration={"LocationConstraint": REGION},
        )
        its_own = json.dumps(
            daemons(
                group=self.group_id,
                dns_zone_id=self.zone_id,
                image_owner=ACCOUNT,
                kms_key=self.kms_key_arn,
                subnet_id=self.subnet_id,
            )
        )
        iam.create_policy(
            PolicyName="boundary",
            Path=ROLE_PATH,
            PolicyDocument=json.dumps(boundary()),
        )
        everything = {"Effect": "Allow", "Action": "*", "Resource": "*"}
        document = json.dumps({"Version": "2012-10-17", "Statement": [everything]})
        owner = self.user("owner", document)
        self.daemon = self.user("daemon", simplified(its_own))
        self.stranger = self.user("stranger", None)
        self.own = owner

    def user(self, name: str, policy: str | None) -> Credentials:
        iam = self.client("iam")
        iam.create_user(UserName=name)
        if policy is not None:
            iam.put_user_policy(UserName=name, PolicyName="p", PolicyDocument=policy)
        key = iam.create_access_key(UserName=name)["AccessKey"]
        return Credentials(key["AccessKeyId"], Secret(key["SecretAccessKey"]))

    def session(self, role: str) -> Credentials:
        """What an instance with this role has: session keys of the role."""
        arn = self.client("iam").get_role(RoleName=role)["Role"]["Arn"]
        # moto cannot check whether a service may take a role: it answers 500.
        self.post("/moto-api/reset-auth", b"1000")
        got = self.client("sts").assume_role(RoleArn=arn, RoleSessionName="i-1")
        self.post("/moto-api/reset-auth", b"0")
        keys = got["Credentials"]
        return Credentials(
            keys["AccessKeyId"],
            Secret(keys["SecretAccessKey"]),
            Secret(keys["SessionToken"]),
        )


def simplified(policy: str) -> str:
    """The part of a policy that moto judges: every action, and the resources of S3.

    It takes any condition for unfulfilled, ``*`` for what all other services' requests
    are about, ``?`` for part of a regular expression, reading a bucket's encryption for listing it, and deleting many objects
    for something done to the bucket.
    """
    document = json.loads(policy.replace(ANY_LABEL, "g*"))
    for statement in document["Statement"]:
        statement.pop("Condition", None)
        if statement["Sid"] == "CustomersBuckets":
            statement["Action"].append("s3:ListBucket")
        if statement["Sid"] == "EmptyCustomersBuckets":
            statement["Resource"] = statement["Resource"].removesuffix("/*")
        if "arn:aws:s3:::" not in json.dumps(statement["Resource"]):
            statement["Resource"] = "*"
    return json.dumps(document)


@implementer(IAgent)
@define
class TokenMemory:
    """What moto leaves out of RunInstances, before moto: it remembers tokens.

    As EC2: the same request gives the same answer, another request with the same
    token is refused, and the token of a terminated instance is spent.
    """

    inner: IAgent
    account: Account
    seen: dict[str, tuple[bytes, bytes]] = field(factory=dict)

    def request(
        self,
        method: bytes,
        uri: bytes,
        headers: Headers | None = None,
        bodyProducer: Any = None,
    ) -> Deferred:
        body = getattr(bodyProducer, "body", b"")
        if b"Action=RunInstances" not in body:
            return self.inner.request(method, uri, headers, bodyProducer)
        token = parse_qs(body.decode())["ClientToken"][0]
        if token not in self.seen:
            sent = self.inner.request(method, uri, headers, bodyProducer)
            return sent.addCallback(self._remember, token, body)
        return succeed(self._repeat(token, body))

    async def _read(self, response: Any, token: str, body: bytes) -> WholeResponse:
        answer = await read_body(reactor, response, seconds=10, limit=1 << 20)
        if response.code == 200:
            self.seen[token] = (body, answer)
        return WholeResponse(response.code, response.headers, answer)

    def _remember(self, response: Any, token: str, body: bytes) -> Deferred:
        return Deferred.fromCoroutine(self._read(response, token, body))

    def _repeat(self, token: str, body: bytes) -> WholeResponse:
        request, answer = self.seen[token]
        if request != body:
            return refusal("IdempotentParameterMismatch")
        number = answer.decode().partition("<instanceId>")[2].partition("<")[0]
        found = self.account.client("ec2").describe_instances(InstanceIds=[number])
        state = found["Reservations"][0]["Instances"][0]["State"]["Name"]
        if state == "terminated":
            return refusal("IdempotentInstanceTerminated")
        return WholeResponse(200, Headers(), answer)


def refusal(code: str, message: str = "refused", status: int = 400) -> WholeResponse:
    """An error as EC2 writes it."""
    body = (
        f"<Response><Errors><Error><Code>{code}</Code><Message>{escape(message)}"
        "</Message></Error></Errors><RequestID>1</RequestID></Response>"
    )
    return WholeResponse(status, Headers(), body.encode())


@define(slots=False)
class MotoBench:
    """The doors of the daemon's own keys, in moto's account."""

    account: Account
    cloud: AwsCloud
    region: str = REGION
    deployment: str = DEPLOYMENT
    role_path: str = ROLE_PATH
    boundary_arn: str = BOUNDARY
    dns_zone: str = ZONE
    #: moto takes the condition of the policy for fulfilled, and then denies all.
    tls_only: bool = False

    def __attrs_post_init__(self) -> None:
        self.buckets, self.roles = self.cloud.buckets, self.cloud.roles
        self.hosts = self.cloud.hosts
        self.addresses = self.cloud.addresses(self.account.zone_id)
        self.vault = self.cloud.vault(STATE_BUCKET)
        self.data_keys = self.cloud.data_keys(self.account.kms_key_arn)
        self.image_id, self.subnet_id = self.account.image_id, self.account.subnet_id
        self.security_group_ids = (self.account.group_id,)

    def pause(self) -> Deferred:
        return deferLater(reactor, 0.01)

    async def make_wildcard(self, address: str) -> None:
        record = {
            "Name": f"*.{self.dns_zone}",
            "Type": "A",
            "TTL": 60,
            "ResourceRecords": [{"Value": address}],
        }
        change = {"Changes": [{"Action": "UPSERT", "ResourceRecordSet": record}]}
        self.account.client("route53").change_resource_record_sets(
            HostedZoneId=self.account.zone_id, ChangeBatch=change
        )

    async def press(self, button: str, instance_id: str) -> None:
        ec2 = self.account.client("ec2")
        pressed = {"stop": ec2.stop_instances, "start": ec2.start_instances}
        pressed[button](InstanceIds=[instance_id])

    async def store(self, bucket: str, key: str, body: bytes) -> None:
        self.account.client("s3").put_object(Bucket=bucket, Key=key, Body=body)


class Benches:
    """Makes clouds for tests, and closes their connections."""

    def __init__(self, account: Account) -> None:
        self.account = account
        self._pools: list[Any] = []

    def cloud(self, credentials: Credentials, **more: Any) -> AwsCloud:
        plain = pooled_agent(reactor)
        self._pools.append(plain._pool)
        more.setdefault("agent", TokenMemory(plain, self.account))
        more.setdefault("patience", Patience(seconds=20, attempts=2, base=0.01))
        return open_cloud(
            reactor,
            Random(1),
            StaticCredentials(credentials),
            REGION,
            endpoint=self.account.endpoint,
            **more,
        )

    def swallowing(self, word: bytes) -> AwsCloud:
        """A cloud that takes some settings, and forgets them."""
        plain = pooled_agent(reactor)
        self._pools.append(plain._pool)
        return self.cloud(self.account.daemon, agent=Swallowing(plain, word))

    def bench(self) -> MotoBench:
        return MotoBench(self.account, self.cloud(self.account.daemon))

    async def close(self) -> None:
        for pool in self._pools:
            await pool.closeCachedConnections()


@pytest.fixture(scope="session")
def account() -> Iterator[Account]:
    """One moto for the whole run: its set-up takes a second."""
    os.environ.setdefault("MOTO_EC2_LOAD_DEFAULT_AMIS", "true")
    logging.getLogger("werkzeug").setLevel(logging.WARNING)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    made = Account(f"http://{host}:{port}")
    yield made
    server.stop()


@pytest.fixture
def benches(account: Account) -> Benches:
    return Benches(account)


@implementer(IAgent)
@define
class Swallowing:
    """Answers success to requests whose target has *word* in it, and loses them."""

    inner: IAgent
    word: bytes

    def request(
        self,
        method: bytes,
        uri: bytes,
        headers: Headers | None = None,
        bodyProducer: Any = None,
    ) -> Deferred:
        if method == b"PUT" and self.word in uri:
            return succeed(WholeResponse(200, Headers(), b""))
        return self.inner.request(method, uri, headers, bodyProducer)


@implementer(IAgent)
@define
class Script:
    """Answers each request with what *answer* makes of its body, and keeps both."""

    answer: Callable[[bytes], Any]
    bodies: list[bytes] = field(factory=list)
    headers: list[Headers] = field(factory=list)
    uris: list[bytes] = field(factory=list)

    def request(
        self,
        method: bytes,
        uri: bytes,
        headers: Headers | None = None,
        bodyProducer: Any = None,
    ) -> Deferred:
        self.bodies.append(getattr(bodyProducer, "body", b""))
        self.headers.append(headers or Headers())
        self.uris.append(method + b" " + uri)
        answer = self.answer(self.bodies[-1])
        if isinstance(answer, Exception):
            return fail(answer)
        return answer if isinstance(answer, Deferred) else succeed(answer)


class Scripted:
    """Doors before a script, on a clock that the test turns."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.clock.advance(1_795_000_000)

    def cloud(self, answer: Callable[[bytes], Any], **more: Any) -> AwsCloud:
        self.script = Script(answer)
        keys = Credentials("AKIA", Secret("s"))
        more.setdefault("patience", Patience(seconds=30, attempts=4, base=1, cap=4))
        return open_cloud(
            self.clock,
            Random(7),
            StaticCredentials(keys),
            "eu-west-1",
            agent=self.script,
            **more,
        )

    def after(self, question: Any, seconds: float = 60) -> Deferred:
        """Ask, and let so much time pass, a second at a time."""
        waiting = ensureDeferred(question)
        for _ in range(int(seconds)):
            self.clock.advance(1)
        return waiting

    @staticmethod
    def ok(body: bytes = b"<ok/>", status: int = 200) -> WholeResponse:
        return WholeResponse(status, Headers(), body)

    refusal = staticmethod(refusal)


@pytest.fixture
def scripted() -> Scripted:
    return Scripted()
