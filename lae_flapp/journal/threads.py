"""Where SQL runs: never on the reactor's thread."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeVar

from attrs import define, field
from twisted.internet.defer import Deferred, fail, maybeDeferred
from twisted.internet.interfaces import IReactorFromThreads
from twisted.internet.threads import deferToThreadPool
from twisted.python.threadpool import ThreadPool

from lae_flapp.journal.errors import JournalBusy

T = TypeVar("T")

#: More than this many transactions waiting means that the disk stands still.
WAITING = 1000


class IThreads(Protocol):
    """Runs blocking functions: writes one after the other, reads a few at once."""

    def start(self) -> None:
        """Begin; called once."""

    def stop(self) -> None:
        """Finish what runs, then end; called once."""

    def write(self, work: Callable[[], T]) -> Deferred[T]:
        """Run after all writes before it; :class:`JournalBusy` when too many wait."""

    def read(self, work: Callable[[], T]) -> Deferred[T]:
        """Run beside others; :class:`JournalBusy` when too many wait."""


@define(eq=False)
class _Lane:
    """A pool with a bounded queue."""

    _reactor: IReactorFromThreads
    _name: str
    _threads: int
    _pool: ThreadPool = field(init=False)
    _waiting: int = field(default=0, init=False)

    def start(self) -> None:
        self._pool = ThreadPool(self._threads, self._threads, self._name)
        self._pool.start()

    def stop(self) -> None:
        self._pool.stop()

    def run(self, work: Callable[[], T]) -> Deferred[T]:
        if self._waiting >= WAITING:
            return fail(JournalBusy(f"{WAITING} transactions wait already"))
        self._waiting += 1
        return deferToThreadPool(self._reactor, self._pool, work).addBoth(self._end)

    def _end(self, result: T) -> T:
        self._waiting -= 1
        return result


class JournalThreads:
    """One thread for writes (so that they are in order) and two for reads."""

    def __init__(self, reactor: IReactorFromThreads, readers: int = 2) -> None:
        self._writes = _Lane(reactor, "journal-write", 1)
        self._reads = _Lane(reactor, "journal-read", readers)

    def start(self) -> None:
        """Start both pools."""
        self._writes.start()
        self._reads.start()

    def stop(self) -> None:
        """Wait for running transactions (each is bounded by SQLite's busy timeout)."""
        self._reads.stop()
        self._writes.stop()

    def write(self, work: Callable[[], T]) -> Deferred[T]:
        """See :class:`IThreads`."""
        return self._writes.run(work)

    def read(self, work: Callable[[], T]) -> Deferred[T]:
        """See :class:`IThreads`."""
        return self._reads.run(work)


class SameThread:
    """Runs in place, at once: for tests, and for commands without a reactor."""

    def start(self) -> None:
        """Nothing to start."""

    def stop(self) -> None:
        """Nothing to stop."""

    def write(self, work: Callable[[], T]) -> Deferred[T]:
        """See :class:`IThreads`."""
        return maybeDeferred(work)

    def read(self, work: Callable[[], T]) -> Deferred[T]:
        """See :class:`IThreads`."""
        return maybeDeferred(work)
