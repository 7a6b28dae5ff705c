from __future__ import annotations

from itertools import pairwise
from urllib.parse import parse_qs

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionLost
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.client import ResponseNeverReceived

from lae_provision.aws.channel import Endpoints
from lae_provision.aws.faults import Throttled
from lae_provision.aws.parameters import flatten, members
from lae_provision.doors import RoleRequest
from lae_provision.errors import Refused, TryLater

CALLER = b"<r><Account>123456789012</Account><Arn>arn:aws:iam::1:user/x</Arn></r>"


class RetryTests(SynchronousTestCase):
    @pytest.fixture(autouse=True)
    def _scripted(self, scripted: object) -> None:
        self.scripted = scripted

    def asked(self, *answers: object) -> Deferred:
        """Ask STS, which answers so, one after the other."""
        queue = list(answers)
        cloud = self.scripted.cloud(lambda _: queue.pop(0))
        return Deferred.fromCoroutine(cloud.caller.identity())

    def throttle(self) -> object:
        return self.scripted.refusal("RequestLimitExceeded", status=503)

    def test_throttling_is_waited_out(self) -> None:
        """Two throttled tries and a lost answer later, the call succeeds."""
        lost = ResponseNeverReceived([ConnectionLost()])
        done = self.asked(
            self.throttle(), self.throttle(), lost, self.scripted.ok(CALLER)
        )
        self.assertNoResult(done)
        caller = self.successResultOf(self.scripted.after(done))
        self.assertEqual(caller.account, "123456789012")
        self.assertEqual(len(self.scripted.script.bodies), 4)

    def test_tries_are_bounded(self) -> None:
        """After the last try the error is told, as what it is."""
        done = self.asked(*[self.throttle() for _ in range(9)])
        self.failureResultOf(self.scripted.after(done), Throttled)
        self.assertEqual(len(self.scripted.script.bodies), 4)

    def test_a_refusal_is_not_repeated(self) -> None:
        """What is refused is asked once."""
        done = self.asked(self.scripted.refusal("AccessDenied", status=403))
        self.failureResultOf(done, Refused)

    def test_silence_has_an_end(self) -> None:
        """A service that never answers is given up on each try, and then for good."""
        done = self.asked(*[Deferred() for _ in range(4)])
        self.assertNoResult(self.scripted.after(done, 100))
        failure = self.failureResultOf(self.scripted.after(done, 40), TryLater)
        self.assertEqual(failure.value.code, "DeadlinePassed")

    def test_nonsense_is_tried_again(self) -> None:
        """An answer of status 200 that is no XML may have taken effect."""
        done = self.asked(self.scripted.ok(b"<cut"), self.scripted.ok(CALLER))
        self.successResultOf(self.scripted.after(done))

    def test_pauses_differ(self) -> None:
        """Pauses grow and have jitter, from the source of chance that was given."""
        moments: list[float] = []
        clock = self.scripted.clock

        def answer(_: bytes) -> object:
            moments.append(clock.seconds())
            return self.throttle()

        asking = self.scripted.cloud(answer).caller.identity()
        done = Deferred.fromCoroutine(asking)
        for _ in range(2000):
            clock.advance(0.01)
        self.failureResultOf(done, Throttled)
        pauses = [b - a for a, b in pairwise(moments)]
        self.assertEqual(len({round(p, 2) for p in pauses}), 3)
        self.assertTrue(all(0.1 <= p <= 4.1 for p in pauses), pauses)

    def test_what_was_just_made_may_be_unknown(self) -> None:
        """A role that IAM made a moment ago is waited for, not taken for refused."""
        role = (
            b"<R><Role><Arn>arn:aws:iam::1:role/s4/g</Arn></Role><InstanceProfile>"
            b"<Roles><member><RoleName>g</RoleName><Arn>a</Arn></member></Roles>"
            b"</InstanceProfile></R>"
        )
        unknown = self.scripted.refusal("NoSuchEntity", status=404)
        ok = self.scripted.ok(role)
        answers = [ok, unknown, unknown, ok, ok, unknown, ok]
        cloud = self.scripted.cloud(lambda _: answers.pop(0))
        request = RoleRequest("g", "/s4/", "arn:b", "g", ())
        arn = self.successResultOf(self.scripted.after(cloud.roles.make(request)))
        self.assertEqual(arn, "arn:aws:iam::1:role/s4/g")
        self.assertEqual(answers, [])

    def test_wrong_account(self) -> None:
        """Keys of another account than the settings say are refused at start."""
        cloud = self.scripted.cloud(lambda _: self.scripted.ok(CALLER))
        self.successResultOf(cloud.caller.check_account("123456789012"))
        self.failureResultOf(cloud.caller.check_account("999999999999"), Refused)

    def test_queries_are_posted_and_signed_for_their_region(self) -> None:
        """STS is asked in the region, by POST, with Version 4 and today's API."""
        self.asked(self.scripted.ok(CALLER))
        script = self.scripted.script
        self.assertEqual(script.uris, [b"POST https://sts.eu-west-1.amazonaws.com/"])
        sent = parse_qs(script.bodies[0].decode())
        self.assertEqual(sent["Version"], ["2011-06-15"])
        [authorization] = script.headers[0].getRawHeaders("authorization")
        self.assertIn("/eu-west-1/sts/aws4_request", authorization)


def test_endpoints() -> None:
    """On AWS each service has its own host, IAM and Route 53 one for the world."""
    aws = Endpoints("eu-west-1")
    assert aws.url("s3") == "https://s3.eu-west-1.amazonaws.com"
    assert aws.url("iam") == "https://iam.amazonaws.com"
    assert aws.signed_region("iam") == "us-east-1"
    assert aws.signed_region("ec2") == "eu-west-1"
    assert not aws.path_style
    local = Endpoints("eu-west-1", "http://127.0.0.1:1/", "http://127.0.0.1:2")
    assert (local.url("ec2"), local.url("s3")) == (
        "http://127.0.0.1:1",
        "http://127.0.0.1:2",
    )
    assert local.path_style


def test_parameters() -> None:
    """Lists and nested values are named as the query protocol names them."""
    assert flatten(
        {"A": [{"B": "x", "C": ["y", "z"]}], "D": True, "E": None, "F": 0}
    ) == {
        "A.1.B": "x",
        "A.1.C.1": "y",
        "A.1.C.2": "z",
        "D": "true",
        "F": "0",
    }
    assert flatten(members({"Tags": [{"Key": "k"}]})) == {"Tags.member.1.Key": "k"}
