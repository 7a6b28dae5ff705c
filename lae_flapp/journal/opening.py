"""Bringing a journal's file to the shape that this release knows."""

from __future__ import annotations

import stat
from datetime import datetime
from importlib.resources import files
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import Script, ScriptDirectory
from attrs import define
from sqlalchemy import Engine

from lae_flapp.journal import compatibility, sqlite
from lae_flapp.journal.errors import JournalExposed, JournalTooNew
from lae_flapp.journal.transaction import ReadTx


def configuration() -> Config:
    """Tell Alembic where the migrations are: inside this package, no ini file."""
    made = Config()
    folder = files("lae_flapp.journal") / "migrations"
    made.set_main_option("script_location", str(folder).replace("%", "%%"))
    return made


def prepare_folder(path: Path) -> None:
    """Make the journal's folder 0700, or refuse one that others may enter."""
    folder = path.parent
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if stat.S_IMODE(folder.stat().st_mode) & 0o077:
        raise JournalExposed(f"others may enter {folder}: chmod 700 it")


def upgrade(path: Path, engine: Engine, now: datetime) -> None:
    """Make the file if there is none, and bring it to the newest revision.

    A journal with content is copied first, beside itself.  One that a newer release
    expanded is left as it is where that release says that this one can run on it
    (:mod:`.compatibility`); else :class:`JournalTooNew` is raised.
    """
    sqlite.touch(path)
    path.chmod(0o600)
    standing = look(path, engine)
    _refuse_newer(path, standing)
    if not standing.behind:
        return
    if standing.present is not None:
        when = now.strftime("%Y%m%dT%H%M%SZ")
        backup = path.with_name(f"{path.name}.before-{standing.newest}-{when}")
        sqlite.copy(path, backup)
    config = configuration()
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
        compatibility.mark(connection, standing.newest, standing.runs_from)


@define(frozen=True)
class Standing:
    """How a journal and this release stand to each other.

    *present* is the journal's revision, None for an empty one; *newest* is ours;
    *runs_from* is the oldest revision whose code runs on *newest*; *allowed* says
    whether we may run on a journal of a revision that we do not know.
    """

    present: str | None
    newest: str
    runs_from: str
    known: bool
    allowed: bool

    @property
    def fits(self) -> bool:
        """Whether we can run on it, now or after an upgrade."""
        return self.known or self.allowed

    @property
    def behind(self) -> bool:
        """Whether there is something to upgrade."""
        return self.known and self.present != self.newest


def knows() -> dict[str, str]:
    """This release's newest revision, and the oldest whose code runs on it."""
    chain = _chain()
    newest = chain[-1].revision
    return {"newest": newest, "runs_from": compatibility.runs_from(chain)}


def revisions() -> frozenset[str]:
    """Every revision that this release knows."""
    return frozenset(script.revision for script in _chain())


def _chain() -> list[Script]:
    """All migrations, oldest first."""
    return list(ScriptDirectory.from_config(configuration()).walk_revisions())[::-1]


def revision_of(tx: ReadTx) -> str:
    """The revision of an open journal."""
    revision = MigrationContext.configure(tx.connection).get_current_revision()
    return revision or ""


def look(path: Path, engine: Engine) -> Standing:
    """Compare, and change nothing; *path* must be there."""
    assert path.exists(), path
    chain = _chain()
    names = [script.revision for script in chain]
    with engine.connect() as connection:
        present = MigrationContext.configure(connection).get_current_revision()
        allowed = compatibility.allows(connection, present, names[-1])
    return Standing(
        present,
        names[-1],
        compatibility.runs_from(chain),
        known=present is None or present in names,
        allowed=allowed,
    )


def _refuse_newer(path: Path, standing: Standing) -> None:
    if not standing.fits:
        raise JournalTooNew(
            f"{path} is of revision {standing.present}, written by a newer release;"
            f" this one knows up to {standing.newest}"
        )
