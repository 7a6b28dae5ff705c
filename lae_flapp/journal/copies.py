"""The folder of copies of the journal: made for people, and before a
release.

Beside each copy is a folder with what else a restore needs of the daemon's own: the
certificates that every furl of a site, an operator or a host names, and the two furls.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from attrs import define

from lae_flapp.journal import sqlite
from lae_flapp.settings import DaemonSettings

#: What the daemon's folder has beside the journal, made at its first start and kept
#: for life.
KEPT_FOR_LIFE = ("private.pem", "hosts.pem", "front-desk.furl", "operator.furl")
#: Behind a copy's name: the folder beside it.
_FILES = ".files"


def name_of_copy(now: datetime) -> str:
    """Name a copy after its time, so that names sort as the copies' ages do."""
    return f"journal-{now:%Y%m%dT%H%M%S.%fZ}.sqlite"


@define(frozen=True)
class Copies:
    """The copies of *journal*, and of the files of *state*, in *folder*."""

    journal: Path
    state: Path
    folder: Path

    def make(self, name: str, progress: Callable[[int, int], None]) -> Path:
        """Copy what is kept for life, then the journal, whatever the daemon does; see
        :func:`.sqlite.copy`.
        """
        self.folder.mkdir(mode=0o700, exist_ok=True)
        made = self.folder / name
        beside = files_of(made)
        # What a copy of this name left that was broken off.
        shutil.rmtree(beside, ignore_errors=True)
        try:
            _copy_kept(self.state, beside)
            sqlite.copy(self.journal, made, progress)
        except BaseException:
            shutil.rmtree(beside, ignore_errors=True)
            raise
        return made

    def delete_all_but(self, newest: int) -> None:
        """Delete all copies that were named after their time but the newest ones, and
        what a copy that was broken off has left.
        """
        for old in sorted(self.folder.glob("journal-*.sqlite"))[:-newest]:
            old.unlink()
        for beside in self.folder.glob(f"journal-*.sqlite{_FILES}"):
            if not beside.with_name(beside.name.removesuffix(_FILES)).exists():
                shutil.rmtree(beside)


def files_of(copy: Path) -> Path:
    """Where the files lie that were copied with this copy of the journal."""
    return copy.with_name(copy.name + _FILES)


def put_back(copy: Path, state: Path) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Put the files of this copy into the daemon's folder, where they are missing.

    Names which were put there, and which are missing still.  What the folder has is
    newer than the copy, and stays.
    """
    lost = [name for name in KEPT_FOR_LIFE if not (state / name).exists()]
    found = [name for name in lost if (files_of(copy) / name).is_file()]
    for name in found:
        _copy_file(files_of(copy) / name, state / name)
    return tuple(found), tuple(name for name in lost if name not in found)


def _copy_kept(state: Path, into: Path) -> None:
    into.mkdir(mode=0o700)
    for name in KEPT_FOR_LIFE:
        # Before the daemon's first start there are none.
        if (state / name).is_file():
            _copy_file(state / name, into / name)
    sqlite.sync(into)


def _copy_file(source: Path, target: Path) -> None:
    """Copy it, whole, for its owner alone."""
    partial = target.with_name(f".{target.name}.new")
    partial.unlink(missing_ok=True)
    sqlite.touch(partial)
    with partial.open("wb") as out:
        out.write(source.read_bytes())
        out.flush()
        os.fsync(out.fileno())
    partial.replace(target)
    sqlite.sync(target.parent)


def copies_of(settings: DaemonSettings) -> Copies:
    """The copies of a daemon's journal, in the daemon's folder."""
    return Copies(settings.journal, settings.state, settings.state / "backups")
