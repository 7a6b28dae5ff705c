"""Some jobs at once."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable
from typing import Any, TypeVar

from twisted.internet.defer import (
    Deferred,
    DeferredSemaphore,
    FirstError,
    gatherResults,
)

T = TypeVar("T")
Job = Callable[[], Coroutine[Deferred[Any], Any, T]]


def _start(job: Job[T]) -> Deferred[T]:
    return Deferred.fromCoroutine(job())


async def together(jobs: Iterable[Job[T]], at_once: int) -> list[T]:
    """Run the jobs, at most *at_once* at a time; their results in order.

    The first error is raised as itself; the other jobs go on to their ends.
    """
    gate = DeferredSemaphore(at_once)
    running: list[Deferred[T]] = [gate.run(_start, job) for job in jobs]
    try:
        return await gatherResults(running, consumeErrors=True)
    except FirstError as e:
        e.subFailure.raiseException()
        raise
