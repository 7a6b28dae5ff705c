"""Bounded retries with jitter, on the reactor's clock."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from random import Random
from typing import TypeVar

from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater

T = TypeVar("T")

_POWERS = 64


def pause(attempt: int, rng: Random, base: float, cap: float) -> float:
    """Seconds before the next try after *attempt* (0, 1, …) failed: "full jitter".

    https://aws.amazon.com/builders-library/timeouts-retries-and-backoff-with-jitter/
    """
    # What waits for weeks has more attempts than a float has powers of two.
    highest = min(cap, base * 2.0 ** min(attempt, _POWERS))
    return rng.uniform(min(0.1 * base, highest), highest)


async def retrying(
    reactor: IReactorTime,
    rng: Random,
    fn: Callable[[], Awaitable[T]],
    *,
    attempts: int,
    base: float,
    cap: float,
    is_retryable: Callable[[Exception], bool],
) -> T:
    """Call *fn* until it succeeds, at most *attempts* times; then its last error.

    *fn* must be safe to repeat: it looks first, or carries an idempotency token.
    """
    for attempt in range(attempts - 1):
        try:
            return await fn()
        except Exception as e:
            if not is_retryable(e):
                raise
        await deferLater(reactor, pause(attempt, rng, base, cap))
    return await fn()
