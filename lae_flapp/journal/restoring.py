"""Putting a backup in the journal's place, while no daemon runs.

Interrupted anywhere, the path has the old journal or the restored one, whole.  What the
old one has counted is counted on: no number of an event or a mail is used twice, and a
daemon that was taken over and wakes up stays shut out.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from datetime import datetime
from pathlib import Path

from attrs import define

from lae_flapp.journal import opening, sqlite
from lae_flapp.journal.checking import home_of_file, revision_of_file
from lae_flapp.journal.errors import (
    ForeignJournal,
    JournalDamaged,
    JournalError,
    JournalTooNew,
)
from lae_flapp.journal.hosts import RESTORED
from lae_flapp.journal.lock import JournalLock
from lae_flapp.journal.meta import Home
from lae_flapp.journal.recoveries import RECOVERED

#: In the events.
WHO_RECOVERS = "lae disaster recover"
#: Numbers that are given once, in these tables.
_NUMBERED = ("contacts", "effects", "events", "outbox", "signups")


@define(frozen=True)
class Restored:
    """What was done; *kept* is where the old journal lies, if there was one."""

    revision: str
    kept: Path | None


def restore(
    path: Path,
    backup: Path,
    home: Home,
    *,
    now: datetime,
    progress: Callable[[int, int], None],
    recovery: int | None = None,
) -> Restored:
    """1. nobody else is on the journal; 2. the backup is whole, ours and not newer;
    3. it is copied beside the journal; 4. it counts on from the old one; 5. the old one
    gets another name too; 6. the copy takes its place.

    *recovery* is the number of the recovery that ends with this, where one does.
    Raises :class:`JournalError` kinds, and has changed nothing then.
    """
    opening.prepare_folder(path)
    with alone(path):
        revision = check_backup(backup, home)
        fresh = path.with_name(path.name + ".restored")
        sqlite.copy(backup, fresh, progress)
        try:
            with sqlite.raw_meanings():
                _count_on(fresh, path, _Said(backup.name, now, recovery))
            kept = _keep(path, now)
            fresh.replace(path)
            sqlite.sync(path.parent)
        except BaseException:
            fresh.unlink(missing_ok=True)
            raise
    return Restored(revision, kept)


def check_backup(backup: Path, home: Home) -> str:
    """Its revision; raises :class:`JournalTooNew`, :class:`ForeignJournal`, and
    :class:`JournalDamaged`.
    """
    if not backup.is_file():
        raise JournalError(f"there is no backup {backup}")
    revision = revision_of_file(backup)
    if revision is None:
        raise JournalDamaged(f"{backup} is no journal")
    _refuse_newer(backup, revision)
    theirs = home_of_file(backup)
    if theirs is not None and theirs != home:
        raise ForeignJournal(
            f"{backup} is of {theirs.environment} {theirs.deployment}"
            f" ({theirs.aws_account}, {theirs.stripe_mode}), the configuration of"
            f" {home.environment} {home.deployment} ({home.aws_account},"
            f" {home.stripe_mode})"
        )
    return revision


def _refuse_newer(backup: Path, revision: str) -> None:
    if revision not in opening.revisions():
        newest = opening.knows()["newest"]
        raise JournalTooNew(
            f"{backup} is of revision {revision}, written by a newer release; this one"
            f" knows up to {newest}"
        )


@contextmanager
def alone(path: Path) -> Iterator[None]:
    """Hold the journal's lock: no daemon runs, and none starts meanwhile.

    Raises :class:`~lae_flapp.journal.errors.JournalInUse`.
    """
    lock = JournalLock(path.with_name(path.name + ".lock"))
    lock.take(f"process {os.getpid()}, lae journal", by_force=False)
    try:
        yield
    finally:
        lock.release()


@define(frozen=True)
class _Said:
    """What the restored journal says of its restoring."""

    backup: str
    now: datetime
    recovery: int | None


def _count_on(fresh: Path, old: Path, said: _Said) -> None:
    newest, numbers = 0, dict[str, int]()
    with suppress(sqlite3.Error):
        if old.exists():
            newest, numbers = _counted(old)
    with closing(sqlite3.connect(fresh, isolation_level=None)) as db:
        db.execute("PRAGMA synchronous=FULL")
        db.execute("BEGIN IMMEDIATE")
        db.execute("UPDATE epoch SET number = max(number, ?) + 1", (newest,))
        (epoch,) = db.execute("SELECT coalesce(max(number), 0) FROM epoch").fetchone()
        for table, number in numbers.items():
            db.execute(
                "INSERT INTO sqlite_sequence (name, seq) SELECT ?, 0 WHERE NOT EXISTS"
                " (SELECT 1 FROM sqlite_sequence WHERE name = ?)",
                (table, table),
            )
            db.execute(
                "UPDATE sqlite_sequence SET seq = max(seq, ?) WHERE name = ?",
                (number, table),
            )
        at = said.now.isoformat(timespec="microseconds")
        who = "lae journal restore" if said.recovery is None else WHO_RECOVERS
        events = [(RESTORED, at, who, f"{epoch}: {said.backup}")]
        if said.recovery is not None:
            events.append((RECOVERED, at, who, str(said.recovery)))
        db.executemany(
            "INSERT INTO events (kind, at, who, why, public) VALUES (?, ?, ?, ?, 0)",
            events,
        )
        db.execute("COMMIT")
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    for left in sqlite.beside(fresh):
        left.unlink(missing_ok=True)


def _counted(old: Path) -> tuple[int, dict[str, int]]:
    with closing(sqlite3.connect(old)) as db:
        (epoch,) = db.execute("SELECT coalesce(max(number), 0) FROM epoch").fetchone()
        rows = db.execute("SELECT name, seq FROM sqlite_sequence").fetchall()
    return int(epoch), {name: seq for name, seq in rows if name in _NUMBERED}


def _keep(path: Path, now: datetime) -> Path | None:
    """Give the old journal a second name; what its WAL has is in it first."""
    if not path.exists():
        return None
    kept = path.with_name(f"{path.name}.before-restore-{now:%Y%m%dT%H%M%SZ}")
    whole = False
    with suppress(sqlite3.Error), closing(sqlite3.connect(path)) as db:
        busy, *_ = db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        whole = not busy
    for left in sqlite.beside(path):
        if not left.exists():
            continue
        if not whole:
            # A damaged one: all its pieces are kept, under names that belong together.
            os.link(left, left.with_name(left.name.replace(path.name, kept.name)))
        left.unlink()
    os.link(path, kept)
    return kept
