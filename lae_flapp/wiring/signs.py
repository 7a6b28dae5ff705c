"""The signs of life, wired for a daemon."""

from __future__ import annotations

from collections import Counter
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
from lae_flapp.signs.registrations import Registrations
from lae_flapp.signs.snapshots import Snapshots
from lae_flapp.signs.standing import Bounds
from lae_flapp.signs.vitals import Vitals
from lae_flapp.signs.watch import Watch
from lae_flapp.wiring.inside import Inside, quotas_of
from lae_flapp.wiring.opening import Opening
from lae_flapp.wiring.outside import Outside
from lae_flapp.wiring.place import journal_path
from lae_protocol.address import parse_address

#: Operators are few.
NOTICES_AT_ONCE = 2


@define(frozen=True)
class Signs:
    """What is started, and looked at from time to time."""

    figures: DaemonFigures
    watch: Watch
    notices: Queue[Any]


@define(frozen=True)
class DaemonHealth:
    """What is known of a daemon whose journal is open, and shown to whoever asks."""

    snapshots: Snapshots
    registrations: Registrations
    #: Causes that last, by kind: the watch keeps them.
    lasting: Counter[str]
    vitals: Vitals


def wire_health(
    *, reactor: Any, settings: DaemonSettings, journal: Journal, opening: Opening
) -> DaemonHealth:
    """Wire it; the daemon says that it is ready when its Tubs listen."""
    snapshots = Snapshots(
        reactor, journal, journal_path(settings.state), settings.journal_backups
    )
    registrations = Registrations(
        journal, snapshots, opening, reserve=settings.journal_reserve_mib << 20
    )
    lasting: Counter[str] = Counter()
    vitals = Vitals(
        clock=reactor,
        release=version("s4"),
        environment=settings.environment,
        deployment=settings.deployment,
        started_at=reactor.seconds(),
        journal=journal,
        why_closed=registrations.closed_because,
        causes=lambda: lasting,
    )
    return DaemonHealth(snapshots, registrations, lasting, vitals)


def wire_signs(
    *,
    reactor: Any,
    rng: Random,
    settings: DaemonSettings,
    registry: CollectorRegistry,
    calls: CallFigures,
    journal: Journal,
    outside: Outside,
    opening: Opening,
    ahead: Callable[[], float],
    health: DaemonHealth,
    inside: Inside,
) -> Signs:
    """Wire the metrics, the watch, and the mails to the operators.

    *ahead* is how far the machine's clock is ahead of the reactor's, in seconds.
    """
    quotas = {
        (cell.name, quota): limit
        for cell in settings.cells
        for quota, limit in quotas_of(cell).items()
    }
    patience = settings.patience
    figures = DaemonFigures(
        registry, health.vitals, health.snapshots, quotas, inside.crew
    )
    watch = Watch(
        clock=reactor,
        journal=journal,
        figures=figures,
        snapshots=health.snapshots,
        registrations=health.registrations,
        tallies=lambda: calls.tallies,
        strays=lambda: inside.lost_hosts.strays,
        quotas=quotas,
        bounds=Bounds(
            away=patience.operator_alert,
            late=patience.unserved_alert,
            disk=4 * health.registrations.reserve,
        ),
        probe=opening.probe,
        ahead=ahead,
        lasting=health.lasting,
    )
    notices = Notices(
        journal,
        outside.mail,
        sender=outside.sender,
        operators=tuple(map(parse_address, settings.mail.operators)),
        deployment=settings.deployment,
        rng=rng,
    )
    queue = Queue(
        "causes",
        reactor,
        journal,
        due=causes.due,
        next_due_at=causes.next_due_at,
        number_of=lambda cause: cause.number,
        work=notices,
        at_once=NOTICES_AT_ONCE,
    )
    return Signs(figures, watch, queue)
