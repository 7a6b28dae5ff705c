"""All metrics of the daemon, and its health, put together."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from lae_flapp.backup.continuous import BackupSeen
from lae_flapp.journal.events import Event
from lae_flapp.signs.collector import JournalFigures
from lae_flapp.signs.snapshots import Snapshots
from lae_flapp.signs.standing import severity_of
from lae_flapp.signs.steps import STEPS, durations
from lae_flapp.signs.vitals import Vitals

_BUCKETS = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 900, 3600, 14400)


class Busy(Protocol):
    """Who has signups in work."""

    def busy(self) -> frozenset[Any]:
        """Which."""


class DaemonFigures:
    """Refreshed when somebody scrapes; see :mod:`.snapshots`."""

    def __init__(
        self,
        registry: CollectorRegistry,
        vitals: Vitals,
        snapshots: Snapshots,
        quotas: Mapping[tuple[str, str], int],
        crew: Busy,
        *,
        backup: Callable[[], BackupSeen | None] = lambda: None,
    ) -> None:
        self._vitals, self._snapshots = vitals, snapshots
        self._last_steps: dict[str, Any] = {}
        registry.register(JournalFigures(snapshots, quotas, backup))
        self._events = Counter(
            "s4_events",
            "Events that were journaled since this daemon started.",
            ("kind",),
            registry=registry,
        )
        self._steps = Histogram(
            "s4_step_seconds",
            "How long a step of the routine took, as the customer saw it.",
            ("step",),
            buckets=_BUCKETS,
            registry=registry,
        )
        for step in STEPS:
            self._steps.labels(step)
        self._healthy = Gauge(
            "s4_daemon_healthy",
            "Whether the daemon can work (1) or not (0), as its /health says.",
            registry=registry,
        )
        self._open = Gauge(
            "s4_signups_open",
            "Whether new signups are taken (1) or not (0).",
            registry=registry,
        )
        Gauge(
            "s4_workers", "Signups that are in work now.", registry=registry
        ).set_function(lambda: len(crew.busy()))
        self._causes = Gauge(
            "s4_causes",
            "Causes of trouble that last, as told to the operators.",
            ("kind", "severity"),
            registry=registry,
        )

    async def refresh(self) -> None:
        """Look anew; raises what the journal raises, with health and causes told."""
        report = await self._vitals.report()
        self._healthy.set(report.healthy)
        self._open.set(bool(report.facts["signups_open"]))
        self._causes.clear()
        for kind, many in self._vitals.causes().items():
            self._causes.labels(kind, severity_of(kind)).set(many)
        look = await self._snapshots.refresh()
        if look is not None:
            self._count(look.events)

    def _count(self, events: Iterable[Event]) -> None:
        told = tuple(events)
        for event in told:
            self._events.labels(event.kind).inc()
        ended, self._last_steps = durations(told, self._last_steps)
        for step, seconds in ended:
            self._steps.labels(step).observe(seconds)
