from __future__ import annotations

import json

import attrs
import pytest
from twisted.trial.unittest import SynchronousTestCase, TestCase

from lae_provision.aws import buckets
from lae_provision.aws.bucket_settings import contains, location, settings_of
from lae_provision.aws.policies import bucket_policy
from lae_provision.doors import BucketRequest
from lae_provision.errors import AlreadyThere, Refused, TryLater
from lae_provision.txaws3.clients import XML
from tests.provision.contracts.suite import bucket_request, word

REQUEST = BucketRequest("s4-g1", "eu-west-1", (("s4:signup", "su1"),), tls_only=True)


class OnMotoTests(TestCase):
    @pytest.fixture(autouse=True)
    def _benches(self, benches: object, monkeypatch: pytest.MonkeyPatch) -> None:
        self.benches, self.monkeypatch = benches, monkeypatch
        self.s3 = benches.account.client("s3")

    def setUp(self) -> None:
        self.addCleanup(self.benches.close)
        self.bench = self.benches.bench()
        self.door = self.bench.buckets

    def create(self, name: str) -> None:
        there = {"LocationConstraint": "eu-west-1"}
        self.s3.create_bucket(Bucket=name, CreateBucketConfiguration=there)

    async def test_all_that_is_set(self) -> None:
        """The bucket is in its region, closed to the public, encrypted, versioned with
        a lifecycle, over TLS only, and tagged.
        """
        request = attrs.evolve(
            bucket_request(self.bench), tls_only=True, noncurrent_days=17
        )
        await self.door.make(request)
        name = request.name
        where = self.s3.get_bucket_location(Bucket=name)["LocationConstraint"]
        self.assertEqual(where, "eu-west-1")
        block = self.s3.get_public_access_block(Bucket=name)
        self.assertEqual(set(block["PublicAccessBlockConfiguration"].values()), {True})
        encryption = self.s3.get_bucket_encryption(Bucket=name)
        [rule] = encryption["ServerSideEncryptionConfiguration"]["Rules"]
        self.assertEqual(
            rule["ApplyServerSideEncryptionByDefault"], {"SSEAlgorithm": "AES256"}
        )
        versioning = self.s3.get_bucket_versioning(Bucket=name)
        self.assertEqual(versioning["Status"], "Enabled")
        [rule] = self.s3.get_bucket_lifecycle_configuration(Bucket=name)["Rules"]
        self.assertEqual(rule["NoncurrentVersionExpiration"], {"NoncurrentDays": 17})
        self.assertEqual(
            rule["AbortIncompleteMultipartUpload"], {"DaysAfterInitiation": 1}
        )
        policy = json.loads(self.s3.get_bucket_policy(Bucket=name)["Policy"])
        self.assertEqual(policy, json.loads(bucket_policy(name)))
        tags = self.s3.get_bucket_tagging(Bucket=name)["TagSet"]
        self.assertEqual({(t["Key"], t["Value"]) for t in tags}, set(request.tags))

    async def test_half_made_is_not_found_and_is_finished(self) -> None:
        """A bucket that a crash left without its settings is not found; making it
        again finishes it.
        """
        request = bucket_request(self.bench)
        self.create(request.name)
        self.assertIsNone(await self.door.find(request.name))
        await self.door.make(request)
        self.assertEqual(await self.door.find(request.name), request.name)
        versioning = self.s3.get_bucket_versioning(Bucket=request.name)
        self.assertEqual(versioning["Status"], "Enabled")

    async def test_a_setting_that_does_not_stay_is_noticed(self) -> None:
        """Where S3 answers "done" and has done nothing, the bucket is not called made."""
        door = self.benches.swallowing(b"?versioning").buckets
        request = bucket_request(self.bench)
        with self.assertRaises(TryLater) as caught:
            await door.make(request)
        self.assertEqual(caught.exception.code, "NotSetYet")
        self.assertIsNone(await door.find(request.name))

    async def test_another_customers_bucket(self) -> None:
        """A bucket with other tags than the request's is somebody's: left alone."""
        request = bucket_request(self.bench)
        await self.door.make(request)
        other = attrs.evolve(request, tags=(("s4:signup", "other"),))
        with self.assertRaises(AlreadyThere):
            await self.door.make(other)

    async def test_unmake_takes_all_versions_of_all_pages(self) -> None:
        """Versions, markers and unfinished uploads of several pages go, and the
        bucket with them.
        """
        self.monkeypatch.setattr(buckets, "PAGE", 2)
        request = bucket_request(self.bench)
        await self.door.make(request)
        name = request.name
        for n in range(3):
            for key in ("v1/a", "v1/b c&d", f"v1/{n}"):
                self.s3.put_object(Bucket=name, Key=key, Body=b"x")
        self.s3.delete_object(Bucket=name, Key="v1/a")
        for key in ("v1/u", "v1/w", "v1/z"):
            self.s3.create_multipart_upload(Bucket=name, Key=key)
        await self.door.unmake(name)
        left = [b["Name"] for b in self.s3.list_buckets()["Buckets"]]
        self.assertNotIn(name, left)

    async def test_foreign_names_are_not_ours(self) -> None:
        """The policy lets the daemon near no bucket but its deployment's."""
        self.create("somebodys-bucket")
        self.assertIsNone(await self.door.find("somebodys-bucket"))
        foreign = bucket_request(self.bench, word("foreign"))
        with self.assertRaises(Refused):
            await self.door.make(foreign)
        with self.assertRaises(Refused):
            await self.door.unmake("somebodys-bucket")


