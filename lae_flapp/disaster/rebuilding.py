"""Building a deployment's files from its backup, in a folder of their own.

Paths are as they were on the machine that is gone, below the folder.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar

from attrs import define, field, fields, has

from lae_flapp.backup.keepsakes import KeptFile, open_keepsakes
from lae_flapp.backup.layout import (
    About,
    Life,
    NotOurBackup,
    about_key,
    journal_path,
    keepsakes_key,
)
from lae_flapp.backup.witnessed import Reached, reached_key
from lae_flapp.disaster.event_numbers import Counted, count, judge
from lae_flapp.disaster.fetching import fetch_journal
from lae_flapp.disaster.reasons import (
    BackupIsCut,
    BackupIsDamaged,
    BackupIsForeign,
    BackupIsNewer,
    NoBackup,
    TargetIsTaken,
    WrongRecoveryKey,
)
from lae_flapp.disaster.shelf import IShelf
from lae_flapp.journal import opening
from lae_flapp.journal.errors import ForeignJournal, JournalError, JournalTooNew
from lae_flapp.journal.meta import Home, home_of
from lae_flapp.journal.restoring import check_backup
from lae_flapp.settings import DaemonSettings
from lae_protocol.process.settings import SettingsError, load
from lae_protocol.secret import Secret
from lae_provision.errors import Refused

T = TypeVar("T")

#: Is told what is done next.
Told = Callable[[str], object]


@define(frozen=True)
class Found:
    """What the backup has of one life."""

    life: Life
    about: About
    files: tuple[KeptFile, ...] = field(repr=False)

    @property
    def home(self) -> Home:
        """Whose journal it says that it is."""
        about = self.about
        return Home(
            about.environment, about.deployment, about.account, about.stripe_mode
        )


@define(frozen=True)
class Rebuilt:
    """The files of the deployment, below *folder*, as *settings* name them there."""

    folder: Path
    found: Found
    settings: DaemonSettings
    counted: Counted

    @property
    def settings_as_told(self) -> DaemonSettings:
        """With the paths of the machine that is gone."""
        return moved(self.settings, lambda path: above(self.folder, path))


async def find(shelf: IShelf, key: Secret, life: Life | None = None) -> Found:
    """1. The newest life that has a whole copy, or the one that is asked for; 2. whose
    it is, and of which release; 3. its keepsakes, opened.

    Raises :class:`CannotRebuild` kinds.
    """
    for one in reversed(await shelf.lives() if life is None else (life,)):
        body = await shelf.read(about_key(shelf.deployment, one))
        if body is None:
            # It ended before its first whole copy was in the bucket.
            continue
        about = _read_about(body, shelf.deployment)
        sealed = await shelf.read(keepsakes_key(shelf.deployment, one))
        if sealed is None:
            raise BackupIsCut(f"life {one} has no keepsakes")
        try:
            return Found(one, about, open_keepsakes(sealed, key))
        except Refused as e:
            raise WrongRecoveryKey(
                f"the keepsakes of life {one}: {e.message}"
            ) from None
    what = shelf.deployment if life is None else f"life {life}"
    raise NoBackup(f"the backup has no whole copy of {what}")


def _read_about(body: bytes, deployment: str) -> About:
    try:
        about = About.from_json(body)
    except NotOurBackup as e:
        raise BackupIsNewer(str(e)) from None
    if about.deployment != deployment:
        raise BackupIsForeign(f"it is of {about.deployment}, not of {deployment}")
    if about.revision not in opening.revisions():
        raise BackupIsNewer(
            f"release {about.release} wrote it, with a journal of revision"
            f" {about.revision}, which this release does not know: install that one"
        )
    return about


async def build(
    shelf: IShelf, key: Secret, folder: Path, told: Told, life: Life | None = None
) -> Rebuilt:
    """1. The folder is empty; 2. the life is found (:func:`find`); 3. its keepsakes
    are written below the folder; 4. its journal is fetched; 5. and judged.

    Raises :class:`CannotRebuild` kinds, and leaves the folder as it was.
    """
    was_there = is_there_empty(folder)
    try:
        told("the newest life of the backup, and its keepsakes")
        found = await find(shelf, key, life)
        make_private(folder)
        write_files(folder, found.files)
        settings = settings_of(found, folder)
        told(f"the journal of life {found.life}")
        make_private(settings.journal.parent)
        # Before it is fetched: a daemon may write on meanwhile.
        shipped = await _shipped(shelf, found.life)
        path = journal_path(shelf.deployment, found.life)
        await fetch_journal(shelf.replica(path), settings.journal)
        told("its numbers")
        counted = read_journal(settings.journal, found.home, shipped)
    except BaseException:
        empty(folder, keep=was_there)
        raise
    return Rebuilt(folder, found, settings, counted)


async def _shipped(shelf: IShelf, life: Life) -> int | None:
    """Tell the number of an event that was in the backup, where somebody noted one."""
    body = await shelf.read(reached_key(shelf.deployment, life))
    try:
        return None if body is None else Reached.from_json(body).events
    except NotOurBackup as e:
        raise BackupIsDamaged(str(e)) from None


def read_journal(journal: Path, home: Home, shipped: int | None) -> Counted:
    """Judge a journal that was fetched; raises :class:`CannotRebuild` kinds."""
    try:
        check_backup(journal, home)
        counted = count(journal)
    except JournalTooNew as e:
        raise BackupIsNewer(str(e)) from None
    except ForeignJournal as e:
        raise BackupIsForeign(str(e)) from None
    except JournalError as e:
        raise BackupIsDamaged(str(e)) from None
    wrong = judge(counted, home, shipped)
    if wrong is not None:
        raise wrong
    return counted


def settings_of(found: Found, folder: Path) -> DaemonSettings:
    """Read the daemon's settings, which lie below *folder*, with all paths below it.

    Raises :class:`CannotRebuild` kinds.
    """
    for file in found.files:
        if file.path.suffix in {".yaml", ".yml"} and b"process: daemon" in file.body:
            try:
                settings = load(below(folder, file.path), DaemonSettings)
            except SettingsError as e:
                raise BackupIsNewer(f"its settings cannot be read: {e}") from None
            if home_of(settings) != found.home:
                raise BackupIsForeign("its settings are of another deployment")
            return moved(settings, lambda path: below(folder, path))
    raise BackupIsCut("its keepsakes have no settings of a daemon")


def is_there_empty(folder: Path) -> bool:
    """Whether it is there; raises :class:`TargetIsTaken` where it is not empty."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise TargetIsTaken(f"{folder} is not empty: name another folder")
    return folder.exists()


