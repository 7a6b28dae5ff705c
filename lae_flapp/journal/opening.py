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
from sqlalchemy import Engine

from lae_flapp.journal import sqlite
from lae_flapp.journal.errors import JournalExposed, JournalTooNew


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

    A journal with content is copied first, beside itself.  Raises
    :class:`JournalTooNew` for a revision that this release has never heard of.
    """
    sqlite.touch(path)
    path.chmod(0o600)
    config = configuration()
    newest = ScriptDirectory.from_config(config).get_current_head()
    present = _revision(engine)
    _refuse_newer(path, config, present, str(newest))
    if present == newest:
        return
    if present is not None:
        when = now.strftime("%Y%m%dT%H%M%SZ")
        backup = path.with_name(f"{path.name}.before-{newest}-{when}")
        sqlite.copy(path, backup)
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def _revision(engine: Engine) -> str | None:
    with engine.connect() as connection:
        return MigrationContext.configure(connection).get_current_revision()


def _refuse_newer(path: Path, config: Config, present: str | None, newest: str) -> None:
    known = {script.revision for script in _scripts(config)}
    if present is not None and present not in known:
        raise JournalTooNew(
            f"{path} is of revision {present}, written by a newer release;"
            f" this one knows up to {newest}"
        )


def _scripts(config: Config) -> list[Script]:
    return list(ScriptDirectory.from_config(config).walk_revisions())
