"""The store over HTTP against a server that misbehaves, with no sockets."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest
from treq.testing import RequestTraversalAgent
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.error import ConnectError
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET

from lae_protocol.aws.credentials import StaticCredentials
from lae_protocol.aws.sigv4 import Credentials
from lae_protocol.secret import Secret
from lae_storage.s3.conditional import ConditionalWriter
from lae_storage.s3.exchange import ATTEMPTS
from lae_storage.s3.interface import (
    Bytes,
    ConditionFailed,
    Denied,
    Unavailable,
    Unclear,
    Withdrawn,
)
from lae_storage.s3.over_http import BucketPlace, HttpStore
from lae_storage.server.spool import Spool, SpoolBody

KEYS = Credentials("AKIAEXAMPLEEXAMPLE00", Secret("an-example-secret"))
Script = Callable[[Any], Any]


class Scripted(Resource):
    """Answers each request by the next step, the last one again and again."""

    isLeaf = True

    def __init__(self, *steps: Script) -> None:
        super().__init__()
        self.steps = list(steps)
        self.seen: list[Any] = []

    def render(self, request: Any) -> Any:
        content = request.content.read()
        self.seen.append((request.method.decode(), request.uri.decode(), content))
        self.headers = request.requestHeaders
        step = self.steps.pop(0) if len(self.steps) > 1 else self.steps[0]
        return step(request)


def status(code: int, body: bytes = b"", **headers: str) -> Script:
    def step(request: Any) -> bytes:
        request.setResponseCode(code)
        for name, value in headers.items():
            request.setHeader(name.replace("_", "-"), value)
        return body

    return step


def error(code: int, name: str) -> Script:
    return status(code, f"<Error><Code>{name}</Code></Error>".encode())


def hang(request: Any) -> int:
    return NOT_DONE_YET


def cut(request: Any) -> int:
    """The connection ends in the middle of the answer."""
    request.setHeader("content-length", "100")
    request.write(b"only this")
    request.channel.loseConnection()
    return NOT_DONE_YET


def ranged(data: bytes, most: int | None = None) -> Script:
    """Answers the range that is asked for; of *most* bytes, then the connection ends."""

    def step(request: Any) -> int:
        asked = request.getHeader("range").removeprefix("bytes=").split("-")
        start, last = int(asked[0]), min(int(asked[1]), len(data) - 1)
        request.setResponseCode(206)
        request.setHeader("content-range", f"bytes {start}-{last}/{len(data)}")
        request.setHeader("content-length", str(last - start + 1))
        stop = last + 1 if most is None else start + most
        request.write(data[start:stop])
        if most is None:
            request.finish()
        else:
            request.channel.loseConnection()
        return NOT_DONE_YET

    return step


def growing(folder: Path, length: int, here: int) -> SpoolBody:
    """A body of *length* bytes, of which the first are here."""
    spool = Spool(length, folder)
    spool.write(0, b"x" * here)
    return SpoolBody(spool, 0, length, held=True)


OK = status(200, b"hello", etag='"e"')


class Asking:
    """A store on a scripted server, with a clock."""

    def __init__(
        self,
        *steps: Script,
        endpoint: str | None = "http://s3.test",
        credentials: Any = None,
    ) -> None:
        self.server, self.clock = Scripted(*steps), Clock()
        self.agent = RequestTraversalAgent(self.server)
        place = BucketPlace("bkt", "eu-west-1", endpoint, "p/")
        self.store = HttpStore(
            self.clock,
            self.agent,
            credentials or StaticCredentials(KEYS),
            place,
            rng=Random(0),
        )

    def now(self, asking: Deferred[Any]) -> Any:
        """The answer, while time goes on."""
        found: list[Any] = []
        asking.addBoth(found.append)
        for _ in range(1000):
            if found:
                break
            self.agent.flush()
            self.clock.advance(1)
        assert found, "no answer"
        if isinstance(found[0], Failure):
            found[0].raiseException()
        return found[0]


@pytest.mark.parametrize(
    "trouble",
    [error(503, "SlowDown"), error(500, "InternalError"), cut, hang, status(502)],
)
def test_reads_are_repeated(trouble: Script) -> None:
    """A read outlives throttling, failures, a cut body and silence."""
    asking = Asking(trouble, trouble, OK)
    assert asking.now(asking.store.get("k")).data == b"hello"
    assert len(asking.server.seen) == 3


@pytest.mark.parametrize("trouble", [error(503, "SlowDown"), cut])
def test_reads_end(trouble: Script) -> None:
    """Tries are bounded, and the end is an error that says: later."""
    asking = Asking(trouble)
    with pytest.raises(Unavailable):
        asking.now(asking.store.get("k"))
    assert len(asking.server.seen) == ATTEMPTS


class Renewed:
    """Other keys each time that it is asked, as after their end."""

    def __init__(self) -> None:
        self.given = 0

    def current(self) -> Deferred[Credentials]:
        self.given += 1
        return succeed(Credentials(f"KEY{self.given}", Secret("s")))


@pytest.mark.parametrize("condition", [{}, {"if_absent": True}])
def test_keys_that_end_in_the_middle(condition: Any) -> None:
    """A request refused for its keys' end is signed anew, with the keys of then; and
    a conditional one, too: nothing was done.
    """
    signed = []

    def note(step: Script) -> Script:
        def noting(request: Any) -> Any:
            signed.append(request.getHeader("authorization").split("/")[0])
            return step(request)

        return noting

    refused, done = error(400, "ExpiredToken"), status(200, etag='"new"')
    asking = Asking(note(refused), note(done), credentials=Renewed())
    put = asking.store.put("k", Bytes(b"x"), {}, **condition)
    assert asking.now(put) == '"new"'
    assert [words.rpartition("=")[2] for words in signed] == ["KEY1", "KEY2"]


def _silent(asking: Asking, request: Deferred[Any], kind: type[Exception]) -> float:
    """The seconds until the error."""
    with pytest.raises(kind):
        asking.now(request)
    return asking.clock.seconds()


def test_a_silent_store_is_told_of_in_time() -> None:
    """A client hears of a store that answers nothing well within its 60 seconds."""
    asking = Asking(hang)
    assert _silent(asking, asking.store.get("k"), Unavailable) < 30
    asking = Asking(hang)
    writer = ConditionalWriter(asking.store, asking.clock, lambda: "t", Random(0))
    put = Deferred.fromCoroutine(writer.put("k", Bytes(b"x"), None))
    assert _silent(asking, put, Unavailable) < 40
    assert [method for method, _, _ in asking.server.seen].count("PUT") == 1


def test_a_write_of_unclear_fate_ends_in_time() -> None:
    """Where puts vanish and looks find nothing, the end comes before the client's."""
    asking = Asking(*([hang, error(404, "NoSuchKey")] * 20))
    writer = ConditionalWriter(asking.store, asking.clock, lambda: "t", Random(0))
    put = Deferred.fromCoroutine(writer.put("k", Bytes(b"x"), None))
    assert _silent(asking, put, Unclear) < 40


