"""Blocking work on a few threads of its own, with a bounded queue."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, TypeVar

from attrs import define, field
from twisted.internet.defer import Deferred, fail
from twisted.internet.interfaces import IReactorFromThreads
from twisted.internet.threads import deferToThreadPool
from twisted.python.threadpool import ThreadPool

T = TypeVar("T")


class _Pool(ThreadPool):
    """Its threads end with the process: a hung call delays no exit."""

    @staticmethod
    def threadFactory(*given: Any, **named: Any) -> threading.Thread:  # type: ignore[override]
        """A daemon thread."""
        return threading.Thread(*given, daemon=True, **named)


@define(eq=False)
class ThreadLane:
    """Runs blocking functions, *threads* at a time, in the order of the asking.

    Twisted's pool queues without a bound: here no more than *most* run and wait, and
    what is too much, or comes when the lane is stopped, fails at once with what
    *full* or *stopped* makes.
    """

    _reactor: IReactorFromThreads
    name: str
    threads: int
    most: int
    full: Callable[[], Exception]
    stopped: Callable[[], Exception]
    _pool: ThreadPool | None = field(default=None, init=False)
    _waiting: int = field(default=0, init=False)

    def start(self) -> None:
        """Begin; called once, and not before twistd has forked."""
        self._pool = _Pool(1, self.threads, self.name)
        self._pool.start()

    def finish(self) -> None:
        """Take no more, and wait for what runs and waits."""
        pool, self._pool = self._pool, None
        if pool is not None:
            pool.stop()

    def abandon(self) -> None:
        """Take no more, and do not wait for what runs, which may hang for long."""
        pool, self._pool = self._pool, None
        if pool is not None:
            # The pool's stop joins its threads.
            threading.Thread(target=pool.stop, daemon=True).start()

    def run(self, work: Callable[[], T]) -> Deferred[T]:
        """Run *work* on a thread."""
        if self._pool is None:
            return fail(self.stopped())
        if self._waiting >= self.most:
            return fail(self.full())
        self._waiting += 1
        return deferToThreadPool(self._reactor, self._pool, work).addBoth(self._end)

    def _end(self, result: T) -> T:
        self._waiting -= 1
        return result
