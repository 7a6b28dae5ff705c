"""Each real bug of txaws that would touch us, and that it does not."""

from __future__ import annotations

import warnings
from random import Random

import pytest
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.protocol import Factory, Protocol
from twisted.logger import LogLevel, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase, TestCase

from lae_protocol.aws.agent import pooled_agent
from lae_protocol.aws.credentials import StaticCredentials
from lae_protocol.aws.sigv4 import Credentials
from lae_protocol.secret import Secret
from lae_provision.aws.channel import Channel, Endpoints, Patience
from lae_provision.aws.hosts import TaggedParser
from lae_provision.aws.query import QueryFactory
from lae_provision.aws.s3 import NO_CREDENTIALS, BucketClient, checked_key
from lae_provision.doors import Sealed
from lae_provision.errors import Refused, TryLater
from lae_provision.txaws3.clients import EC2Client, Name, S3Client


class ScriptedTests(SynchronousTestCase):
    @pytest.fixture(autouse=True)
    def _scripted(self, scripted: object) -> None:
        self.scripted = scripted

    def test_ec2client_signs_as_today(self) -> None:
        """txaws' own EC2Client, with our queries, asks by POST, Version 4, the API of
        2016: its own are GET, Version 2, of 2012.
        """
        empty = (
            b"<DescribeInstancesResponse><reservationSet/></DescribeInstancesResponse>"
        )
        cloud = self.scripted.cloud(lambda _: self.scripted.ok(empty))
        factory = QueryFactory(cloud.channel)
        client = EC2Client(creds=NO_CREDENTIALS, query_factory=factory)
        self.assertEqual(self.successResultOf(client.describe_instances("i-1")), [])
        script = self.scripted.script
        self.assertEqual(script.uris, [b"POST https://ec2.eu-west-1.amazonaws.com/"])
        self.assertIn(b"Version=2016-11-15", script.bodies[0])
        self.assertNotIn(b"SignatureVersion", script.bodies[0])
        [authorization] = script.headers[0].getRawHeaders("authorization")
        self.assertTrue(authorization.startswith("AWS4-HMAC-SHA256 "))

    def test_s3_signs_for_its_region_and_all_of_its_headers(self) -> None:
        """S3's signature says the bucket's region, and covers every x-amz header:
        txaws says us-east-1 and signs the date alone.
        """
        cloud = self.scripted.cloud(lambda _: self.scripted.ok())
        client = BucketClient(cloud.channel)
        self.scripted.clock.advance(0)
        Deferred.fromCoroutine(
            client.call("PUT", "b", key="k", headers={"x-amz-tagging": "a=b"})
        )
        [headers] = self.scripted.script.headers
        [authorization] = headers.getRawHeaders("authorization")
        self.assertIn("/eu-west-1/s3/aws4_request", authorization)
        self.assertIn("x-amz-content-sha256;x-amz-date;x-amz-tagging", authorization)

    def test_credentials_stay_out_of_txaws_and_of_the_log(self) -> None:
        """No log event of a request has keys or a signature in it, and txaws says
        nothing at info level.
        """
        events: list[dict[str, object]] = []
        globalLogPublisher.addObserver(events.append)
        self.addCleanup(globalLogPublisher.removeObserver, events.append)
        cloud = self.scripted.cloud(
            lambda _: self.scripted.ok(b"<Error><Code>NoSuchBucket</Code></Error>", 404)
        )
        self.scripted.after(cloud.buckets.find("s4-g1"))
        asking = Deferred.fromCoroutine(cloud.addresses("Z").find("a.grid.example"))
        asking.addErrback(lambda _: None)
        told = " ".join(repr(event) for event in events)
        self.assertNotIn("AWS4-HMAC-SHA256", told)
        self.assertNotIn("AKIA", told)
        loud = [e for e in events if e["log_level"] > LogLevel.debug]
        self.assertEqual(
            [e for e in loud if "txaws" in str(e.get("log_namespace"))], []
        )

    def test_keys_that_txaws_would_store_elsewhere(self) -> None:
        """``a?b`` would be stored as ``a``, ``/x`` as ``x``: such keys are refused
        before a call is made.
        """
        vault = self.scripted.cloud(lambda _: self.scripted.ok()).vault("state")
        for key in ("a?b", "/x", "a//b", "a/", "./a", "a/../b", "", "a#b", "é", "a\n"):
            self.failureResultOf(vault.put(Sealed(key, b"x")), Refused)
            self.failureResultOf(vault.get(key), Refused)
        self.assertEqual(self.scripted.script.bodies, [])
        self.assertEqual(
            checked_key("identities/su1/1.sealed a"), "identities/su1/1.sealed a"
        )

    def test_tags_are_not_lost(self) -> None:
        """txaws' parser drops the tags of an instance, ours keeps them."""
        body = (
            b"<R><reservationSet><item><reservationId>r</reservationId><groupSet/>"
            b"<instancesSet><item><instanceId>i-1</instanceId><groupSet/>"
            b"<instanceState><name>running</name></instanceState>"
            b"<placement/><tagSet><item><key>a</key><value>b</value></item>"
            b"<item><key>c</key><value/></item></tagSet>"
            b"</item></instancesSet></item></reservationSet></R>"
        )
        [instance] = TaggedParser().describe_instances(body)
        self.assertEqual(instance.tags, {"a": "b", "c": ""})

    def test_a_success_of_another_status_is_not_none(self) -> None:
        """A status that was not expected is an error: txaws answers None to a 2xx."""
        cloud = self.scripted.cloud(lambda _: self.scripted.ok(b"", 202))
        call = BucketClient(cloud.channel).call("GET", "b")
        self.failureResultOf(self.scripted.after(Deferred.fromCoroutine(call)), Refused)

    def test_nothing_is_looked_up_in_the_environment(self) -> None:
        """Doors are made without credentials in the environment or in files."""
        cloud = self.scripted.cloud(lambda _: self.scripted.ok())
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert cloud.buckets
            assert cloud.vault("b")
            assert cloud.addresses("Z")
            assert cloud.hosts


