"""Coroutines that run at the same time, wait for each other, or must not overlap."""

from __future__ import annotations

from collections import deque
from collections.abc import (
    AsyncIterator,
    Callable,
    Coroutine,
    Iterable,
)
from contextlib import asynccontextmanager
from typing import Any, Generic, TypeVar

from attrs import define, field
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


async def run_parallel(jobs: Iterable[Job[T]], limit: int) -> list[T]:
    """Run the jobs, at most *limit* at a time; their results in order.

    The first error is raised as itself; the other jobs still run to their ends.
    """
    gate = DeferredSemaphore(limit)
    running: list[Deferred[T]] = [gate.run(_start, job) for job in jobs]
    try:
        return await gatherResults(running, consumeErrors=True)
    except FirstError as e:
        e.subFailure.raiseException()
        raise


@define(eq=False)
class Promise(Generic[T]):
    """A value or an error that becomes known once, for any number of waiters."""

    _value: list[T] = field(factory=list, repr=False)
    error: Exception | None = None
    _waiting: list[Deferred[None]] = field(factory=list, repr=False)

    def succeed(self, value: T) -> None:
        """Give all waiters this value."""
        self._value.append(value)
        self._wake()

    def fail(self, error: Exception) -> None:
        """Raise this error in all waiters."""
        self.error = error
        self._wake()

    def _wake(self) -> None:
        waiting, self._waiting = self._waiting, []
        for waiter in waiting:
            waiter.callback(None)

    async def wait(self) -> T:
        """The value, as soon as it is known; raises the error."""
        if not self._value and self.error is None:
            waiter: Deferred[None] = Deferred()
            self._waiting.append(waiter)
            await waiter
        if self.error is not None:
            raise self.error
        return self._value[0]


@define(eq=False)
class Budget:
    """An amount of which at most *limit* is in use at once.

    Whoever finds too little left waits for those who asked before.  An amount larger
    than the limit is used alone.
    """

    limit: int
    used: int = 0
    _waiting: deque[tuple[int, Deferred[None]]] = field(factory=deque)

    @asynccontextmanager
    async def take(self, amount: int) -> AsyncIterator[None]:
        """Use the amount within the ``async with``, as soon as it is free."""
        amount = min(amount, self.limit)
        if self._waiting or self.used + amount > self.limit:
            turn: Deferred[None] = Deferred()
            self._waiting.append((amount, turn))
            await turn
        else:
            self.used += amount
        try:
            yield
        finally:
            self.used -= amount
            self._admit()

    def _admit(self) -> None:
        while self._waiting and self.used + self._waiting[0][0] <= self.limit:
            amount, turn = self._waiting.popleft()
            self.used += amount
            turn.callback(None)
