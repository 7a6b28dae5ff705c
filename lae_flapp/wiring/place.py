"""Where a daemon's journal is, and whose: asked by the daemon and by commands."""

from __future__ import annotations

from pathlib import Path

from lae_flapp.journal.copies import Copies
from lae_flapp.journal.meta import Home
from lae_flapp.settings import DaemonSettings


def journal_path(state: Path) -> Path:
    """The journal's file in the daemon's folder."""
    return state / "journal" / "journal.sqlite"


def copies_of(state: Path) -> Copies:
    """The journal's copies in the daemon's folder."""
    return Copies(journal_path(state), state / "backups")


def home_of(settings: DaemonSettings) -> Home:
    """What the journal must say of itself."""
    return Home(
        settings.environment,
        settings.deployment,
        settings.aws.account,
        settings.stripe.mode,
    )
