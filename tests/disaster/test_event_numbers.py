"""A journal is judged by the numbers of its events."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from sqlite3 import connect

import pytest
from attrs import evolve

from lae_flapp.disaster.event_numbers import Counted, Hole, count, judge
from lae_flapp.journal import sqlite
from lae_flapp.journal.hosts import RESTORED
from tests.disaster.ground import HOME

SOUND = Counted(HOME, 3, 9, 9, 9, "2026-11-28", ())


def change(path: Path, *statements: str) -> None:
    with closing(connect(path)) as db, db:
        for statement in statements:
            db.execute(statement)


def test_every_event_is_there(machine) -> None:
    """In a journal as daemons write it no number is left out."""
    counted = count(machine.journal)
    assert counted.holes == ()
    assert counted.last == counted.given == counted.events
    assert judge(counted, HOME) is None


def test_holes(machine, tmp_path) -> None:
    """Commits that were lost are told by the numbers that are missing; the numbers that
    a restore left out are not missed.
    """
    journal = tmp_path / "journal.sqlite"
    sqlite.copy(machine.journal, journal)
    change(
        journal,
        "DROP TRIGGER events_are_not_deleted",
        "DELETE FROM events WHERE number IN (1, 4, 5)",
        f"""INSERT INTO events (number, kind, at, who, public)
            VALUES (100, '{RESTORED}', '2026', 'lae', 0)""",
        """INSERT INTO events (number, kind, at, who, public)
            VALUES (101, 'noted', '2026', 'lae', 0)""",
    )
    counted = count(journal)
    assert counted.holes == (Hole(1, 1), Hole(4, 2))
    refused = judge(counted, HOME)
    assert refused is not None
    assert refused.name == "backup-cut"
    assert "1 from number 1 on, 2 from number 4 on" in str(refused)


@pytest.mark.parametrize(
    ("changes", "shipped", "name"),
    [
        ({}, None, None),
        ({}, 9, None),
        ({}, 10, "backup-cut"),
        ({"given": 10}, None, "backup-cut"),
        ({"holes": (Hole(2, 1),)}, None, "backup-cut"),
        ({"problems": ("damaged",)}, None, "backup-damaged"),
        ({"home": None}, None, "backup-foreign"),
        ({"home": evolve(HOME, stripe_mode="test")}, None, "backup-foreign"),
    ],
)
def test_judged(changes, shipped, name) -> None:
    """Each thing that is wrong has a name, and a journal without any has none."""
    refused = judge(evolve(SOUND, **changes), HOME, shipped)
    assert (None if refused is None else refused.name) == name
