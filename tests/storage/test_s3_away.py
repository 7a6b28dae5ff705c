"""S3 is away or refuses: operators are told soon, and clients wait or hear "not now"."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from attrs import fields
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.python.failure import Failure

from lae_flapp.settings import PatienceSettings
from lae_protocol.host_messages import Desired
from lae_storage.s3.interface import (
    ConditionFailed,
    Denied,
    StoreError,
    Unavailable,
)
from lae_storage.server import keys
from lae_storage.server.fence import HOLD, LOOK_EVERY, RETRY_AFTER, TERM, Unconfirmed
from lae_storage.server.foolscap_front import FoolscapFront
from lae_storage.server.housekeeping import COUNTS_EVERY
from lae_storage.server.http_front import GuardedSite, HttpFront
from lae_storage.server.limits import Allowance
from lae_storage.server.plug import Backing
from lae_storage.server.writes import Writes
from lae_storage.settings import NodeSettings
from lae_storage.shares import S3Shares
from tests.twins.store import Request

from .wires import SWISSNUM, Gbs

SI = b"i" * 16
#: A client gives up after so long.
PATIENCE = 60  # s


def go_on(serving: Any, seconds: float) -> None:
    for _ in range(int(seconds * 2)):
        serving.retries.advance(0.5)


def fail(serving: Any, error: StoreError | None) -> None:
    def fault(request: Request) -> Deferred[None] | None:
        if error is not None:
            raise error
        return Deferred()

    serving.store.fault = fault


def call(front: Any, method: str, *args: Any) -> list[Any]:
    """What a Foolscap client hears, when it hears it."""
    heard: list[Any] = []
    asked = maybeDeferred(front.doRemoteCall, method, list(args), {})
    asked.addBoth(heard.append)
    return heard


def over_http(serving: Any, folder: Path) -> Gbs:
    front = HttpFront(serving.retries, serving.server, SWISSNUM)
    site = GuardedSite(front, SWISSNUM, folder)
    return Gbs(site, lambda: go_on(serving, 1))


@pytest.fixture
def shares(serving: Any, tmp_path: Path) -> S3Shares:
    return S3Shares(Backing(serving.server._bucket, tmp_path / "up", Allowance(1000)))


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (Denied("AccessDenied", "GET s4/epoch"), "S3 refuses it (AccessDenied)"),
        (Unavailable("SlowDown"), "S3 cannot be reached, or fails (SlowDown)"),
        (None, "S3 does not answer"),
    ],
)
def test_a_host_reports_that_it_cannot_use_s3(
    serving: Any, shares: S3Shares, error: StoreError | None, words: str
) -> None:
    """Refused or silent, the host says which and since when, as long as it cannot
    serve, and for a moment's failure nothing; no object's key is in its words.
    """
    assert shares.usage().problem is None
    fail(serving, error)
    go_on(serving, 2 * LOOK_EVERY)
    assert shares.usage().problem is None
    go_on(serving, TERM - LOOK_EVERY)
    problem = shares.usage().problem
    assert problem == f"the bucket cannot be used since 1970-01-01 00:00 UTC: {words}"
    go_on(serving, 120)
    assert shares.usage().problem == problem
    serving.store.fault = None
    go_on(serving, LOOK_EVERY)
    assert shares.usage().problem is None


def test_a_damaged_epoch_is_told(serving: Any, shares: S3Shares) -> None:
    """An epoch that somebody deleted keeps the node from serving, and is told."""
    serving.grow()
    del serving.store.objects[keys.EPOCH_KEY]
    go_on(serving, TERM + LOOK_EVERY)
    assert "gone or damaged" in str(shares.usage().problem)


def test_a_superseded_host_says_so(serving: Any, shares: S3Shares) -> None:
    """A host whose bucket another node has serves nobody, and is not silent about it."""
    serving.another()
    go_on(serving, LOOK_EVERY + 1)
    assert "another node has the bucket" in str(shares.usage().problem)


def test_operators_hear_of_it_within_two_minutes() -> None:
    """A host may not know for its term; then it reports, and the daemon looks."""
    report = fields(NodeSettings).report_seconds.default
    watch = fields(PatienceSettings).watch.default
    assert TERM + report + watch <= 120


def test_clients_wait_for_a_short_outage(serving: Any, tmp_path: Path) -> None:
    """While S3 is away a request over either protocol waits; when S3 is back it is
    answered as if nothing had been, and the client never heard of it.
    """
    serving.upload(SI, b"immutable")
    front, gbs = FoolscapFront(serving.server), over_http(serving, tmp_path)
    reader = front.remote_get_buckets(SI)[0]
    fail(serving, Unavailable("SlowDown"))
    go_on(serving, TERM + 1)
    looked = call(front, "get_buckets", SI)
    read: list[Any] = []
    reader.remote_read(0, 9).addBoth(read.append)
    (version,) = call(front, "get_version")
    assert isinstance(version, dict)
    go_on(serving, HOLD - 3)
    assert (looked, read) == ([], [])
    serving.store.fault = None
    go_on(serving, RETRY_AFTER + 1)
    assert list(looked[0]) == [0]
    assert read == [b"immutable"]
    fail(serving, Unavailable("SlowDown"))
    go_on(serving, TERM + 1)

    def back(_: Request) -> None:
        return None

    serving.retries.callLater(HOLD - 5, setattr, serving.store, "fault", back)
    said = gbs.ask("GET", f"immutable/{keys.si_text(SI)}/0")
    assert (said.status, said.body) == (200, b"immutable")


def test_clients_hear_not_now_of_a_long_one(serving: Any, tmp_path: Path) -> None:
    """In a long outage the answer comes before a client's patience ends, and says that
    nothing is lost; over HTTP it is 503, which is no "not here".
    """
    serving.upload(SI, b"immutable")
    front, gbs = FoolscapFront(serving.server), over_http(serving, tmp_path)
    fail(serving, Denied("AccessDenied"))
    go_on(serving, TERM + 1)
    looked = call(front, "get_buckets", SI)
    go_on(serving, HOLD + 1)
    (failure,) = looked
    assert isinstance(failure, Failure)
    assert failure.check(Unconfirmed) is not None
    assert "nothing is lost" in str(failure.value)
    assert HOLD < PATIENCE
    began = serving.retries.seconds()
    assert gbs.ask("GET", f"immutable/{keys.si_text(SI)}/shares").status == 503
    assert serving.retries.seconds() - began < PATIENCE
    assert gbs.ask("GET", "version").status == 200


def test_a_superseded_node_makes_nobody_wait(serving: Any) -> None:
    """Who asks a node that lost its bucket for good hears so at once, also who waits."""
    front = FoolscapFront(serving.server)
    fail(serving, Unavailable("SlowDown"))
    go_on(serving, TERM + 1)
    waits = call(front, "get_buckets", SI)
    assert not waits
    serving.store.fault = None
    serving.another()
    go_on(serving, RETRY_AFTER + 1)
    assert [type(f.value).__name__ for f in waits] == ["Superseded"]
    assert type(call(front, "get_buckets", SI)[0].value).__name__ == "Superseded"


def refuse_writes(serving: Any, error: StoreError) -> None:
    """S3 reads, and takes nothing."""

    def fault(request: Request) -> Deferred[None] | None:
        if request.operation in {"put", "begin_upload", "put_part"}:
            raise error
        return None

    serving.store.fault = fault


def test_a_host_whose_writes_alone_are_refused_says_so(
    serving: Any, shares: S3Shares
) -> None:
    """From the second write in a row that S3 refuses the host says that nothing can be
    stored, since when and how often; from the next that is taken it says nothing.
    """
    refuse_writes(serving, Denied("AccessDenied", "PUT immutable/x"))
    for many in (1, 2, 3):
        with pytest.raises(Denied):
            serving.upload(SI, b"immutable")
        problem = shares.usage().problem
        if many == 1:
            assert problem is None, "one may be an odd request"
        else:
            assert problem == (
                "S3 refuses writes since 1970-01-01 00:00 UTC (AccessDenied,"
                f" {many} until now): nothing can be stored, and reading goes on"
            )
    assert not shares.usage().capped
    serving.store.fault = None
    serving.upload(SI, b"immutable")
    assert shares.usage().problem is None


def test_refused_writes_are_told_though_nobody_writes(
    serving: Any, shares: S3Shares
) -> None:
    """The host's own counts are writes, too: it is told, and over, without a client."""
    go_on(serving, 60)
    refuse_writes(serving, Denied("AccessDenied"))
    go_on(serving, COUNTS_EVERY + 60)
    assert "S3 refuses writes" in str(shares.usage().problem)
    serving.store.fault = None
    go_on(serving, 60)
    assert shares.usage().problem is None


