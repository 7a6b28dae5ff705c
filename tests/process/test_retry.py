"""Retries are bounded in number and in time."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock

from lae_protocol.process.retry import pause, retrying


@given(
    st.integers(0, 10_000),
    st.integers(),
    st.floats(0.01, 100),
    st.floats(0.01, 10_000),
)
def test_pause(attempt, seed, base, cap) -> None:
    """A pause is above nothing and never longer than the cap, however late it is."""
    seconds = pause(attempt, Random(seed), base, cap)
    assert 0 < seconds <= cap
    assert seconds <= base * 2.0 ** min(attempt, 64)


def test_pauses_grow() -> None:
    """Pauses grow with the attempts, and differ between two who fail together."""
    rng = Random(1)

    def mean(attempt: int) -> float:
        return sum(pause(attempt, rng, 1, 900) for _ in range(300)) / 300

    assert mean(0) < mean(2) < mean(5) < mean(8)
    assert pause(5, Random(1), 1, 900) != pause(5, Random(2), 1, 900)


class Failing:
    """Fails so often, then succeeds."""

    def __init__(self, times: int, error: Exception) -> None:
        self.times, self.error, self.calls = times, error, 0

    async def __call__(self) -> str:
        self.calls += 1
        if self.calls <= self.times:
            raise self.error
        return "done"


def start(clock: Clock, fn: Any, attempts: int = 4) -> Deferred[str]:
    coroutine = retrying(
        clock,
        Random(1),
        fn,
        attempts=attempts,
        base=1,
        cap=8,
        is_retryable=lambda e: isinstance(e, ConnectionError),
    )
    return Deferred.fromCoroutine(coroutine)


def run(clock: Clock, waiting: Deferred[str]) -> list[Any]:
    told: list[Any] = []
    waiting.addBoth(told.append)
    for _ in range(100):
        clock.advance(1)
    return told


@pytest.mark.parametrize("times", [0, 1, 3])
def test_succeeds_in_the_end(times) -> None:
    """It goes on until it succeeds, within its attempts."""
    clock, fn = Clock(), Failing(times, ConnectionError("away"))
    assert run(clock, start(clock, fn)) == ["done"]
    assert fn.calls == times + 1


def test_gives_up() -> None:
    """After the last attempt its error is told, and nothing is tried again."""
    clock, fn = Clock(), Failing(99, ConnectionError("away"))
    (told,) = run(clock, start(clock, fn))
    assert told.check(ConnectionError)
    assert fn.calls == 4
    assert clock.getDelayedCalls() == []


def test_one_attempt() -> None:
    """One attempt is one call, without a pause."""
    clock, fn = Clock(), Failing(99, ConnectionError("away"))
    told: list[Any] = []
    start(clock, fn, 1).addErrback(told.append)
    assert fn.calls == len(told) == 1


def test_not_retryable() -> None:
    """What trying again cannot mend is told at once."""
    clock, fn = Clock(), Failing(99, ValueError("never"))
    told: list[Any] = []
    start(clock, fn).addErrback(told.append)
    assert fn.calls == 1
    assert told[0].check(ValueError)


def test_given_up_while_pausing() -> None:
    """A caller who gives up during a pause ends it: nothing is tried any more."""
    clock, fn = Clock(), Failing(99, ConnectionError("away"))
    waiting = start(clock, fn)
    told: list[Any] = []
    waiting.addErrback(told.append)
    waiting.cancel()
    assert told[0].check(CancelledError)
    clock.advance(100)
    assert fn.calls == 1
