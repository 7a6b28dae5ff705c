"""The signs of life, wired for a daemon."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

from prometheus_client import CollectorRegistry

from lae_flapp.inside import quotas_of
from lae_flapp.journal.journal import Journal
from lae_flapp.opening import Opening
from lae_flapp.settings import DaemonSettings
from lae_flapp.signs.figures import Busy, DaemonFigures
from lae_flapp.signs.snapshots import Snapshots
from lae_flapp.signs.vitals import Vitals
from lae_protocol.process.own_figures import OwnFigures


def vitals_of(
    reactor: Any, settings: DaemonSettings, journal: Journal, opening: Opening
) -> Vitals:
    """The health of a daemon whose journal is open."""
    return Vitals(
        reactor,
        version("s4"),
        settings.environment,
        settings.deployment,
        reactor.seconds(),
        journal,
        opening.closed_because,
    )


def figures_of(
    registry: CollectorRegistry,
    settings: DaemonSettings,
    vitals: Vitals,
    journal: Journal,
    crew: Busy,
) -> DaemonFigures:
    """Its metrics."""
    quotas = {
        (cell.name, quota): limit
        for cell in settings.cells
        for quota, limit in quotas_of(cell).items()
    }
    path = settings.state / "journal" / "journal.sqlite"
    snapshots = Snapshots(vitals.clock, journal, path, settings.journal_backups)
    return DaemonFigures(registry, vitals, snapshots, quotas, crew)


def own_figures(reactor: Any, registry: CollectorRegistry) -> OwnFigures:
    """What every process tells of itself."""
    return OwnFigures(reactor, registry, "daemon", version("s4"))
