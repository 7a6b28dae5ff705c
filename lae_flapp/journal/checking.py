"""Is a journal, or a backup of one, sound?  Reads alone, beside a running daemon too.

What the tables declare (one kept payment and one live host for a signup, an open
effect's request) the database keeps by itself, and checks with its pages; what needs
several tables is asked here, a sentence each.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from attrs import define

from lae_flapp.journal import sqlite
from lae_flapp.journal.errors import JournalError
from lae_flapp.journal.meta import Home

#: More of one kind are counted, and not named.
NAMED = 5


@define(frozen=True)
class Rule:
    """*query* names what breaks it: one column, a text."""

    says: str
    query: str


RULES = (
    Rule(
        "who is served or built has paid, or has a gift",
        "SELECT signup_id FROM signups s WHERE state IN ('paid', 'active')"
        " AND NOT EXISTS"
        " (SELECT 1 FROM sessions WHERE signup_id = s.signup_id AND kept)"
        " AND NOT EXISTS (SELECT 1 FROM gifts WHERE signup_id = s.signup_id)",
    ),
    Rule(
        "who is served has an identity that is safe off this machine",
        "SELECT signup_id FROM signups s WHERE state = 'active' AND NOT EXISTS"
        " (SELECT 1 FROM identities WHERE signup_id = s.signup_id"
        " AND vaulted_at IS NOT NULL)",
    ),
    Rule(
        "who was refunded holds no host",
        "SELECT h.signup_id FROM hosts h JOIN signups s ON s.signup_id = h.signup_id"
        " WHERE s.state = 'refunded' AND h.state != 'gone'",
    ),
    Rule(
        "every signup has an address",
        "SELECT signup_id FROM signups s WHERE NOT EXISTS"
        " (SELECT 1 FROM contacts WHERE signup_id = s.signup_id AND until IS NULL)",
    ),
    Rule(
        "who is served was sent the mail, or it waits",
        "SELECT signup_id FROM signups s WHERE state = 'active' AND NOT EXISTS"
        " (SELECT 1 FROM outbox WHERE signup_id = s.signup_id AND kind = 'active')",
    ),
    Rule(
        "no request holds a furl in the clear",
        "SELECT token FROM effects WHERE NOT sealed"
        " AND instr(request, CAST('pb://' AS BLOB)) > 0",
    ),
    Rule(
        "the event log cannot be changed",
        "SELECT name FROM (SELECT 'events_are_not_changed' AS name UNION"
        " SELECT 'events_are_not_deleted') WHERE name NOT IN"
        " (SELECT name FROM sqlite_master WHERE type = 'trigger')",
    ),
)


@define(frozen=True)
class Checked:
    """What was found; sound without *problems*."""

    path: Path
    size: int
    revision: str | None
    home: Home | None
    signups: int
    events: int
    problems: tuple[str, ...]


def check(
    path: Path, home: Home | None, progress: Callable[[int, int], None]
) -> Checked:
    """Check the file's pages, its references, whose it is, and every rule.

    *progress* is told how many steps of how many are done.  Raises
    :class:`JournalError` for what is no journal, or cannot be read.
    """
    steps = len(RULES) + 2
    revision = revision_of_file(path)
    if revision is None:
        raise JournalError(f"{path} is no journal")
    actual = home_of_file(path)
    problems = [] if home in (None, actual) else [f"it is of {actual}, not of {home}"]
    with reading(path) as db:
        problems += _damage(db)
        progress(1, steps)
        for row in db.execute("PRAGMA foreign_key_check").fetchmany(NAMED):
            problems.append(f"a row of {row[0]} names none of {row[2]}")
        progress(2, steps)
        for number, rule in enumerate(RULES, 3):
            problems += _broken(db, rule)
            progress(number, steps)
        (signups,) = db.execute("SELECT count(*) FROM signups").fetchone()
        (events,) = db.execute("SELECT count(*) FROM events").fetchone()
    size = path.stat().st_size
    return Checked(path, size, revision, actual, signups, events, tuple(problems))


def revision_of_file(path: Path) -> str | None:
    """Of which schema it is; None for what is no journal.

    Raises :class:`JournalError`.
    """
    with reading(path) as db:
        try:
            row = db.execute("SELECT version_num FROM alembic_version").fetchone()
        except sqlite3.OperationalError:
            return None
        return None if row is None else str(row[0])


def epoch_of_file(path: Path) -> int:
    """The epoch of its last daemon; 0 for a journal that is not there yet, or not used.

    Raises :class:`JournalError`.
    """
    if not path.is_file() or revision_of_file(path) is None:
        return 0
    with reading(path) as db:
        row = db.execute("SELECT number FROM epoch").fetchone()
    return 0 if row is None else int(row[0])


def home_of_file(path: Path) -> Home | None:
    """Whose it says that it is; None before its first daemon."""
    names = ("environment", "deployment", "aws_account", "stripe_mode")
    with reading(path) as db:
        row = db.execute(f"SELECT {', '.join(names)} FROM meta").fetchone()  # noqa: S608
    return None if row is None else Home(*map(str, row))


@contextmanager
def reading(path: Path) -> Iterator[sqlite3.Connection]:
    """A connection that changes nothing; SQLite's errors are ours."""
    if not path.is_file():
        raise JournalError(f"there is no file {path}")
    with sqlite.raw_meanings(), closing(sqlite.connect_reading(path)) as db:
        yield db


def _damage(db: sqlite3.Connection) -> list[str]:
    found = [str(row[0]) for row in db.execute(f"PRAGMA integrity_check({NAMED})")]
    return [] if found == ["ok"] else [f"damaged: {one}" for one in found]


def _broken(db: sqlite3.Connection, rule: Rule) -> list[str]:
    found = [str(row[0]) for row in db.execute(rule.query)]
    if not found:
        return []
    more = f" and {len(found) - NAMED} more" if len(found) > NAMED else ""
    return [f"not so: {rule.says}: {', '.join(found[:NAMED])}{more}"]
