"""Looking at the journal for metrics: off the reactor, and no oftener than useful."""

from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path

from attrs import define
from twisted.internet.defer import DeferredLock
from twisted.internet.interfaces import IReactorTime

from lae_flapp.journal import events, figures, sqlite
from lae_flapp.journal.events import Event
from lae_flapp.journal.figures import Figures
from lae_flapp.journal.journal import Journal
from lae_flapp.journal.transaction import ReadTx

#: Seconds for which a look is good enough, however often somebody scrapes.
FRESH = 5.0
#: The journal's log grows to this, with all that is on its way, before it is written
#: back.
LOG = 32 << 20  # bytes
#: Events that one look takes along.
_AT_ONCE = 2000


@define(frozen=True)
class Disk:
    """The journal's file (with its log) and what can still be written, in bytes: what
    is left beside it, and the pages in it that something removed has freed.
    """

    journal: int
    free: int
    size: int


def disk(path: Path, freed: int) -> Disk:
    """Look at the file system; it blocks.  *freed* is within the journal.

    Freed pages are no room where the log, through which all is written, has none.
    """
    sizes = [_size(path.with_name(path.name + end)) for end in ("", "-wal", "-shm")]
    room = os.statvfs(path.parent)
    beside = room.f_bavail * room.f_frsize
    free = beside + freed if beside >= LOG else beside
    return Disk(sum(sizes), free, room.f_blocks * room.f_frsize)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


@define(frozen=True)
class Look:
    """What one look saw; *since* is the number of the last event that it took along."""

    figures: Figures
    disk: Disk
    events: tuple[Event, ...]
    since: int


def look(tx: ReadTx, path: Path, since: int | None) -> Look:
    """Look at everything; None begins with events from now on."""
    if since is None:
        since = events.last_number(tx, None)
    told = events.since(tx, None, since, limit=_AT_ONCE)
    last = told[-1].number if told else since
    beside = disk(path, sqlite.freed(tx.connection))
    return Look(figures.read(tx), beside, told, last)


class Snapshots:
    """The newest look, refreshed when somebody asks and it is stale."""

    def __init__(self, clock: IReactorTime, journal: Journal, path: Path) -> None:
        self._clock, self._journal, self._path = clock, journal, path
        self._lock = DeferredLock()
        self._since: int | None = None
        self._at = float("-inf")
        self.latest: Look | None = None

    async def refresh(self) -> Look | None:
        """Look, unless that was done a moment ago; the new look, None where not."""
        await self._lock.acquire()
        try:
            if self._clock.seconds() - self._at < FRESH:
                return None
            self.latest = await self._journal.read(look, self._path, self._since)
            self._since, self._at = self.latest.since, self._clock.seconds()
            return self.latest
        finally:
            self._lock.release()

    @property
    def age(self) -> float:
        """Seconds since the last look; infinite where there was none."""
        return self._clock.seconds() - self._at

    def now(self) -> datetime | None:
        """The journal's time at the last look."""
        return None if self.latest is None else self.latest.figures.now
