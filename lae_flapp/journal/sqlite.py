"""SQLite, as the journal uses it: the only module that knows the database's kind."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.exc import DBAPIError

from lae_flapp.journal.errors import (
    JournalBusy,
    JournalDamaged,
    JournalError,
    JournalFull,
)

#: How long one process waits for another's transaction, in milliseconds.
BUSY_MS = 5000
#: A copy looks up so often: some milliseconds.
PAGES_AT_ONCE = 1024

_ALWAYS = (
    "PRAGMA foreign_keys=ON",
    f"PRAGMA busy_timeout={BUSY_MS}",
    # An acknowledged payment is on the disk, not in the system's cache.
    "PRAGMA synchronous=FULL",
    # What was erased is not to be found in free pages.
    "PRAGMA secure_delete=ON",
    "PRAGMA trusted_schema=OFF",
)

#: SQLite's own is at each 1,000 pages.
NO_CHECKPOINTS = "PRAGMA wal_autocheckpoint=0"

#: SQLite's primary result codes (the low byte of an extended one).
_MEANING: dict[int, type[JournalError]] = {
    sqlite3.SQLITE_FULL: JournalFull,
    sqlite3.SQLITE_BUSY: JournalBusy,
    sqlite3.SQLITE_LOCKED: JournalBusy,
    sqlite3.SQLITE_CORRUPT: JournalDamaged,
    sqlite3.SQLITE_NOTADB: JournalDamaged,
    sqlite3.SQLITE_IOERR: JournalDamaged,
    sqlite3.SQLITE_CANTOPEN: JournalDamaged,
    sqlite3.SQLITE_READONLY: JournalDamaged,
}


def freed(connection: Connection) -> int:
    """Bytes of the file that something removed has freed: they are written first."""
    pages = connection.exec_driver_sql("PRAGMA freelist_count").scalar_one()
    size = connection.exec_driver_sql("PRAGMA page_size").scalar_one()
    return int(pages) * int(size)


def engine(
    path: Path, *, writes: bool, connections: int, backed_up: bool = False
) -> Engine:
    """Make the pool of connections of the writer, or of the readers.

    Where the journal is *backed_up* continuously, no connection begins its log anew by
    itself: what the backup has not read yet would be lost to it for ever.
    """
    made = create_engine(
        f"sqlite:///{path}",
        pool_size=connections,
        max_overflow=0,
        # Values are customers' data: they stand in no exception's text.
        hide_parameters=True,
        connect_args={"check_same_thread": False},
    )

    @event.listens_for(made, "connect")
    def prepare(raw: sqlite3.Connection, _: Any) -> None:
        # Python's own transactions begin too late, and not at all for reads.
        raw.isolation_level = None
        for pragma in _ALWAYS:
            raw.execute(pragma)
        if backed_up:
            raw.execute(NO_CHECKPOINTS)
        if writes:
            raw.execute("PRAGMA journal_mode=WAL")
        else:
            raw.execute("PRAGMA query_only=ON")

    @event.listens_for(made, "begin")
    def begin(connection: Connection) -> None:
        # A writer locks before it looks, so that what it has seen stays true.
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return made


#: A full disk, met where SQLite extends the memory that its processes share.
_FULL = sqlite3.SQLITE_IOERR_SHMSIZE


def _unseen(_: int, __: int) -> None:
    """Nobody watches."""


@contextmanager
def meanings() -> Iterator[None]:
    """Turn SQLite's errors that an operator can mend into ours."""
    try:
        yield
    except DBAPIError as error:
        code = getattr(error.orig, "sqlite_errorcode", 0)
        meaning = JournalFull if code == _FULL else _MEANING.get(code & 0xFF)
        if meaning is None:
            raise
        raise meaning(str(error.orig)) from None


def keep_log_below(path: Path, engine: Engine, most: int) -> bool:
    """Move what the log has into the journal's file, where it is longer than *most*
    bytes; whether that was so.

    It waits for nobody.  While the backup reads the log, no write begins it anew; while
    nobody does, the next write uses its room again.
    """
    log, _ = beside(path)
    if not log.exists() or log.stat().st_size <= most:
        return False
    raw = engine.raw_connection()
    try:
        cursor = raw.cursor()
        cursor.execute("PRAGMA wal_checkpoint(PASSIVE)")
        cursor.fetchall()
        cursor.close()
    finally:
        raw.close()
    return True


def touch(path: Path) -> bool:
    """Make the file, readable by its owner alone; False if it was there."""
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    except FileExistsError:
        return False
    return True


def copy(
    source: Path, target: Path, progress: Callable[[int, int], None] = _unseen
) -> None:
    """Copy a journal, consistent whatever its WAL holds, and durable on return.

    A daemon may go on writing meanwhile: the copy is of one moment.  *progress* is told
    how many pages of how many are done; what it raises ends the copying, and nothing is
    left.  Raises :class:`JournalDamaged` and :class:`JournalFull`.
    """
    partial = target.with_name(target.name + ".partial")
    partial.unlink(missing_ok=True)
    touch(partial)
    try:
        with raw_meanings():
            _copy(source, partial, progress)
        sync(partial)
        sync(partial.parent)
        partial.replace(target)
        sync(target.parent)
    except BaseException:
        for left in (partial, *beside(partial)):
            left.unlink(missing_ok=True)
        raise


def beside(path: Path) -> tuple[Path, Path]:
    """SQLite's own files beside a database: they belong to it."""
    return path.with_name(path.name + "-wal"), path.with_name(path.name + "-shm")


def sync(place: Path) -> None:
    """Have a file's, or a folder's, content on the disk."""
    descriptor = os.open(place, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def raw_meanings() -> Iterator[None]:
    """Turn the errors of a bare connection into ours."""
    try:
        yield
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        raise _MEANING.get(code, JournalDamaged)(str(error)) from None


def connect_reading(path: Path) -> sqlite3.Connection:
    """A connection that changes nothing, and never makes a file that is missing.

    One that may not write leaves SQLite's own files behind, where no daemon runs: it is
    used only where nothing may be written.
    """
    writable = os.access(path, os.W_OK) and os.access(path.parent, os.W_OK)
    uri = f"file:{quote(str(path))}?mode={'rw' if writable else 'ro'}"
    made = sqlite3.connect(uri, uri=True, isolation_level=None)
    made.execute(f"PRAGMA busy_timeout={BUSY_MS}")
    made.execute(NO_CHECKPOINTS)
    made.execute("PRAGMA query_only=ON")
    return made


def _copy(source: Path, partial: Path, progress: Callable[[int, int], None]) -> None:
    def told(_: int, remaining: int, total: int) -> None:
        progress(total - remaining, total)

    with (
        closing(connect_reading(source)) as live,
        closing(sqlite3.connect(partial)) as kept,
    ):
        # One moment: without a transaction each change would start the copy anew.
        live.execute("BEGIN")
        live.execute("SELECT count(*) FROM sqlite_master").fetchone()
        live.backup(kept, pages=PAGES_AT_ONCE, progress=told, sleep=0.0)
        (said,) = kept.execute("PRAGMA quick_check(1)").fetchone()
        if said != "ok":
            raise JournalDamaged(f"the copy is damaged: {said}")
        # One file, whole, with nothing beside it, whoever reads it later.
        kept.execute("PRAGMA journal_mode=DELETE").fetchone()
