"""A node's hold on its bucket, alone: when it looks, what it says, whom it lets wait."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
from attrs import define, field
from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock
from twisted.logger import LogLevel, capturedLogs

from lae_storage.s3.interface import (
    ConditionFailed,
    Contended,
    Denied,
    Got,
    Head,
    StoreError,
    Unavailable,
)
from lae_storage.server import fence as fences
from lae_storage.server import keys
from lae_storage.server.fence import Fence, Superseded, Unconfirmed, take_epoch

START = 100.0  # s
OURS, LATER = 3, 4
LATER_WORDS = f"Superseded: epoch {LATER} after {OURS}"
AWAY = "Unconfirmed: S3 cannot be used now: nothing is lost, try again later"


@define
class Bucket:
    """Keeps each question, with its time, until the test answers it."""

    clock: Clock
    asked: list[tuple[float, Deferred[Got]]] = field(factory=list)

    def get(self, key: str) -> Deferred[Got]:
        assert key == keys.EPOCH_KEY
        waiting: Deferred[Got] = Deferred()
        self.asked.append((self.clock.seconds(), waiting))
        return waiting

    @property
    def times(self) -> list[float]:
        """When it was asked."""
        return [at for at, _ in self.asked]

    def answer(self, what: Any) -> None:
        """An epoch, or how S3 failed, to the last question."""
        waiting = self.asked[-1][1]
        if isinstance(what, Exception):
            waiting.errback(what)
        else:
            data = what if isinstance(what, bytes) else json.dumps(what).encode()
            waiting.callback(Got(Head("etag", len(data), {}), data))


@pytest.fixture
def clock() -> Clock:
    clock = Clock()
    clock.advance(START)
    return clock


@pytest.fixture
def bucket(clock: Clock) -> Bucket:
    return Bucket(clock)


@pytest.fixture
def hold(bucket: Bucket, clock: Clock) -> Fence:
    return Fence(bucket, clock, OURS, START, START, settled=True)  # type: ignore[arg-type]


def pass_time(clock: Clock, seconds: float) -> None:
    """Let time pass in eighths of a second, which add up exactly."""
    for _ in range(int(seconds * 8)):
        clock.advance(0.125)


def waits(hold: Fence) -> tuple[Deferred[None], list[Any]]:
    """Somebody who waits, and what came of it."""
    ends: list[Any] = []
    waiting = Deferred.fromCoroutine(hold.wait())
    waiting.addBoth(ends.append)
    return waiting, ends


def test_it_looks_every_ten_seconds_and_after_a_failure_sooner(
    hold: Fence, bucket: Bucket, clock: Clock
) -> None:
    """A good look is followed by the next after 10 s, a failed one after 2 s, and one
    without an answer has failed after 8 s.
    """
    hold.start()
    bucket.answer({"epoch": OURS})
    pass_time(clock, 10)
    bucket.answer(Unavailable("SlowDown"))
    pass_time(clock, 2)
    pass_time(clock, 8)
    pass_time(clock, 2)
    bucket.answer({"epoch": OURS})
    pass_time(clock, 10)
    assert bucket.times == [START, 110, 112, 122, 132]


@pytest.mark.parametrize("found", [OURS, OURS - 1])
def test_its_own_epoch_confirms_from_the_looks_beginning(
    hold: Fence, bucket: Bucket, clock: Clock, found: int
) -> None:
    """A look that found no later epoch confirms the time at which it began, and tells
    nobody of another node; from then it may answer for 25 s, to the end of the last.
    """
    with capturedLogs() as logged:
        hold.start()
        pass_time(clock, 5)
        bucket.answer({"epoch": found})
    assert logged == []
    hold.stop()
    assert (hold.confirmed, hold.newest) == (START, found)
    pass_time(clock, 20)
    assert hold.is_open() is True
    assert hold.problem() is None
    clock.advance(0.001)
    assert hold.is_open() is False
    with pytest.raises(Unconfirmed) as e:
        hold.check()
    assert str(e.value) == AWAY
    assert e.value.code == "Unconfirmed"


def test_a_later_epoch_ends_it_for_good(
    hold: Fence, bucket: Bucket, clock: Clock
) -> None:
    """After a later epoch there is no look any more; every question is refused with the
    two epochs, operators are told, and one line is in the log.
    """
    with capturedLogs() as logged:
        hold.start()
        bucket.answer({"epoch": LATER})
        with pytest.raises(Superseded, match=LATER_WORDS):
            hold.note_epoch(LATER)
    (line,) = logged
    assert line["log_level"] == LogLevel.error
    assert "another node took the bucket" in line["log_format"]
    assert (line["newest"], line["epoch"]) == (LATER, OURS)
    pass_time(clock, 60)
    assert bucket.times == [START]
    with pytest.raises(Superseded) as e:
        hold.check()
    assert str(e.value) == LATER_WORDS
    assert e.value.code == "Superseded"
    assert hold.problem() == "another node has the bucket: this one serves no more"
    assert waits(hold)[1] == [None]


def test_an_earlier_epoch_does_not_undo_a_later_one(hold: Fence) -> None:
    """What was seen once stays seen."""
    with pytest.raises(Superseded):
        hold.note_epoch(LATER)
    with pytest.raises(Superseded):
        hold.note_epoch(OURS)
    assert hold.newest == LATER


def test_nobody_waits_while_all_is_well(hold: Fence, clock: Clock) -> None:
    """Who asks a node that may answer goes on at once, and no timer is left."""
    hold.newest = OURS
    assert waits(hold)[1] == [None]
    assert clock.getDelayedCalls() == []


def test_who_waits_is_told_after_25_seconds(hold: Fence, clock: Clock) -> None:
    """While S3 is away a request waits, then hears "not now"; it is forgotten then."""
    pass_time(clock, 30)
    _, ends = waits(hold)
    pass_time(clock, 24.875)
    assert ends == []
    pass_time(clock, 0.125)
    (failure,) = ends
    assert failure.check(Unconfirmed)
    assert str(failure.value) == AWAY
    assert hold._held == set()


@pytest.mark.parametrize("epoch", [OURS, LATER])
def test_who_waits_goes_on_after_a_good_look(
    hold: Fence, bucket: Bucket, clock: Clock, epoch: int
) -> None:
    """S3 is back: all who wait go on, also where it has a later epoch (they are refused
    by the next check), and none of them again.
    """
    pass_time(clock, 30)
    both = [waits(hold)[1], waits(hold)[1]]
    hold.start()
    bucket.answer({"epoch": epoch})
    assert both == [[None], [None]]
    assert hold._held == set()
    assert hold.is_open() == (epoch == OURS)


def test_a_clients_patience_may_end(hold: Fence, clock: Clock) -> None:
    """A request that is cancelled while it waits is forgotten."""
    pass_time(clock, 30)
    waiting, ends = waits(hold)
    waiting.cancel()
    assert len(ends) == 1
    assert hold._held == set()
    assert clock.getDelayedCalls() == []


@pytest.mark.parametrize(
    ("how", "words"),
    [
        (Denied("AccessDenied", "a key"), "S3 refuses it (AccessDenied)"),
        (Unavailable("SlowDown", "x"), "S3 cannot be reached, or fails (SlowDown)"),
        (None, "S3 does not answer"),
        (b"{", "the epoch in it is gone or damaged"),
        (b"{}", "the epoch in it is gone or damaged"),
        (StoreError("NoSuchKey"), "the epoch in it is gone or damaged"),
    ],
)
def test_operators_hear_why_and_since_when(
    hold: Fence, bucket: Bucket, clock: Clock, how: Any, words: str
) -> None:
    """Each way to fail has its words, with the minute, in UTC, in which the first of the
    failed looks began; a good look ends the story.
    """
    clock.advance(3600 * 24 - START)
    hold.confirmed = clock.seconds()
    with capturedLogs() as logged:
        hold.start()
        for _ in range(12):
            if how is None:
                pass_time(clock, 8)
            else:
                bucket.answer(how)
            pass_time(clock, 6)
    expected = f"the bucket cannot be used since 1970-01-02 00:00 UTC: {words}"
    assert hold.problem() == expected
    assert logged[0]["log_level"] == LogLevel.warn
    if how is None:
        assert logged[0]["why"] == "the epoch: no answer within 8 s"
    while bucket.asked[-1][1].called:
        pass_time(clock, 0.125)
    bucket.answer({"epoch": OURS})
    assert hold.problem() is None
    assert hold._failing is None


@pytest.fixture
def in_tokyo(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A machine that is not set to UTC."""
    with monkeypatch.context() as patched:
        patched.setenv("TZ", "Asia/Tokyo")
        time.tzset()
        yield
    time.tzset()


