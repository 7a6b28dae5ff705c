"""What a restored journal has counted; and whether that is all that was backed up.

Litestream notices an object that is missing, shortened or changed, and SQLite a damaged
page.  Neither notices commits that were never shipped, nor that the newest objects are
missing: the journal is whole then, as of an earlier moment.  The events' numbers show
both, since each is given once, and none is left out.
"""

from __future__ import annotations

from pathlib import Path

from attrs import define

from lae_flapp.disaster.reasons import (
    BackupIsCut,
    BackupIsDamaged,
    BackupIsForeign,
    CannotRebuild,
)
from lae_flapp.journal import checking
from lae_flapp.journal.hosts import RESTORED
from lae_flapp.journal.meta import Home

#: Of many holes the first ones are named.
NAMED = 5

#: Numbers are left out where `lae journal restore` went on above those of a journal
#: that it replaced; its own event is the first after them.
_HOLES = """
    SELECT number, step FROM (
        SELECT number, kind, number - lag(number, 1, 0) OVER (ORDER BY number) AS step
        FROM events
    ) WHERE step != 1 AND kind != ?
"""


@define(frozen=True)
class Hole:
    """So *many* events are missing, of which *first* is the first."""

    first: int
    many: int


@define(frozen=True)
class Counted:
    """*last* is the number of the newest event, *given* the last number that was given
    to one; *problems* are what :mod:`~lae_flapp.journal.checking` found.
    """

    home: Home | None
    signups: int
    events: int
    last: int
    given: int
    last_at: str
    holes: tuple[Hole, ...]
    problems: tuple[str, ...] = ()


def count(journal: Path) -> Counted:
    """Count and check a journal that nobody writes.

    Raises :class:`~lae_flapp.journal.errors.JournalError` for what cannot be read.
    """
    found = checking.check(journal, None, lambda _, __: None)
    with checking.reading(journal) as db:
        row = db.execute("SELECT max(number), max(at) FROM events").fetchone()
        given = db.execute("SELECT seq FROM sqlite_sequence WHERE name = 'events'")
        (last_given,) = given.fetchone() or (0,)
        holes = [
            Hole(number - step + 1, step - 1)
            for number, step in db.execute(_HOLES, (RESTORED,))
        ]
    return Counted(
        found.home,
        found.signups,
        found.events,
        int(row[0] or 0),
        int(last_given),
        str(row[1] or ""),
        tuple(holes),
        found.problems,
    )


def judge(
    counted: Counted, home: Home, shipped: int | None = None
) -> CannotRebuild | None:
    """Why this journal is not the one that was backed up; None where it is.

    *shipped* is the number of an event that was in the backup, where somebody knows.
    """
    if counted.home != home:
        return BackupIsForeign(f"the journal is of {counted.home}, not of {home}")
    if counted.holes:
        named = ", ".join(
            f"{hole.many} from number {hole.first} on" for hole in counted.holes[:NAMED]
        )
        return BackupIsCut(f"the journal has lost events: {named}")
    if counted.last != counted.given:
        return BackupIsCut(
            f"the journal gave numbers to events up to {counted.given}, and has them"
            f" up to {counted.last}"
        )
    if shipped is not None and counted.last < shipped:
        return BackupIsCut(
            f"event {shipped} was in the backup, which now ends with {counted.last}"
        )
    if counted.problems:
        return BackupIsDamaged("; ".join(counted.problems[:NAMED]))
    return None
