"""Every outside call has an end, also where what it waits for has none."""

from __future__ import annotations

import pytest
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock

from lae_protocol.process.deadline import DeadlinePassed, with_deadline


def deaf() -> Deferred[str]:
    """A Deferred that takes no notice of its cancellation."""
    inner: Deferred[str] = Deferred()
    inner.addErrback(lambda _: Deferred())
    outer: Deferred[str] = Deferred()
    outer.addCallback(lambda _: inner)
    outer.callback("")
    return outer


def outcome(waiting: Deferred[str]) -> list[object]:
    told: list[object] = []
    waiting.addBoth(told.append)
    return told


def test_in_time() -> None:
    """An answer in time is the answer, and no timer is left."""
    clock, waiting = Clock(), Deferred()
    told = outcome(with_deadline(clock, 3, "it", waiting))
    clock.advance(2.9)
    waiting.callback("yes")
    assert told == ["yes"]
    assert clock.getDelayedCalls() == []


def test_failure_in_time() -> None:
    """A failure in time is the failure, and no timer is left."""
    clock, waiting = Clock(), Deferred()
    told = outcome(with_deadline(clock, 3, "it", waiting))
    waiting.errback(RuntimeError("no"))
    assert told[0].check(RuntimeError)
    assert clock.getDelayedCalls() == []


@pytest.mark.parametrize("make", [Deferred, deaf])
def test_too_late(make) -> None:
    """At the deadline the caller is told, whether or not the call can be cancelled."""
    clock = Clock()
    told = outcome(with_deadline(clock, 3, "the daemon", make()))
    clock.advance(2.9)
    assert told == []
    clock.advance(0.2)
    assert told[0].check(DeadlinePassed)
    assert told[0].getErrorMessage() == "the daemon: no answer within 3 s"


def test_answer_after_the_deadline() -> None:
    """What comes after the deadline is dropped in silence."""
    clock, cancelled = Clock(), []
    waiting: Deferred[str] = Deferred(cancelled.append)
    told = outcome(with_deadline(clock, 3, "it", waiting))
    clock.advance(4)
    assert cancelled == [waiting]
    assert len(told) == 1


@pytest.mark.parametrize("make", [Deferred, deaf])
def test_caller_gives_up(make) -> None:
    """A caller who gives up is told so at once, and the deadline strikes nobody."""
    clock = Clock()
    waiting = with_deadline(clock, 3, "it", make())
    told = outcome(waiting)
    waiting.cancel()
    assert told[0].check(CancelledError)
    clock.advance(10)
    assert len(told) == 1


def test_called_already() -> None:
    """What has answered already needs no time."""
    clock, waiting = Clock(), Deferred()
    waiting.callback("there")
    assert outcome(with_deadline(clock, 3, "it", waiting)) == ["there"]
    assert clock.getDelayedCalls() == []
