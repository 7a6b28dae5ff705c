"""Where stripe-python runs: a few threads of its own, with a bounded queue.

The library blocks, so it never runs on the reactor's thread; it keeps its connections
per thread, so the threads are kept.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, TypeVar

from attrs import define, field
from twisted.internet.defer import Deferred, fail
from twisted.internet.interfaces import IReactorFromThreads
from twisted.internet.threads import deferToThreadPool
from twisted.python.threadpool import ThreadPool

from lae_provision.errors import TryLater

T = TypeVar("T")

THREADS = 8
#: More calls than this waiting means that Stripe stands still.
WAITING = 200


class _Pool(ThreadPool):
    """Its threads end with the process: a hung call delays no stop."""

    @staticmethod
    def threadFactory(*given: Any, **named: Any) -> threading.Thread:  # type: ignore[override]
        """A daemon thread."""
        return threading.Thread(*given, daemon=True, **named)


@define(eq=False)
class StripeThreads:
    """Runs blocking calls, :data:`THREADS` at a time."""

    _reactor: IReactorFromThreads
    _pool: ThreadPool | None = field(default=None, init=False)
    _waiting: int = field(default=0, init=False)

    def start(self) -> None:
        """Begin; called once."""
        self._pool = _Pool(1, THREADS, "stripe")
        self._pool.start()

    def stop(self) -> None:
        """Take no more calls, and do not wait for those that run.

        Whatever they change at Stripe stands in the journal as an effect without an
        outcome, and is looked for at the next start.
        """
        pool, self._pool = self._pool, None
        if pool is not None:
            # Its stop joins the threads, which a call in one may delay for seconds.
            threading.Thread(target=pool.stop, daemon=True).start()

    def run(self, work: Callable[[], T]) -> Deferred[T]:
        """Run *work* on a thread; :class:`TryLater` when too many wait, or stopped."""
        if self._pool is None:
            return fail(TryLater("stopping", "the daemon stops"))
        if self._waiting >= WAITING:
            return fail(TryLater("busy", f"{WAITING} calls to Stripe wait already"))
        self._waiting += 1
        return deferToThreadPool(self._reactor, self._pool, work).addBoth(self._end)

    def _end(self, result: T) -> T:
        self._waiting -= 1
        return result
