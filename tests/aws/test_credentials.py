from __future__ import annotations

import datetime as dt
import json

import pytest
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from lae_protocol.aws.credentials import (
    ROLE_PATH,
    InstanceProfileCredentials,
    NoRole,
    StaticCredentials,
    parse_document,
)
from lae_protocol.aws.metadata import (
    ENDPOINT_VARIABLE,
    MetadataService,
    MetadataUnavailable,
    metadata_endpoint,
)
from lae_protocol.aws.sigv4 import Credentials
from lae_protocol.process.deadline import DeadlinePassed
from lae_protocol.secret import Secret

NOW = 1_795_000_000.0


def document(number: int, expires: float) -> bytes:
    return json.dumps(
        {
            "Code": "Success",
            "Type": "AWS-HMAC",
            "AccessKeyId": f"ASIA{number}",
            "SecretAccessKey": "secret-text",
            "Token": "token-text",
            "Expiration": dt.datetime.fromtimestamp(expires, dt.UTC).strftime(
                "%Y-%m-%dT%H:%M:%SZ"
            ),
        }
    ).encode()


class FakeMetadata:
    """IMDSv2 as AWS has it: no token, no answer."""

    def __init__(self, clock: Clock, response: type, life: float = 3600) -> None:
        self.clock, self.response, self.life = clock, response, life
        self.tokens = 0
        self.documents = 0
        self.broken = False
        self.role = b"the-role"
        self.held: list[tuple[Deferred, object]] | None = None

    def __call__(self, sent: object) -> object:
        answer = self.response(*self.answer(sent))
        if self.held is None:
            return answer
        waiting: Deferred = Deferred()
        self.held.append((waiting, answer))
        return waiting

    def release(self) -> None:
        while self.held:
            waiting, answer = self.held.pop(0)
            waiting.callback(answer)

    def answer(self, sent: object) -> tuple[int, bytes]:
        path = sent.uri.decode().removeprefix("http://imds.example")
        if self.broken:
            return 500, b""
        if path == "/latest/api/token":
            assert sent.method == b"PUT"
            ttl = sent.headers.getRawHeaders("X-aws-ec2-metadata-token-ttl-seconds")
            assert ttl == ["21600"]
            self.tokens += 1
            return 200, b"token%d" % self.tokens
        token = sent.headers.getRawHeaders("X-aws-ec2-metadata-token")
        if token != [f"token{self.tokens}"]:
            return 401, b""
        if path == ROLE_PATH:
            return (200, self.role) if self.role else (404, b"")
        if path == ROLE_PATH + "the-role":
            self.documents += 1
            return 200, document(self.documents, self.clock.seconds() + self.life)
        return 404, b"<html>"


