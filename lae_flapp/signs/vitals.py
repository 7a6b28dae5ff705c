"""How the daemon is, in one answer for programs: its health."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from attrs import define
from twisted.internet.interfaces import IReactorTime

from lae_flapp.journal import epoch, switches
from lae_flapp.journal.errors import JournalError
from lae_flapp.journal.journal import Journal
from lae_flapp.journal.transaction import ReadTx
from lae_protocol.messages import Pulse
from lae_protocol.process.deadline import DeadlinePassed, with_deadline
from lae_protocol.process.figures_port import HealthReport

#: Seconds for the journal to answer.
PATIENCE = 2.0


@define(eq=False)
class Vitals:
    """What the process knows of itself, once its journal is open.

    It is healthy when it can work: started, with a journal that answers and can be
    written, and not superseded.  That registrations are closed is told, and is not
    illness: whoever paid is served all the same.
    """

    clock: IReactorTime
    release: str
    environment: str
    deployment: str
    started_at: float
    journal: Journal
    #: Why no registrations are taken, beside an operator's pause.
    closed_because: Callable[[], str | None]
    #: Causes that last, by kind.
    causes: Callable[[], Mapping[str, int]]
    #: The Tubs listen.
    ready: bool = False
    superseded: bool = False

    def age(self) -> float:
        """Seconds since the start."""
        return self.clock.seconds() - self.started_at

    async def pulse(self) -> Pulse:
        """What sites are told."""
        report = await self.report()
        return Pulse(self.release, int(self.age()), report.healthy)

    async def report(self) -> HealthReport:
        """Ask the journal, shortly; everything else is known."""
        paused, problem = await self._journal_says()
        closed = self.closed_because()
        healthy = self.ready and not self.superseded and problem is None
        facts = {
            "process": "daemon",
            "status": "ok" if healthy else "failing" if self.ready else "starting",
            "release": self.release,
            "environment": self.environment,
            "deployment": self.deployment,
            "seconds_since_start": int(self.age()),
            "epoch": self.journal.epoch,
            "superseded": self.superseded,
            "journal": "ok" if problem is None else problem,
            "signups_open": closed is None and "signups" not in paused,
            "closed_because": closed,
            "paused": list(paused),
            "causes": dict(self.causes()),
        }
        return HealthReport(healthy, facts)

    async def _journal_says(self) -> tuple[tuple[str, ...], str | None]:
        """What is paused, and what is wrong with the journal."""
        try:
            # Of the epoch, too: whoever took over has another.
            number, paused = await with_deadline(
                self.clock, PATIENCE, "the journal", self.journal.read(_look)
            )
        except (JournalError, DeadlinePassed) as e:
            return (), type(e).__name__
        if number != self.journal.epoch:
            return paused, "StaleEpoch"
        failing = self.journal.failing
        return paused, None if failing is None else type(failing).__name__


def _look(tx: ReadTx) -> Any:
    return epoch.current(tx), tuple(pause.name for pause in switches.every(tx))
