"""The folder of copies of the journal: made for people, for the nightly timer, before a
release.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from attrs import define

from lae_flapp.journal import sqlite
from lae_flapp.settings import DaemonSettings


def name_of_copy(now: datetime) -> str:
    """Name a copy after its time, so that names sort as the copies' ages do."""
    return f"journal-{now:%Y%m%dT%H%M%S.%fZ}.sqlite"


@define(frozen=True)
class Copies:
    """The copies of *journal* in *folder*."""

    journal: Path
    folder: Path

    def make(self, name: str, progress: Callable[[int, int], None]) -> Path:
        """Copy the journal, whatever the daemon does; see :func:`.sqlite.copy`."""
        self.folder.mkdir(mode=0o700, exist_ok=True)
        made = self.folder / name
        sqlite.copy(self.journal, made, progress)
        return made

    def delete_all_but(self, newest: int) -> None:
        """Delete all copies that were named after their time but the newest ones."""
        for old in sorted(self.folder.glob("journal-*.sqlite"))[:-newest]:
            old.unlink()


def copies_of(settings: DaemonSettings) -> Copies:
    """The copies of a daemon's journal, in the daemon's folder."""
    return Copies(settings.journal, settings.state / "backups")