def make_private(folder: Path) -> None:
    """Make a folder that nobody else may enter."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.chmod(0o700)


def empty(folder: Path, *, keep: bool) -> None:
    """Remove what lies in it, and itself unless *keep*."""
    if not folder.exists():
        return
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
    if not keep:
        folder.rmdir()


def write_files(folder: Path, files: Iterable[KeptFile]) -> None:
    """Write the keepsakes where they were, below *folder*."""
    for file in files:
        write_file(below(folder, file.path), file)


def write_file(path: Path, file: KeptFile) -> None:
    """Write it whole, and never for others than those whom it was for."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.recovered")
    partial.unlink(missing_ok=True)
    made = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(made, "wb") as out:
        out.write(file.body)
        out.flush()
        os.fsync(out.fileno())
    partial.chmod(file.mode)
    partial.replace(path)


def below(folder: Path, path: Path) -> Path:
    """Where *path* lies, below *folder*; what is below it already stays."""
    normal = Path(os.path.normpath(path))
    if normal.is_relative_to(folder) or not normal.is_absolute():
        return normal
    return folder / normal.relative_to("/")


def above(folder: Path, path: Path) -> Path:
    """Where *path*, which is below *folder*, was on the machine that is gone."""
    return Path("/") / path.relative_to(folder) if path.is_relative_to(folder) else path


def moved(settings: T, move: Callable[[Path], Path]) -> T:
    """Change every path in *settings*, however deep."""
    done: Any = settings
    if isinstance(settings, Path):
        done = move(settings)
    elif isinstance(settings, tuple):
        done = tuple(moved(one, move) for one in settings)
    elif has(type(settings)):
        values: dict[str, Any] = {
            one.name: moved(getattr(settings, one.name), move)
            for one in fields(type(settings))  # type: ignore[arg-type]
            if one.init
        }
        done = type(settings)(**values)
    made: T = done
    return made
