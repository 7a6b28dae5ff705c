"""Which releases can run on which schema.

A release expands the schema; a later one, when nobody runs the old code any more,
contracts it.  Each migration says in ``RUNS_FROM`` the oldest revision whose code runs
on what it makes; one that says nothing is for its own code and newer alone.  The
answer for the whole journal is in its header (SQLite's ``user_version``), where an
older release finds it that has never heard of the migration.
"""

from __future__ import annotations

from collections.abc import Sequence

from alembic.script import Script
from sqlalchemy import Connection


def runs_from(chain: Sequence[Script]) -> str:
    """The oldest revision whose code runs on the schema at the end of *chain* (oldest
    migration first): as old as the least tolerant migration allows.
    """
    names = [script.revision for script in chain]
    oldest = 0
    for place, script in enumerate(chain):
        said = getattr(script.module, "RUNS_FROM", script.revision)
        if said not in names[: place + 1]:
            raise ValueError(f"migration {script.revision}: RUNS_FROM is {said!r}")
        oldest = max(oldest, names.index(said))
    return names[oldest]


#: Revisions are numbers of four digits.
_REVISIONS = 10_000


def mark(connection: Connection, newest: str, oldest: str) -> None:
    """Write into the header, in the transaction of the upgrade, what *newest* allows.

    The revision that it is said of goes along: it holds for no other.
    """
    number = int(newest) * _REVISIONS + int(oldest)
    connection.exec_driver_sql(f"PRAGMA user_version={number:d}")


def allows(connection: Connection, present: str | None, mine: str) -> bool:
    """Whether the journal, at revision *present*, lets code of revision *mine* run."""
    said = int(connection.exec_driver_sql("PRAGMA user_version").scalar() or 0)
    of, oldest = divmod(said, _REVISIONS)
    return present == f"{of:04d}" and 0 < oldest <= int(mine)