class InstanceProfileTests(SynchronousTestCase):
    @pytest.fixture(autouse=True)
    def _fake(self, doubles: object) -> None:
        self.clock = Clock()
        self.clock.advance(NOW)
        self.fake = FakeMetadata(self.clock, doubles.Response)
        self.agent = doubles.Agent(self.fake)
        self.metadata = MetadataService(self.clock, self.agent, "http://imds.example")
        self.source = InstanceProfileCredentials(self.clock, self.metadata)

    def key(self) -> str:
        return self.successResultOf(self.source.current()).access_key

    def test_fetches_and_holds(self) -> None:
        """The role's keys, with token and end, are fetched once and then held."""
        got = self.successResultOf(self.source.current())
        self.assertEqual(got.access_key, "ASIA1")
        self.assertEqual(got.secret_key, Secret("secret-text"))
        self.assertEqual(got.token, Secret("token-text"))
        self.assertEqual(got.expires.timestamp(), NOW + 3600)
        self.assertIs(self.successResultOf(self.source.current()), got)

    def test_refreshes_five_minutes_before_the_end(self) -> None:
        """Keys are replaced from five minutes before they end, and not before."""
        self.key()
        self.clock.advance(3600 - 301)
        self.assertEqual(self.key(), "ASIA1")
        self.clock.advance(1)
        self.assertEqual(self.key(), "ASIA2")

    def test_single_flight(self) -> None:
        """Ten who ask at once cause one fetch and get the same keys."""
        self.fake.held = []
        asked = [self.source.current() for _ in range(10)]
        for one in asked:
            self.assertNoResult(one)
        self.fake.release()
        keys = {self.successResultOf(one).access_key for one in asked}
        self.assertEqual((keys, self.fake.documents), ({"ASIA1"}, 1))

    def test_cancelling_one_disturbs_nobody(self) -> None:
        """Who gives up waiting does not take the fetch away from the others."""
        self.fake.held = []
        first, second = self.source.current(), self.source.current()
        first.cancel()
        self.failureResultOf(first, CancelledError)
        self.fake.release()
        self.assertEqual(self.successResultOf(second).access_key, "ASIA1")

    def test_old_keys_serve_while_they_hold(self) -> None:
        """When no new keys come the old ones serve to their end, and no longer."""
        self.key()
        self.fake.broken = True
        self.clock.advance(3600 - 200)
        self.assertEqual(self.key(), "ASIA1")
        self.clock.advance(200)
        self.failureResultOf(self.source.current(), MetadataUnavailable)

    def test_failing_refresh_is_not_tried_for_every_request(self) -> None:
        """After a failed refresh the next try waits, and then succeeds."""
        self.key()
        self.fake.broken = True
        self.clock.advance(3600 - 200)
        self.key()
        asked = len(self.agent.sent)
        self.key()
        self.assertEqual(len(self.agent.sent), asked)
        self.fake.broken = False
        self.clock.advance(20)
        self.assertEqual(self.key(), "ASIA2")

    def test_a_spent_token_is_renewed(self) -> None:
        """A 401 with a token held before leads to one new token."""
        self.key()
        self.fake.tokens += 1  # the service was restarted and knows no token of ours
        self.clock.advance(3600)
        self.assertEqual(self.key(), "ASIA2")

    def test_no_role(self) -> None:
        """An instance without a role has no keys, and says so."""
        self.fake.role = b""
        self.failureResultOf(self.source.current(), NoRole)
        self.fake.role = b"the-role"
        self.assertEqual(self.key(), "ASIA1")

    def test_silence_ends(self) -> None:
        """A metadata service that never answers is given up after a while."""
        self.fake.held = []
        waiting = self.source.current()
        self.clock.advance(5)
        self.failureResultOf(waiting, DeadlinePassed)

    def test_unknown_document(self) -> None:
        """A path that does not exist gives None."""
        self.assertIsNone(self.successResultOf(self.metadata.get("/latest/nothing")))


def test_endpoint_of_the_environment_wins() -> None:
    """The variable of AWS' own SDKs comes before the settings and the default."""
    both = {ENDPOINT_VARIABLE: "http://127.0.0.1:1338/"}
    assert metadata_endpoint("http://b", both) == "http://127.0.0.1:1338"
    assert metadata_endpoint("http://b/", {}) == "http://b"
    assert metadata_endpoint(None, {}) == "http://169.254.169.254"


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"null",
        b'{"Code": "Failed"}',
        document(1, NOW).replace(b"SecretAccessKey", b"Other"),
        document(1, NOW).replace(b"20", b"??"),
    ],
)
def test_bad_documents_are_named_without_their_values(text: bytes) -> None:
    """A document that is none is an error that tells no secret."""
    with pytest.raises(MetadataUnavailable) as caught:
        parse_document(text)
    assert "secret-text" not in str(Failure(caught.value))
    assert caught.value.__cause__ is None


def test_static() -> None:
    """Keys of the settings are given as they are."""
    held = Credentials("AKIA", Secret("s"))
    results: list[Credentials] = []
    StaticCredentials(held).current().addCallback(results.append)
    assert results == [held]
