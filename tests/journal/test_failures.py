"""What a transaction leaves when it fails: nothing of itself."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from contextlib import closing

import pytest

from lae_flapp.journal import events, sqlite
from lae_flapp.journal.errors import JournalBusy, JournalDamaged, JournalFull
from lae_flapp.journal.transaction import ReadTx, WriteTx

DIES = """
import os, signal, sys
from pathlib import Path
from twisted.internet.task import Clock
from lae_flapp.journal import events
from tests.twins.journal import answer, open_journal

journal = open_journal(Path(sys.argv[1]), Clock())

def three(tx, die):
    for number in range(3):
        # Large enough that SQLite spills pages to the WAL before the commit.
        events.note(tx, None, f"kind{number}", "test", "x" * 3_000_000)
        if die and number == 1:
            os.kill(os.getpid(), signal.SIGKILL)

answer(journal.write(three, False))
answer(journal.write(three, True))
"""


def test_a_killed_transaction_leaves_nothing(desk) -> None:
    """kill -9 in the middle of a transaction leaves the ones before it whole, and
    nothing of its own.
    """
    desk.close()
    done = subprocess.run([sys.executable, "-c", DIES, str(desk.folder)], check=False)
    assert done.returncode == -9
    desk.__attrs_post_init__()
    kinds = [one.kind for one in desk.read(events.since, None, 0)]
    assert kinds == ["kind0", "kind1", "kind2"]


def test_what_a_function_raises_rolls_all_of_it_back(desk) -> None:
    """An error in the middle of a transaction undoes its beginning and wakes nobody."""
    waiting = desk.journal.watch(None, 0)

    def half(tx: WriteTx) -> None:
        events.note(tx, None, "half", "test")
        raise LookupError("in the middle")

    with pytest.raises(LookupError):
        desk.write(half)
    assert desk.read(events.last_number, None) == 0
    assert not waiting.called
    desk.write(events.note, None, "whole", "test")
    assert waiting.result == 1


def test_a_full_disk_is_a_typed_error_and_leaves_no_half(desk) -> None:
    """When there is no room, the transaction is gone as a whole, and the journal
    works again as soon as there is room.
    """

    def limit(tx: WriteTx, pages: int) -> None:
        tx.connection.exec_driver_sql(f"PRAGMA max_page_count={pages}")

    def big(tx: WriteTx) -> None:
        events.note(tx, None, "small", "test")
        events.note(tx, None, "big", "test", "x" * 5_000_000)

    desk.write(limit, 200)
    with pytest.raises(JournalFull, match="full"):
        desk.write(big)
    assert desk.read(events.last_number, None) == 0
    desk.write(limit, 1_000_000)
    desk.write(big)
    assert len(desk.read(events.since, None, 0)) == 2


def test_somebody_elses_lock_is_a_typed_error(desk, monkeypatch) -> None:
    """A journal that another program holds locked says busy, and goes on after."""

    def hurry(tx: WriteTx) -> None:
        tx.connection.exec_driver_sql("PRAGMA busy_timeout=50")

    desk.write(hurry)
    with closing(sqlite3.connect(desk.folder / "journal.sqlite")) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(JournalBusy):
            desk.write(events.note, None, "late", "test")
    assert desk.write(events.note, None, "now", "test") == 1


def test_reading_cannot_write(desk) -> None:
    """A function given to `read` cannot change the journal, whatever it tries."""

    def cheat(tx: ReadTx) -> None:
        tx.connection.exec_driver_sql("DELETE FROM epoch")

    with pytest.raises(JournalDamaged, match="readonly"):
        desk.read(cheat)
    assert desk.write(events.note, None, "fine", "test") == 1


def test_events_cannot_be_changed_or_deleted(desk) -> None:
    """The event log takes nothing back, whoever asks."""
    desk.write(events.note, None, "kept", "test")
    for attempt in ("UPDATE events SET kind='x'", "DELETE FROM events"):
        with pytest.raises(Exception, match="append only"):
            desk.write(lambda tx, sql=attempt: tx.connection.exec_driver_sql(sql))
    assert [one.kind for one in desk.read(events.since, None, 0)] == ["kept"]


def test_values_stand_in_no_exception(desk) -> None:
    """The text of a database error names no value that was written."""
    desk.register("a", "private@example.org")

    def twice(tx: WriteTx) -> None:
        tx.connection.exec_driver_sql(
            "INSERT INTO contacts SELECT * FROM contacts WHERE typed=?",
            ("private@example.org",),
        )

    with pytest.raises(Exception, match="constraint failed") as refused:
        desk.write(twice)
    assert "private" not in str(refused.value)


def test_a_copy_is_whole_while_the_journal_is_written(desk, tmp_path) -> None:
    """A backup has what was committed, though it lay in the WAL alone."""
    desk.write(events.note, None, "in the WAL", "test")
    target = tmp_path / "copy"
    sqlite.copy(desk.folder / "journal.sqlite", target)
    with closing(sqlite3.connect(target)) as raw:
        assert raw.execute("SELECT kind FROM events").fetchall() == [("in the WAL",)]
        assert raw.execute("PRAGMA integrity_check").fetchone() == ("ok",)
