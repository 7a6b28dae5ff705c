"""Where SQL runs: never on the reactor's thread, and nobody's behind another's crowd.

Sites, hosts, operators and the daemon's own work each have a lane for what they read,
and a bound on how many of their writes wait.  Writes run one after the other, whoever
asked for them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from typing import Any, Literal, Protocol, TypeVar, get_args

from twisted.internet.defer import Deferred, fail, maybeDeferred
from twisted.internet.interfaces import IReactorFromThreads

from lae_flapp.journal.errors import JournalBusy, JournalClosed
from lae_protocol.process.lane import ThreadLane

T = TypeVar("T")

#: For whom something is read or written.
Audience = Literal["daemon", "sites", "hosts", "operators"]
#: The audience of whatever runs in this context, and of what it awaits.
ASKED_BY: ContextVar[Audience] = ContextVar("ASKED_BY", default="daemon")

#: More than this many transactions waiting means that the disk stands still, or that
#: somebody asks too much.
WAITING: dict[Audience, int] = {
    "daemon": 1000,
    "sites": 300,
    "hosts": 300,
    "operators": 300,
}
#: Threads that read.
READERS: dict[Audience, int] = {"daemon": 2, "sites": 1, "hosts": 1, "operators": 1}


def asked_by(
    audience: Audience, answer: Callable[[Any, str], Awaitable[Any]]
) -> Callable[[Any, str], Awaitable[Any]]:
    """Have a facet's *answer* read and write in the lane of *audience*."""

    async def answered(question: Any, request_id: str) -> Any:
        # Each call of a facet is a coroutine with a context of its own.
        ASKED_BY.set(audience)
        return await answer(question, request_id)

    return answered


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


def _busy(waiting: int) -> JournalBusy:
    return JournalBusy(f"{waiting} transactions wait already")


def _lane(
    reactor: IReactorFromThreads, name: str, threads: int, waiting: int
) -> ThreadLane:
    return ThreadLane(
        reactor,
        name,
        threads,
        waiting,
        full=lambda: _busy(waiting),
        stopped=lambda: JournalClosed("the journal is not open"),
    )


class JournalThreads:
    """One thread for all writes (so that they are in order), and readers for each
    audience.
    """

    def __init__(self, reactor: IReactorFromThreads) -> None:
        self._writes = _lane(reactor, "journal-write", 1, sum(WAITING.values()))
        self._waiting: Counter[Audience] = Counter()
        self._reads: dict[Audience, ThreadLane] = {
            one: _lane(reactor, f"journal-read-{one}", READERS[one], WAITING[one])
            for one in get_args(Audience)
        }

    def start(self) -> None:
        """Start every pool."""
        for lane in (self._writes, *self._reads.values()):
            lane.start()

    def stop(self) -> None:
        """Wait for running transactions (each is bounded by SQLite's busy timeout)."""
        for lane in (*self._reads.values(), self._writes):
            lane.finish()

    def write(self, work: Callable[[], T]) -> Deferred[T]:
        """See :class:`IThreads`."""
        audience = ASKED_BY.get()
        if self._waiting[audience] >= WAITING[audience]:
            return fail(_busy(WAITING[audience]))
        self._waiting[audience] += 1

        def done(result: T) -> T:
            self._waiting[audience] -= 1
            return result

        return self._writes.run(work).addBoth(done)

    def read(self, work: Callable[[], T]) -> Deferred[T]:
        """See :class:`IThreads`."""
        return self._reads[ASKED_BY.get()].run(work)


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
