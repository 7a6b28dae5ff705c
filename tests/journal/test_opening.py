"""Opening a journal: permissions, whose it is, upgrades."""

from __future__ import annotations

import shutil
import sqlite3
import stat
from contextlib import closing
from pathlib import Path

import pytest
from alembic.config import Config
from attrs import evolve
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from lae_flapp.journal import events, meta, opening, revision, signups
from lae_flapp.journal.errors import (
    ForeignJournal,
    JournalClosed,
    JournalDamaged,
    JournalExposed,
    JournalTooNew,
)
from lae_flapp.journal.journal import Journal
from lae_flapp.journal.threads import SameThread
from tests.twins.journal import HOME, answer


def opened(path: Path, home: meta.Home = HOME) -> Journal:
    journal = Journal(path, home, Clock(), SameThread())
    answer(Deferred.fromCoroutine(journal.open()))
    return journal


def closed(journal: Journal) -> None:
    answer(Deferred.fromCoroutine(journal.close()))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "var" / "journal.sqlite"


def test_the_file_is_its_owners_alone(path: Path) -> None:
    """A new journal's folder is 0700, and every file in it 0600."""
    journal = opened(path)
    answer(journal.write(events.note, None, "began", "test"))
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    modes = {
        one.name: stat.S_IMODE(one.stat().st_mode) for one in path.parent.iterdir()
    }
    assert set(modes.values()) == {0o600}
    assert {"journal.sqlite", "journal.sqlite-wal", "journal.sqlite.lock"} <= set(modes)
    closed(journal)


def test_a_folder_that_others_may_enter_is_refused(path: Path) -> None:
    """A journal in a folder open to others does not open, and says what to do."""
    path.parent.mkdir()
    path.parent.chmod(0o755)
    with pytest.raises(JournalExposed, match="chmod 700"):
        opened(path)


@pytest.mark.parametrize(
    ("pragma", "value"),
    [("journal_mode", "wal"), ("synchronous", 2), ("foreign_keys", 1)],
)
def test_connections_are_durable(path: Path, pragma: str, value: object) -> None:
    """Both kinds of connection run with WAL, full sync and foreign keys."""
    journal = opened(path)
    for run in (journal.read, journal.write):
        ask = run(lambda tx: tx.connection.exec_driver_sql(f"PRAGMA {pragma}").scalar())
        assert answer(ask) == value
    closed(journal)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("environment", "production"),
        ("deployment", "other"),
        ("aws_account", "111111111111"),
        ("stripe_mode", "live"),
    ],
)
def test_a_journal_of_another_home_is_refused(
    path: Path, name: str, value: str
) -> None:
    """A journal opens only for the environment, account and mode it was made for."""
    closed(opened(path))
    with pytest.raises(ForeignJournal, match=name):
        opened(path, evolve(HOME, **{name: value}))
    again = opened(path)
    assert again.epoch == 2, "a refused opening takes no epoch"
    closed(again)


def test_a_newer_journal_is_refused_in_one_line(path: Path) -> None:
    """A journal of a revision that this release does not know is not touched."""
    closed(opened(path))
    with closing(sqlite3.connect(path)) as raw:
        raw.execute("UPDATE alembic_version SET version_num='9999'")
        raw.commit()
    before = path.read_bytes()
    with pytest.raises(JournalTooNew, match=r"9999.*newer release") as refused:
        opened(path)
    assert "\n" not in str(refused.value)
    assert path.read_bytes() == before
    assert [one.name for one in path.parent.iterdir() if "before" in one.name] == []


def test_a_file_that_is_no_journal_is_damage(path: Path) -> None:
    """A file of other content gives a typed error and stays as it was."""
    path.parent.mkdir(mode=0o700)
    path.write_bytes(b"this is no database, whatever its name says" * 100)
    with pytest.raises(JournalDamaged):
        opened(path)
    assert path.read_bytes().startswith(b"this is no database")


#: The newest migration that is shipped: the next one follows it.
HEAD = max(
    one.name[:4]
    for one in (Path(opening.__file__).parent / "migrations/versions").glob("0*.py")
)
NEXT = """
import sqlalchemy as sa
from alembic import op

revision = "9999"
down_revision = "{head}"


def upgrade() -> None:
    op.create_table("added", sa.Column("name", sa.String(5)))
    {then}
"""


@pytest.fixture
def next_release(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A release with one more migration; the file to write it to."""
    folder = tmp_path / "migrations"
    shipped = Path(opening.__file__).parent / "migrations"
    shutil.copytree(shipped, folder, ignore=shutil.ignore_patterns("__pycache__"))

    def configuration() -> Config:
        made = Config()
        made.set_main_option("script_location", str(folder))
        return made

    monkeypatch.setattr(opening, "configuration", configuration)
    return folder / "versions" / "9999_next.py"


def backups(path: Path) -> list[Path]:
    return [one for one in path.parent.iterdir() if ".before-9999-" in one.name]


def test_a_backup_comes_before_an_upgrade(path: Path, next_release: Path) -> None:
    """An upgrade first leaves a private copy with everything that was committed."""
    journal = opened(path)
    answer(journal.write(events.note, None, "before", "test"))
    closed(journal)
    next_release.write_text(NEXT.format(head=HEAD, then="pass"))
    journal = opened(path)
    assert answer(journal.read(events.last_number, None)) == 1
    (backup,) = backups(path)
    assert stat.S_IMODE(backup.stat().st_mode) == 0o600
    with closing(sqlite3.connect(backup)) as raw:
        assert raw.execute("SELECT kind FROM events").fetchall() == [("before",)]
        assert raw.execute("SELECT * FROM alembic_version").fetchall() == [(HEAD,)]
    closed(journal)
    closed(opened(path))
    assert backups(path) == [backup], "only an upgrade makes a backup"


def test_a_failed_upgrade_changes_nothing(path: Path, next_release: Path) -> None:
    """An upgrade that fails half way leaves the journal of the older release."""
    closed(opened(path))
    next_release.write_text(
        NEXT.format(head=HEAD, then="raise RuntimeError('half way')")
    )
    with pytest.raises(RuntimeError, match="half way"):
        opened(path)
    next_release.unlink()
    closed(opened(path))
    with closing(sqlite3.connect(path)) as raw:
        assert raw.execute("SELECT * FROM alembic_version").fetchall() == [(HEAD,)]
        tables = raw.execute("SELECT name FROM sqlite_master WHERE name='added'")
        assert tables.fetchall() == []


def test_a_journal_that_is_not_open_says_so(path: Path) -> None:
    """Before opening and after closing, every use fails at once, and closing twice
    is harmless.
    """
    journal = Journal(path, HOME, Clock(), SameThread())
    assert not path.parent.exists(), "a constructor does no work"
    for _ in range(2):
        for attempt in (
            journal.read(signups.find, "x"),
            journal.write(events.note, None, "x", "x"),
            journal.watch(None, 0),
        ):
            with pytest.raises(JournalClosed):
                answer(attempt)
        answer(Deferred.fromCoroutine(journal.open()))
        closed(journal)
        closed(journal)


def test_a_new_migration_is_the_difference(next_release: Path) -> None:
    """The migration that a developer has written holds what the tables declare and
    the newest one does not make: today nothing, in terms of plain types alone.
    """
    revision.write("9999", "next")
    text = next_release.read_text()
    assert 'revision = "9999"' in text.replace("'", '"')
    assert "op." not in text
    first = (next_release.parent / "0001_the_first_schema.py").read_text()
    assert "lae_flapp" not in first, "a migration does not change with our code"
