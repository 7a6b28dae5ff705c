"""Looking from time to time whether something is wrong, and having it told once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Mapping

from attrs import define
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from lae_flapp.backup.continuous import BackupSeen
from lae_flapp.flood import HourlyLimit
from lae_flapp.grid.moves import SIGNUP, WHO
from lae_flapp.journal import causes, epoch, events
from lae_flapp.journal.causes import Cause
from lae_flapp.journal.errors import JournalFull
from lae_flapp.journal.figures import Figures
from lae_flapp.journal.journal import Journal
from lae_flapp.journal.transaction import WriteTx
from lae_flapp.signs.calls import Tally
from lae_flapp.signs.figures import DaemonFigures
from lae_flapp.signs.registrations import Registrations
from lae_flapp.signs.snapshots import Snapshots
from lae_flapp.signs.standing import (
    WATCHED,
    Bounds,
    Causes,
    Seen,
    standing,
    unheard,
)


@define(eq=False)
class Watch:
    """Looks; the journal keeps what is wrong, and the notices tell it.

    *tallies* are the calls', *strays* those of the last look at the cloud.
    """

    clock: IReactorTime
    journal: Journal
    figures: DaemonFigures
    snapshots: Snapshots
    registrations: Registrations
    tallies: Callable[[], Mapping[str, Tally]]
    strays: Callable[[], Mapping[str, str]]
    #: By signup, what is told of hosts that are late to claim.
    unclaimed: Callable[[], Mapping[str, str]]
    quotas: Mapping[tuple[str, str], int]
    bounds: Bounds
    probe: Callable[[], Awaitable[None]]
    ahead: Callable[[], float]
    #: By setting, rows that none of its keys opens.
    unopened: Callable[[], Mapping[str, int]]
    #: How the journal's backup is; None where none is configured.
    backup: Callable[[], BackupSeen | None]
    #: What is counted of what others ask for, by what it is called.
    limits: Mapping[str, HourlyLimit]
    #: Causes that last, by kind, as of the last look; health shows them.
    lasting: Counter[str]
    #: Causes of the last look, whether or not the journal has them; operators ask.
    standing: Causes
    _closed_since: float | None = None
    _full_since: float | None = None
    #: :attr:`Journal.refused_as_full` as of the last look.
    _refused: int = 0

    _log = Logger()

    async def look(self) -> None:
        """1. write that the daemon lives; 2. see; 3. journal what stands; 4. ask what
        fails and is not asked by anybody.

        On a full disk nothing can be journaled: what stands is in *standing* all the
        same, for operators who ask, and in the log.
        """
        try:
            await self.journal.write(epoch.beat)
            await self._note_room()
        except JournalFull as e:
            self._is_full(str(e))
        await self.figures.refresh()
        seen = self._seen()
        if seen is None:
            return
        found = standing(seen, self.bounds)
        self.standing.clear()
        self.standing.update(found)
        try:
            stands = await self._journaled(found, seen.figures)
        except JournalFull as e:
            self._is_full(str(e))
            stands = set(found)
        self.lasting.clear()
        self.lasting.update(kind for kind, _ in stands)
        if unheard(seen, self.bounds):
            await self.probe()

    async def _journaled(
        self, found: Mapping[tuple[str, str], str], figures: Figures
    ) -> set[tuple[str, str]]:
        """Journal what was *found*; all that lasts."""
        lasting = await self.journal.read(causes.lasting)
        if self._differs(lasting, found, figures):
            lasting = await self.journal.write(self._settle, found, figures)
        return {(cause.kind, cause.subject) for cause in lasting}

    def _seen(self) -> Seen | None:
        latest, now = self.snapshots.latest, self.clock.seconds()
        if latest is None:
            return None
        closed = self.registrations.closed_because()
        if closed is None:
            self._closed_since = None
        elif self._closed_since is None:
            self._closed_since = now
        since = self._closed_since
        return Seen(
            figures=latest.figures,
            disk=latest.disk,
            tallies=self.tallies(),
            now=now,
            quotas=self.quotas,
            closed_for=0.0 if since is None else now - since,
            closed_because=self.registrations.problem() or "",
            strays=self.strays(),
            unclaimed=self.unclaimed(),
            ahead=self.ahead(),
            unopened=self.unopened(),
            backup=self.backup(),
            flooded=frozenset(
                what
                for what, limit in self.limits.items()
                if limit.refused_within(self.bounds.flooded)
            ),
            full=self._full_since is not None,
        )

    def _differs(
        self,
        lasting: tuple[Cause, ...],
        found: Mapping[tuple[str, str], str],
        figures: Figures,
    ) -> bool:
        here = {(c.kind, c.subject) for c in lasting if c.kind in WATCHED}
        gone = [c for c in lasting if c.kind == SIGNUP and _went_on(c, figures)]
        return here != set(found) or bool(gone)

    def _settle(
        self, tx: WriteTx, found: Mapping[tuple[str, str], str], figures: Figures
    ) -> tuple[Cause, ...]:
        causes.settle(tx, WATCHED, found)
        for cause in causes.lasting(tx):
            if cause.kind == SIGNUP and _went_on(cause, figures):
                causes.end(tx, cause.kind, cause.subject)
        return causes.lasting(tx)

    async def _note_room(self) -> None:
        """Journal how long the disk was full, once a whole look passed in which no
        write was refused: a beat may fit where a signup does not.
        """
        if self._refused != self.journal.refused_as_full:
            self._is_full("too little is left for some writes")
        elif self._full_since is not None:
            seconds = round(self.clock.seconds() - self._full_since)
            await self.journal.write(_note_full, seconds)
            self._full_since = None
            self._log.info("there is room again, after {seconds} s", seconds=seconds)

    def _is_full(self, problem: str) -> None:
        self._refused = self.journal.refused_as_full
        if self._full_since is None:
            self._full_since = self.clock.seconds()
            self._log.critical(
                "the journal's disk is full: nothing can be written, and no signups"
                " are taken ({problem})",
                problem=problem,
            )


def _note_full(tx: WriteTx, seconds: int) -> None:
    events.note(tx, None, "journal-full", WHO, f"the disk was full for {seconds} s")


def _went_on(cause: Cause, figures: Figures) -> bool:
    return cause.subject.partition(" ")[0] not in figures.troubled
