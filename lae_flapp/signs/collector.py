"""The journal's figures as metrics, of the newest look at it (``docs/metrics.rst``)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, get_args

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from lae_flapp.backup.continuous import BackupSeen
from lae_flapp.journal.hosts import HostState
from lae_flapp.journal.rollouts import OPEN, HostOutcome
from lae_flapp.journal.switches import SwitchName
from lae_flapp.signs.snapshots import Look, Snapshots
from lae_protocol.messages import SignupState


class JournalFigures(Collector):
    """Shows the newest look; nothing while there was none.

    *quotas* are by cell and quota.
    """

    def __init__(
        self,
        snapshots: Snapshots,
        quotas: Mapping[tuple[str, str], int],
        backup: Callable[[], BackupSeen | None],
    ) -> None:
        self._snapshots, self._quotas, self._backup = snapshots, quotas, backup

    def describe(self) -> Iterable[Any]:
        """Nothing ahead: the names are this class' alone."""
        return ()

    def collect(self) -> Iterable[Any]:
        """All families."""
        latest = self._snapshots.latest
        if latest is None:
            return
        yield GaugeMetricFamily(
            "s4_journal_snapshot_age_seconds",
            "How old the journal's figures are: it is asked when they are scraped.",
            value=self._snapshots.age,
        )
        yield from _signups(latest)
        yield from _queues(latest)
        yield from _hosts(latest)
        yield from _disk(latest)
        yield from _programs(latest)
        yield from _backup(self._backup())
        yield from self._cells(latest)

    def _cells(self, look: Look) -> Iterable[GaugeMetricFamily]:
        labels = ("cell", "quota")
        used = GaugeMetricFamily(
            "s4_cell_used", "How much of a quota is held or kept.", labels=labels
        )
        quota = GaugeMetricFamily("s4_cell_quota", "The quota.", labels=labels)
        for key, limit in sorted(self._quotas.items()):
            used.add_metric(key, look.figures.used.get(key, 0))
            quota.add_metric(key, limit)
        yield from (used, quota)


def _signups(look: Look) -> Iterable[GaugeMetricFamily]:
    figures = look.figures
    yield _labelled(
        "s4_signups",
        "Signups by what became of them.",
        "state",
        {state: figures.signups.get(state, 0) for state in get_args(SignupState)},
    )
    yield GaugeMetricFamily(
        "s4_unserved_oldest_seconds",
        "Since the payment of whoever waits longest for storage; 0 where nobody does.",
        value=figures.unserved.age(figures.now),
    )
    yield _labelled(
        "s4_paused",
        "What operators have paused (1).",
        "what",
        {name: name in figures.paused for name in get_args(SwitchName)},
    )


def _queues(look: Look) -> Iterable[GaugeMetricFamily]:
    figures = look.figures
    for name, words, waiting in (
        ("inbox", "Events of Stripe", figures.inbox),
        ("outbox", "Mails", figures.outbox),
        ("effects", "Requests to outside without an outcome", figures.effects),
    ):
        yield GaugeMetricFamily(
            f"s4_{name}_waiting", f"{words} that wait.", value=waiting.count
        )
        yield GaugeMetricFamily(
            f"s4_{name}_oldest_seconds",
            f"{words}: for how long the oldest waits.",
            value=waiting.age(figures.now),
        )


def _hosts(look: Look) -> Iterable[GaugeMetricFamily]:
    states = {state: look.figures.hosts.get(state, 0) for state in get_args(HostState)}
    yield _labelled("s4_hosts", "Customers' hosts.", "state", states)
    yield GaugeMetricFamily(
        "s4_hosts_silent",
        "Hosts of served customers that have not reported for 15 minutes.",
        value=len(look.figures.silent),
    )
    yield GaugeMetricFamily(
        "s4_hosts_failing",
        "Hosts of served customers that say what they cannot do.",
        value=len(look.figures.failing),
    )


def _disk(look: Look) -> Iterable[GaugeMetricFamily]:
    disk = look.disk
    yield GaugeMetricFamily(
        "s4_journal_bytes", "The journal's file and its log.", value=disk.journal
    )
    yield GaugeMetricFamily(
        "s4_journal_free_bytes",
        "What is left on the journal's disk, and free within it.",
        value=disk.free,
    )


def _backup(seen: BackupSeen | None) -> Iterable[GaugeMetricFamily]:
    if seen is None:
        return
    yield GaugeMetricFamily(
        "s4_backup_age_seconds",
        "Since all that was committed was in the backup bucket.",
        value=seen.age,
    )
    if seen.tested is not None:
        yield GaugeMetricFamily(
            "s4_backup_tested_age_seconds",
            "Since a drill of a restore was sound; infinite where none is known.",
            value=seen.tested,
        )


def _programs(look: Look) -> Iterable[GaugeMetricFamily]:
    rollout, told = look.figures.rollout, look.figures.rollout_hosts
    yield GaugeMetricFamily(
        "s4_rollout_open",
        "Whether a rollout is under way, paused or going back (1).",
        value=rollout is not None and rollout.state in OPEN,
    )
    yield _labelled(
        "s4_rollout_hosts",
        "What became of the hosts of the newest rollout.",
        "outcome",
        {outcome: told.get(outcome, 0) for outcome in get_args(HostOutcome)},
    )
    oldest = min((one.since for one in look.figures.images), default=None)
    age = 0.0 if oldest is None else (look.figures.now - oldest).total_seconds()
    yield GaugeMetricFamily(
        "s4_host_image_oldest_seconds",
        "Since the oldest image that hosts run was first rolled out, or launched.",
        value=age,
    )


def _labelled(
    name: str, words: str, label: str, values: Mapping[str, float]
) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, words, labels=(label,))
    for key, value in values.items():
        family.add_metric((key,), value)
    return family