@pytest.mark.usefixtures("in_tokyo")
def test_a_clock_that_was_set_back_is_told(hold: Fence) -> None:
    """Where no look failed, the clock itself is the reason; the time is in UTC."""
    hold.confirmed = START + 60
    assert hold.problem() == (
        "the bucket cannot be used since 1970-01-01 00:02 UTC: its clock was set back"
    )


def test_the_end_of_the_looks_is_no_secret(hold: Fence, bucket: Bucket) -> None:
    """A stop is quiet; looks that end for a reason that nobody foresaw are logged."""
    with capturedLogs() as logged:
        hold.start()
        hold.stop()
    assert logged == []
    with capturedLogs() as logged:
        hold.start()
        bucket.answer({"epoch": None})
    (line,) = logged
    assert line["log_level"] == LogLevel.critical
    assert line["log_format"] == "the looks at the bucket's epoch ended"
    hold.stop()


def test_a_hold_that_never_looked_can_be_stopped(hold: Fence) -> None:
    """A node that fails on its way up stops as any other."""
    hold.stop()


@define
class Taken:
    """Writes that another node is always ahead of."""

    tries: int = 0

    async def put(self, key: str, body: Any, expected: str | None) -> str:
        assert (key, expected) == (keys.EPOCH_KEY, "etag")
        self.tries += 1
        raise ConditionFailed("PreconditionFailed")


def test_a_node_that_always_loses_the_race_gives_up(clock: Clock) -> None:
    """After five races it says who keeps it from the bucket."""
    data = json.dumps({"epoch": OURS}).encode()

    class Full:
        def get(self, _: str) -> Deferred[Got]:
            return succeed(Got(Head("etag", len(data), {}), data))

    writer = Taken()
    taking = take_epoch(Full(), writer, str, clock)  # type: ignore[arg-type]
    ends: list[Any] = []
    Deferred.fromCoroutine(taking).addErrback(ends.append)
    (failure,) = ends
    assert failure.check(Contended)
    assert str(failure.value) == "EpochTaken: other nodes keep taking this bucket"
    assert failure.value.code == "EpochTaken"
    assert writer.tries == 5


def test_the_times_are_those_of_the_documents() -> None:
    """A successor waits for the term of 25 s and for 3 s between two clocks; who waits
    for S3 is answered before a client's patience of 60 s ends.
    """
    assert fences.SETTLED_AFTER == 28
    assert fences.HOLD + fences.LOOK_TIMEOUT + fences.TERM < 60
