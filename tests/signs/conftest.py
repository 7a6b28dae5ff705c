"""A daemon's signs of life on a real journal that answers at once."""

from __future__ import annotations

from collections import Counter
from types import SimpleNamespace
from typing import Any

import pytest
from attrs import Factory, define
from prometheus_client import CollectorRegistry
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from lae_flapp.backup.continuous import BackupSeen
from lae_flapp.journal.journal import Journal
from lae_flapp.signs.calls import CallFigures
from lae_flapp.signs.figures import DaemonFigures
from lae_flapp.signs.snapshots import Snapshots
from lae_flapp.signs.vitals import Vitals
from lae_protocol.process.own_figures import OwnFigures
from tests.grid.world import World
from tests.twins.ground import START
from tests.twins.journal import answer, open_journal

CELL = ("c1", "instances")


def now(waiting: Any) -> Any:
    """What has happened by now."""
    return answer(Deferred.fromCoroutine(waiting))


@define(slots=False)
class Signs:
    """What a daemon has of them."""

    clock: Clock
    journal: Journal
    backup: BackupSeen | None = None
    busy: set[str] = Factory(set)
    closed: str | None = None
    ahead: float = 0.0
    causes: Counter[str] = Factory(Counter)

    def __attrs_post_init__(self) -> None:
        self.registry = CollectorRegistry()
        self.calls = CallFigures(self.registry, self.clock)
        self.own = OwnFigures(
            self.clock, self.registry, "daemon", "1.2", lambda: self.ahead
        )
        self.vitals = Vitals(
            self.clock,
            "1.2",
            "test",
            "s4test",
            self.clock.seconds(),
            self.journal,
            lambda: self.closed,
            causes=lambda: self.causes,
            ready=True,
        )
        self.snapshots = Snapshots(self.clock, self.journal, self.journal._path)
        crew = SimpleNamespace(busy=lambda: frozenset(self.busy))
        quotas = {CELL: 10}
        self.figures = DaemonFigures(
            self.registry,
            self.vitals,
            self.snapshots,
            quotas,
            crew,
            backup=lambda: self.backup,
        )

    def refresh(self) -> None:
        now(self.figures.refresh())

    def value(self, name: str, **labels: str) -> float | None:
        return self.registry.get_sample_value(name, labels)

    def health(self) -> Any:
        return now(self.vitals.report())


@pytest.fixture
def signs(tmp_path):
    """A daemon that is well."""
    clock = Clock()
    clock.advance(START)
    journal = open_journal(tmp_path / "journal", clock)
    made = Signs(clock, journal)
    yield made
    answer(Deferred.fromCoroutine(journal.close()))


@pytest.fixture
def lived(tmp_path):
    """A daemon with signups in work: the signs, and the world that they are of."""
    world = World(tmp_path)
    world.start()
    yield world, Signs(world.clock, world.journal)
    if world.up:
        world.stop()
