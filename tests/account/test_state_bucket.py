"""Whose a bucket is, asked of an S3 that answers as AWS does."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest
from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgent
from zope.interface import implementer

from lae_protocol.aws.credentials import StaticCredentials
from lae_protocol.aws.sigv4 import Credentials
from lae_protocol.secret import Secret
from lae_provision.account.api import AccountApi, NotAllowed
from lae_provision.account.state_bucket import (
    Bucket,
    NoBucket,
    SomebodyElses,
    StateBucket,
    StateBuckets,
)
from lae_provision.aws.cloud import open_cloud
from lae_provision.aws.policies import bucket_policy
from lae_provision.aws.whole import WholeResponse

ERROR = b"<Error><Code>%s</Code><Message>no</Message></Error>"
LISTED = b'<ListAllMyBucketsResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Buckets>%s</Buckets></ListAllMyBucketsResult>'


@implementer(IAgent)
class S3:
    """Answers by method and query; what is not known is answered 404."""

    def __init__(self, answers: dict[str, tuple[int, bytes]]) -> None:
        self.answers = answers
        self.put: dict[str, bytes] = {}

    def request(
        self, method: bytes, uri: bytes, headers: Any = None, producer: Any = None
    ) -> Deferred:
        path = uri.decode().partition("amazonaws.com")[2]
        if method == b"PUT":
            self.put[path] = producer._inputFile.getvalue()
            return succeed(WholeResponse(200, Headers(), b""))
        key = f"{method.decode()} {path}"
        status, body = self.answers.get(key, (404, ERROR % b"NoSuchTagSet"))
        return succeed(WholeResponse(status, Headers(), body))


class FindTests(SynchronousTestCase):
    def buckets(self, **answers: tuple[int, bytes]) -> StateBuckets:
        named = {
            "listed": "GET /?prefix=s4-state",
            "head": "HEAD /",
            "where": "GET /?location",
            "policy": "GET /?policy",
            "lifecycle": "GET /?lifecycle",
            "encryption": "GET /?encryption",
        }
        self.s3 = S3({named[name]: answer for name, answer in answers.items()})
        clock = Clock()
        clock.advance(1_795_000_000)
        keys = StaticCredentials(Credentials("AKIA", Secret("s")))
        cloud = open_cloud(clock, Random(1), keys, "eu-west-1", agent=self.s3)
        wanted = StateBucket("s4-state", "eu-west-1", "s4")
        return StateBuckets(AccountApi(cloud.channel), wanted)

    def find(self, **answers: tuple[int, bytes]) -> Any:
        return self.successResultOf(
            Deferred.fromCoroutine(self.buckets(**answers).find())
        )

    def test_nobodys(self) -> None:
        """A name that S3 does not know is free."""
        self.assertEqual(
            self.find(listed=(200, LISTED % b""), head=(404, b"")), NoBucket()
        )

    def test_somebody_elses(self) -> None:
        """A bucket of that name which is not in the account's list is another's, be it
        closed to us, open to all, or elsewhere.
        """
        for status in (403, 200, 301):
            found = self.find(listed=(200, LISTED % b""), head=(status, b""))
            self.assertEqual(found, SomebodyElses(), status)

    def test_ours(self) -> None:
        """Encryption with a key of one's own counts; a rule that deletes is seen."""
        name = b"<Bucket><Name>s4-state</Name></Bucket>"
        rule = b"<LifecycleConfiguration><Rule><Status>Enabled</Status><Expiration><Days>1</Days></Expiration></Rule></LifecycleConfiguration>"
        kms = b"<ServerSideEncryptionConfiguration><Rule><ApplyServerSideEncryptionByDefault><SSEAlgorithm>aws:kms</SSEAlgorithm></ApplyServerSideEncryptionByDefault></Rule></ServerSideEncryptionConfiguration>"
        found = self.find(
            listed=(200, LISTED % name),
            where=(200, b"<LocationConstraint>eu-west-1</LocationConstraint>"),
            encryption=(200, kms),
            lifecycle=(200, rule),
        )
        self.assertEqual(
            found,
            Bucket(
                "eu-west-1", frozenset(), frozenset({"encryption"}), None, expires=True
            ),
        )

    def test_the_list_is_not_ours_to_see(self) -> None:
        """Without the permission to list, nobody is suspected."""
        waiting = Deferred.fromCoroutine(
            self.buckets(listed=(403, ERROR % b"AccessDenied")).find()
        )
        self.assertEqual(
            self.failureResultOf(waiting, NotAllowed).value.action,
            "s3:ListAllMyBuckets",
        )

    def test_tls_only(self) -> None:
        """The policy that is put refuses plain HTTP."""
        made = self.buckets()
        self.successResultOf(
            Deferred.fromCoroutine(
                made.make("policy", Bucket("eu-west-1", frozenset(), frozenset()))
            )
        )
        [(path, body)] = self.s3.put.items()
        self.assertEqual(path, "/?policy")
        assert b'"aws:SecureTransport": "false"' in body
        assert bucket_policy("s4-state").count("Deny") == body.decode().count("Deny")


@pytest.mark.parametrize("step", ["encryption", "versioning", "publicAccessBlock"])
def test_each_setting_is_put_alone(step: str) -> None:
    """A setting that differs is put, and no other is touched."""
    case = FindTests()
    made = case.buckets()
    case.successResultOf(Deferred.fromCoroutine(made.make(step, NoBucket())))
    assert list(case.s3.put) == [f"/?{step}"]