def test_a_large_body_has_the_time_it_takes() -> None:
    """The deadline grows with what is sent."""
    asking = Asking(hang)
    put = asking.store.put("k", Bytes(bytes(16 << 20)), {}, if_absent=True)
    assert 15 < _silent(asking, put, Unclear) < 40


def test_a_body_that_grows_has_its_time_too(tmp_path: Path) -> None:
    """While its bytes are awaited the deadline is later, and yet before the client's."""
    asking = Asking(hang)
    body = growing(tmp_path, 16 << 20, 1 << 20)
    put = asking.store.put("k", body, {}, if_absent=True)
    assert 35 < _silent(asking, put, Unclear) < 40


def test_a_withdrawn_body_ends_the_request(tmp_path: Path) -> None:
    """It is no loss of unclear fate: nothing was written, and nothing is tried again."""
    asking = Asking(hang)
    body = growing(tmp_path, 300_000, 200_000)
    put = asking.store.put("k", body, {}, if_absent=True)
    asking.agent.flush()
    body.withdraw()
    with pytest.raises(Withdrawn):
        asking.now(put)
    assert asking.server.seen == []


def test_a_range_that_is_cut_goes_on_where_it_ended() -> None:
    """Each byte is handed on once, in order, however often the connection is cut."""
    data = bytes(range(250)) * 4
    asking = Asking(ranged(data, 290), ranged(data, 1), ranged(data))
    taken: list[bytes] = []
    asking.now(asking.store.pour("k", 10, 900, taken.append))
    assert b"".join(taken) == data[10:910]


def test_a_range_beyond_the_end_is_empty() -> None:
    """416 is no error of a range that begins where the object ends."""
    asking = Asking(error(416, "InvalidRange"))
    taken: list[bytes] = []
    asking.now(asking.store.pour("k", 10, 900, taken.append))
    assert taken == []


@pytest.mark.parametrize("trouble", [error(500, "InternalError"), hang])
@pytest.mark.parametrize("condition", [{"if_absent": True}, {"if_match": '"e"'}])
def test_a_conditional_put_is_sent_once(trouble: Script, condition: Any) -> None:
    """Where the reply does not tell, it is not repeated: its fate is unclear."""
    asking = Asking(trouble)
    with pytest.raises(Unclear):
        asking.now(asking.store.put("k", Bytes(b"x"), {}, **condition))
    assert len(asking.server.seen) == 1


