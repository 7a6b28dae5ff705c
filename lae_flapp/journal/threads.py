"""Where SQL runs: never on the reactor's thread."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeVar

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.interfaces import IReactorFromThreads

from lae_flapp.journal.errors import JournalBusy, JournalClosed
from lae_protocol.process.lane import ThreadLane

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


def _lane(reactor: IReactorFromThreads, name: str, threads: int) -> ThreadLane:
    return ThreadLane(
        reactor,
        name,
        threads,
        WAITING,
        full=lambda: JournalBusy(f"{WAITING} transactions wait already"),
        stopped=lambda: JournalClosed("the journal is not open"),
    )


class JournalThreads:
    """One thread for writes (so that they are in order) and two for reads."""

    def __init__(self, reactor: IReactorFromThreads, readers: int = 2) -> None:
        self._writes = _lane(reactor, "journal-write", 1)
        self._reads = _lane(reactor, "journal-read", readers)

    def start(self) -> None:
        """Start both pools."""
        self._writes.start()
        self._reads.start()

    def stop(self) -> None:
        """Wait for running transactions (each is bounded by SQLite's busy timeout)."""
        self._reads.finish()
        self._writes.finish()

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
