"""Real Litestream, and a real S3 server: what is committed comes back."""

from __future__ import annotations

import sqlite3
from contextlib import closing

from tests.backup.conftest import Desk, Writer, is_whole, numbers

#: More than the 1,000 pages at which SQLite would begin its log anew.
_MANY = 830


def _both_die(desk: Desk, *, backed_up: bool) -> list[int]:
    """Writer and Litestream die with commits that are not sent, and the writer is back
    first, on the same path; the numbers that a restore has not.
    """
    journal = desk.settings.journal
    writer = Writer(journal, backed_up=backed_up)
    desk.start()
    desk.sync()
    # The log grows without a checkpoint, as it does while somebody reads.
    with closing(sqlite3.connect(journal, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM events").fetchone()
        writer.commit(_MANY)
        desk.sync()
        desk.kill()
        writer.commit(150)
        writer.die()
        after = Writer(journal, backed_up=backed_up)
    after.commit(6)
    desk.start(again=True)
    desk.sync()
    after.commit(30)
    desk.sync()
    after.die()
    desk.kill()
    back = desk.restore(desk.settings.state / "back.sqlite")
    assert is_whole(back)
    return sorted(set(numbers(journal)) - set(numbers(back)))


def test_sqlites_own_checkpoints_lose_commits(desk):
    """With SQLite's own checkpoints the backup lacks commits for ever, and says nothing: pages and index are whole, the events' numbers have a hole."""
    assert _both_die(desk, backed_up=False) != []
    assert '"level":"ERROR"' not in desk.log()


def test_ours_lose_none(desk):
    """With the journal's own connections nothing is missing after the same."""
    assert _both_die(desk, backed_up=True) == []