class Raw(Protocol):
    """Answers every request with the bytes that the factory has, and hangs up."""

    def dataReceived(self, data: bytes) -> None:
        self.transport.write(self.factory.answer)
        if self.factory.hang_up:
            self.transport.loseConnection()


class RealSocketTests(TestCase):
    def client(self, answer: bytes, *, hang_up: bool) -> BucketClient:
        factory = Factory.forProtocol(Raw)
        factory.answer, factory.hang_up = answer, hang_up
        port = reactor.listenTCP(0, factory, interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        plain = pooled_agent(reactor)
        self.addCleanup(plain._pool.closeCachedConnections)

        url = f"http://127.0.0.1:{port.getHost().port}"
        keys = StaticCredentials(Credentials("A", Secret("s")))
        channel = Channel(
            reactor,
            Random(1),
            plain,
            keys,
            Endpoints("eu-west-1", url),
            Patience(seconds=0.5, attempts=1),
        )
        return BucketClient(channel)

    def get(self, client: BucketClient) -> Deferred:
        return Deferred.fromCoroutine(client.call("GET", "b", key="k"))

    async def test_a_cut_body_is_an_error(self) -> None:
        """A body that ends early fails: in txaws it raises inside the transport, and
        whoever waits for it waits for ever.
        """
        head = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort"
        client = self.client(head, hang_up=True)
        failure = await self.assertFailure(self.get(client), TryLater)
        self.assertEqual(failure.code, "BodyCutShort")

    async def test_a_body_that_never_ends_is_given_up(self) -> None:
        """txaws has no deadlines; ours holds for the body too."""
        head = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nslow"
        client = self.client(head, hang_up=False)
        failure = await self.assertFailure(self.get(client), TryLater)
        self.assertEqual(failure.code, "DeadlinePassed")

    async def test_headers_that_never_come_are_given_up(self) -> None:
        """A server that takes the request and says nothing is given up."""
        failure = await self.assertFailure(
            self.get(self.client(b"", hang_up=False)), TryLater
        )
        self.assertEqual(failure.code, "DeadlinePassed")


class OnMotoTests(TestCase):
    @pytest.fixture(autouse=True)
    def _benches(self, benches: object) -> None:
        self.benches = benches

    def setUp(self) -> None:
        self.addCleanup(self.benches.close)
        owner = self.benches.account.own
        self.owner = self.benches.cloud(owner)
        self.client = BucketClient(self.owner.channel)

    async def test_head_object(self) -> None:
        """head_object answers headers: the attribute it read never existed."""
        await self.client.put_object("s4-state", "headed", b"12345")
        headers = await self.client.head_object("s4-state", "headed")
        self.assertIn("etag", {name.lower() for name in headers})
        self.assertIsInstance(self.client, S3Client)

    async def test_parts(self) -> None:
        """upload_part answers the part's headers; it read the same attribute."""
        started = await self.client.init_multipart_upload("s4-state", "parts")
        headers = await self.client.upload_part(
            "s4-state", "parts", started.upload_id, 1, b"x" * 10
        )
        self.assertIn("etag", {name.lower() for name in headers})

    async def test_a_prefix_with_a_space(self) -> None:
        """A listing by a prefix with a space finds what begins so."""
        await self.client.put_object("s4-state", "a b/c", b"x")
        await self.client.put_object("s4-state", "a+b/c", b"x")
        listed = await self.client.get_bucket("s4-state", prefix="a b")
        self.assertEqual([item.key for item in listed.contents], ["a b/c"])

    async def test_session_tokens(self) -> None:
        """A session's keys work for S3 and for the query protocol: txaws has no place
        for the token.
        """
        iam = self.benches.account.client("iam")
        trust = '{"Version":"2012-10-17","Statement":[]}'
        iam.create_role(RoleName="sessions", AssumeRolePolicyDocument=trust)
        allow = (
            '{"Version":"2012-10-17","Statement":[{"Effect":"Allow",'
            '"Action":["s3:*","ec2:*"],"Resource":"*"}]}'
        )
        iam.put_role_policy(RoleName="sessions", PolicyName="p", PolicyDocument=allow)
        cloud = self.benches.cloud(self.benches.account.session("sessions"))
        self.assertIsNone(await cloud.vault("s4-state").get("no/such/key"))
        await cloud.hosts.list("s4")
        caller = await cloud.caller.identity()
        self.assertIn("sessions", caller.arn)

    async def test_a_record_is_found_in_a_full_zone(self) -> None:
        """A name is found whatever else is in the zone: a listing of the whole would
        stop at its first page, or at a record that txaws cannot read.
        """
        account = self.benches.account
        route53 = account.client("route53")
        records = [
            {
                "Name": f"x{n:03}.grid.example",
                "Type": "A",
                "TTL": 60,
                "ResourceRecords": [{"Value": "198.18.0.9"}],
            }
            for n in range(320)
        ] + [
            {
                "Name": "txt.grid.example",
                "Type": "TXT",
                "TTL": 60,
                "ResourceRecords": [{"Value": '"a b"'}],
            }
        ]
        route53.change_resource_record_sets(
            HostedZoneId=account.zone_id,
            ChangeBatch={
                "Changes": [
                    {"Action": "UPSERT", "ResourceRecordSet": r} for r in records
                ]
            },
        )
        door = self.benches.bench().addresses
        await door.make("zz.grid.example", "198.18.0.3")
        self.assertEqual(await door.find("zz.grid.example"), "198.18.0.3")
        self.assertIsNone(await door.find("txt.grid.example"))
        self.assertIsNone(await door.find("x000a.grid.example"))
        listed = await door.list()
        every = {f"x{n:03}.grid.example" for n in range(320)} | {"zz.grid.example"}
        self.assertLessEqual(every, set(listed))
        self.assertEqual(listed["zz.grid.example"], "198.18.0.3")
        self.assertNotIn("txt.grid.example", listed)
        with self.assertRaises(Refused):
            await door.make("zz.grid.example", "::1")


def test_names_are_text() -> None:
    """A name's text is text; in Python 3 its str() gave bytes, and raised."""
    assert str(Name("g1.grid.example")) == "g1.grid.example."