@pytest.mark.parametrize("error", [Unavailable("SlowDown"), ConditionFailed("412")])
def test_what_says_nothing_of_the_rights_to_write(
    serving: Any, shares: S3Shares, error: StoreError
) -> None:
    """A throttled write is no refusal, and one whose condition does not hold is none."""
    refuse_writes(serving, error)
    for _ in range(3):
        with pytest.raises(StoreError):
            serving.upload(SI, b"immutable")
    assert shares.usage().problem is None


def test_a_condition_that_does_not_hold_ends_a_row(serving: Any) -> None:
    """S3 judges the rights first: who hears of a condition may write."""
    writes = Writes(serving.retries)
    for error in (Denied("a"), ConditionFailed("412"), Denied("a")):
        writes.note(Failure(error))
        assert writes.problem() is None
    for error in (Unavailable("SlowDown"), Denied("b")):
        writes.note(Failure(error))
    assert "(b, 2 until now)" in str(writes.problem())


def test_a_suspended_host_may_not_write_as_it_should_be(
    serving: Any, shares: S3Shares
) -> None:
    """What a suspended customer's role is refused is no problem, and nothing of it is
    left when they have paid.
    """
    suspended, active = Desired("suspended", 1000), Desired("serving", 1000)
    shares.obey(suspended)
    for _ in range(3):
        serving.server._bucket.writes.note(Failure(Denied("AccessDenied")))
    assert shares.usage().problem is None
    shares.obey(active)
    assert shares.usage().problem is None
    for _ in range(2):
        serving.server._bucket.writes.note(Failure(Denied("AccessDenied")))
    shares.obey(active)
    assert "S3 refuses writes" in str(shares.usage().problem)
