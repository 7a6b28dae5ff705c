"""The signs of life, wired for a daemon."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import version
from random import Random
from typing import Any

from attrs import define
from prometheus_client import CollectorRegistry

from lae_flapp.journal import causes
from lae_flapp.journal.journal import Journal
from lae_flapp.queue import Queue
from lae_flapp.settings import DaemonSettings
from lae_flapp.signs.calls import CallFigures
from lae_flapp.signs.figures import DaemonFigures
from lae_flapp.signs.notices import Notices
from lae_flapp.signs.snapshots import Snapshots
from lae_flapp.signs.standing import Bounds
from lae_flapp.signs.vitals import Vitals
from lae_flapp.signs.watch import Watch
from lae_flapp.wiring.inside import Inside, quotas_of
from lae_flapp.wiring.opening import Opening
from lae_flapp.wiring.outside import Outside
from lae_protocol.address import parse_address
from lae_protocol.process.own_figures import OwnFigures

#: Operators are few.
NOTICES_AT_ONCE = 2


@define(frozen=True)
class Signs:
    """What is started, and looked at from time to time."""

    figures: DaemonFigures
    watch: Watch
    notices: Queue[Any]


@define(frozen=True)
class SignsWiring:
    """Everything that they are made of."""

    reactor: Any
    rng: Random
    settings: DaemonSettings
    registry: CollectorRegistry
    calls: CallFigures
    journal: Journal
    outside: Outside
    opening: Opening
    #: How far the machine's clock is ahead of the reactor's, in seconds.
    ahead: Callable[[], float]

    def vitals(self) -> Vitals:
        """The health of a daemon whose journal is open."""
        return Vitals(
            self.reactor,
            version("s4"),
            self.settings.environment,
            self.settings.deployment,
            self.reactor.seconds(),
            self.journal,
            self.opening.closed_because,
        )

    def own_figures(self) -> OwnFigures:
        """What every process tells of itself."""
        return OwnFigures(
            self.reactor, self.registry, "daemon", version("s4"), self.ahead
        )

    def signs(self, vitals: Vitals, inside: Inside) -> Signs:
        """Wire them; the vitals then know what the watch sees."""
        settings, journal = self.settings, self.journal
        quotas = {
            (cell.name, quota): limit
            for cell in settings.cells
            for quota, limit in quotas_of(cell).items()
        }
        path = settings.state / "journal" / "journal.sqlite"
        snapshots = Snapshots(self.reactor, journal, path, settings.journal_backups)
        figures = DaemonFigures(self.registry, vitals, snapshots, quotas, inside.crew)
        patience, reserve = settings.patience, settings.journal_reserve_mib << 20
        watch = Watch(
            clock=self.reactor,
            journal=journal,
            figures=figures,
            snapshots=snapshots,
            opening=self.opening,
            tallies=lambda: self.calls.tallies,
            strays=lambda: inside.lost_hosts.strays,
            quotas=quotas,
            bounds=Bounds(
                away=patience.operator_alert,
                late=patience.unserved_alert,
                disk=4 * reserve,
            ),
            reserve=reserve,
            probe=self.opening.probe,
            ahead=self.ahead,
        )
        vitals.why_closed = watch.closed_because
        vitals.causes = lambda: watch.lasting
        return Signs(figures, watch, self._notices())

    def _notices(self) -> Queue[Any]:
        notices = Notices(
            self.journal,
            self.outside.mail,
            sender=self.outside.sender,
            operators=tuple(map(parse_address, self.settings.mail.operators)),
            deployment=self.settings.deployment,
            rng=self.rng,
        )
        return Queue(
            "causes",
            self.reactor,
            self.journal,
            due=causes.due,
            next_due_at=causes.next_due_at,
            number_of=lambda cause: cause.number,
            work=notices,
            at_once=NOTICES_AT_ONCE,
        )
