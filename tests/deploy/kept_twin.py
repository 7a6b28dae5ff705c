"""A deployment on the twin of a host, kept in a folder: for processes that are killed.

Each operation is durable when it is done.
"""

from __future__ import annotations

import pickle
from datetime import UTC, datetime
from pathlib import Path

from lae_provision.deploy.engine import carry_out
from lae_provision.deploy.intent import Forward, Intent, Order
from lae_provision.deploy.plan import Observed, Step, resume_as
from tests.deploy.twin import NEW, OLD, TwinHost

ORDER = Order(1, "release", NEW, OLD, "ann", datetime(2026, 1, 1, tzinfo=UTC), "c" * 40)


class KeptHost(TwinHost):
    """The twin, in a file."""

    file: Path

    @classmethod
    def at(cls, folder: Path) -> KeptHost:
        """As it was left."""
        host = cls()
        host.file = folder / "host"
        if host.file.exists():
            host.seen, host.noted, host.history = pickle.loads(host.file.read_bytes())
        return host

    def note(self, intent: Intent) -> None:
        super().note(intent)
        self._keep()

    def perform(self, step: Step, intent: Intent) -> None:
        super().perform(step, intent)
        self._keep()

    def _keep(self) -> None:
        new = self.file.with_suffix(".new")
        new.write_bytes(pickle.dumps((self.seen, self.noted, self.history)))
        new.rename(self.file)


def state(folder: Path) -> tuple[Observed, bytes | None, list[str]]:
    """What a killed process left."""
    host = KeptHost.at(folder)
    return host.seen, host.noted, host.history


def main(folder: Path, *bad: str) -> None:
    """Begin one, or take up what is unfinished there, and go on to the end."""
    host = KeptHost.at(folder)
    host.bad = {NEW} if "bad" in bad else set()
    found = host.intent()
    intent = Forward(ORDER) if found is None else resume_as(found, host.seen)
    carry_out(host, intent, lambda _: None)