class ScriptedTests(SynchronousTestCase):
    @pytest.fixture(autouse=True)
    def _scripted(self, scripted: object) -> None:
        self.scripted = scripted

    def test_what_cannot_be_deleted_is_told(self) -> None:
        """A DeleteObjects of status 200 with an error inside is no success."""
        page = (
            b"<ListVersionsResult><Version><Key>k</Key><VersionId>1</VersionId>"
            b"</Version></ListVersionsResult>"
        )
        partial = (
            b"<DeleteResult><Error><Key>k</Key><Code>AccessDenied</Code>"
            b"<Message>no</Message></Error></DeleteResult>"
        )
        answers = [self.scripted.ok(page), self.scripted.ok(partial)]
        door = self.scripted.cloud(lambda _: answers.pop(0)).buckets
        failure = self.failureResultOf(self.pumped(door.unmake("s4-g1")), Refused)
        self.assertEqual(failure.value.code, "AccessDenied")

    def test_a_bucket_that_is_still_written_to(self) -> None:
        """Where somebody writes between emptying and deleting, it is tried later."""
        empty = self.scripted.ok(b"<ListResult/>")
        full = self.scripted.ok(b"<Error><Code>BucketNotEmpty</Code></Error>", 409)
        answers = [empty, empty, full]
        door = self.scripted.cloud(lambda _: answers.pop(0)).buckets
        self.failureResultOf(self.pumped(door.unmake("s4-g1")), TryLater)

    def test_on_aws_the_bucket_is_in_the_hosts_name(self) -> None:
        """On AWS a bucket has its own host; behind an endpoint it is in the path."""
        missing = self.scripted.ok(b"<Error><Code>NoSuchBucket</Code></Error>", 404)
        self.pumped(self.scripted.cloud(lambda _: missing).buckets.find("s4-g1"))
        self.assertEqual(
            self.scripted.script.uris,
            [b"GET https://s4-g1.s3.eu-west-1.amazonaws.com/?tagging"],
        )
        local = self.scripted.cloud(lambda _: missing, s3_endpoint="http://h:1")
        self.pumped(local.buckets.find("s4-g1"))
        self.assertEqual(self.scripted.script.uris, [b"GET http://h:1/s4-g1/?tagging"])

    def pumped(self, waiting: object) -> object:
        return self.scripted.after(waiting)


def test_location() -> None:
    """us-east-1 is the place that must not be named."""
    assert location("us-east-1") == b""
    assert b"<LocationConstraint>eu-west-1</LocationConstraint>" in location(
        "eu-west-1"
    )


def test_reading_back() -> None:
    """What S3 adds does not matter; what it lacks or says otherwise does."""
    expected = XML(b"<A><B>1</B><C><D>2</D></C></A>")
    assert contains(XML(b"<A><X/><C><D>2</D><E/></C><B> 1 </B></A>"), expected)
    assert not contains(XML(b"<A><B>1</B><C><D>3</D></C></A>"), expected)
    assert not contains(XML(b"<A><C><D>2</D></C></A>"), expected)


def test_settings_agree_with_themselves_alone() -> None:
    """Each document reads back as itself, and as no other one's."""
    settings = settings_of(REQUEST)
    for one in settings:
        for other in settings:
            assert one.agrees(other.document) == (one is other), one.subresource


def test_without_tls_there_is_no_policy() -> None:
    """A local S3 without TLS gets no policy that would close it."""
    plain = settings_of(attrs.evolve(REQUEST, tls_only=False))
    assert [s.subresource for s in plain] == [
        "publicAccessBlock",
        "encryption",
        "versioning",
        "lifecycle",
    ]