def test_a_throttled_conditional_put_is_sent_again() -> None:
    """SlowDown says that nothing was done."""
    asking = Asking(error(503, "SlowDown"), status(200, etag='"new"'))
    put = asking.store.put("k", Bytes(b"x"), {}, if_absent=True)
    assert asking.now(put) == '"new"'


def test_a_put_without_condition_is_repeated() -> None:
    """The same bytes under the same name may be sent again."""
    asking = Asking(error(500, "InternalError"), hang, status(200, etag='"new"'))
    assert asking.now(asking.store.put("k", Bytes(b"x" * 300_000), {})) == '"new"'
    assert [len(body) for _, _, body in asking.server.seen] == [300_000] * 3


def test_if_match_on_a_missing_object() -> None:
    """AWS answers 404: the condition failed; where the bucket is gone, all is lost."""
    asking = Asking(error(404, "NoSuchKey"), error(404, "NoSuchBucket"))
    with pytest.raises(ConditionFailed):
        asking.now(asking.store.put("k", Bytes(b"x"), {}, if_match='"e"'))
    with pytest.raises(Denied):
        asking.now(asking.store.put("k", Bytes(b"x"), {}, if_match='"e"'))


def test_what_is_sent() -> None:
    """Conditions, metadata and the signature are in the headers; nothing is refused
    for its name.
    """
    asking = Asking(status(200, etag='"new"'))
    put = asking.store.put("a b/c", Bytes(b"x"), {"s4-writer": "t"}, if_match='"e"')
    asking.now(put)
    sent = asking.server.headers
    assert asking.server.seen[0][1] == "/bkt/p/a%20b/c"
    assert sent.getRawHeaders("if-match") == ['"e"']
    assert sent.getRawHeaders("x-amz-meta-s4-writer") == ["t"]
    (authorization,) = sent.getRawHeaders("authorization")
    assert "/eu-west-1/s3/aws4_request" in authorization
    assert "x-amz-meta-s4-writer" in authorization


def test_the_address_on_aws() -> None:
    """Without an endpoint the bucket's own host name is asked, over TLS."""
    place = BucketPlace("bkt", "eu-west-1")
    assert place.url("k/1", {}) == "https://bkt.s3.eu-west-1.amazonaws.com/k/1"


def test_a_put_whose_answers_text_is_cut() -> None:
    """Status and ETag of a put say enough."""

    def cut_text(request: Any) -> int:
        request.setHeader("etag", '"new"')
        return cut(request)

    asking = Asking(cut_text)
    assert asking.now(asking.store.put("k", Bytes(b"x"), {}, if_absent=True)) == '"new"'


def cut_error(request: Any) -> int:
    """An error's text ends in the middle."""
    request.setResponseCode(503)
    return cut(request)


def short(data: bytes, most: int) -> Script:
    """Answers a range with less than was asked for, and says so."""

    def step(request: Any) -> bytes:
        start = int(request.getHeader("range").removeprefix("bytes=").split("-")[0])
        part = data[start : start + most]
        request.setResponseCode(206)
        last = start + len(part) - 1
        request.setHeader("content-range", f"bytes {start}-{last}/{len(data)}")
        return part

    return step


@pytest.mark.parametrize("trouble", [cut_error, short(b"0123456789", 4)])
def test_a_range_that_is_not_all_answered_is_asked_on(trouble: Script) -> None:
    """From where it ended: each byte comes once."""
    asking = Asking(trouble, ranged(b"0123456789"))
    found: list[bytes] = []
    asking.now(asking.store.pour("k", 1, 8, found.append))
    assert b"".join(found) == b"12345678"
    assert len(asking.server.seen) == 2


def test_a_body_withdrawn_before_the_next_try(tmp_path: Path) -> None:
    """Nothing is sent any more."""
    asking = Asking(OK)
    requests: list[Any] = []

    def refused(*asked: Any) -> Deferred[Any]:
        requests.append(asked)
        return fail(ConnectError())

    asking.store._exchange.agent.request = refused  # type: ignore[method-assign]
    body = growing(tmp_path, 100_000, 100)
    putting = asking.store.put("k", body, {})
    body.withdraw()
    with pytest.raises(Withdrawn):
        asking.now(putting)
    assert len(requests) == 1


def test_a_short_body_that_grows_is_not_hashed(tmp_path: Path) -> None:
    """As the last part of a share may be: what is yet to come is in no signature."""
    asking = Asking(OK)
    body = growing(tmp_path, 1000, 100)
    putting = asking.store.put_part("k", "an-upload", 3, body)
    asking.agent.flush()
    body.spool.write(100, b"y" * 900)
    body.held = False
    body.tell_growth()
    assert asking.now(putting) == '"e"'
    assert asking.server.seen[0][2] == b"x" * 100 + b"y" * 900
    told = asking.server.headers.getRawHeaders("x-amz-content-sha256")
    assert told == ["UNSIGNED-PAYLOAD"]
