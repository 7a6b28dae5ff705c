"""Which daemon may write: the one that took the epoch last."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Integer, String, Table, insert, select, update

from lae_flapp.journal.columns import METADATA, Kept, Moment, column
from lae_flapp.journal.errors import StaleEpoch
from lae_flapp.journal.transaction import ReadTx, WriteTx

EPOCH = Table(
    "epoch",
    METADATA,
    column(
        "row",
        Integer,
        purpose="there is one row, numbered 1",
        kept=Kept.JOURNAL,
        primary_key=True,
    ),
    column("number", Integer, purpose="grows by one a start", kept=Kept.JOURNAL),
    column("holder", String(200), purpose="host and process", kept=Kept.JOURNAL),
    column("taken_at", Moment, purpose="when it started", kept=Kept.JOURNAL),
    column(
        "beat_at",
        Moment,
        purpose="when its daemon last wrote that it lives",
        kept=Kept.JOURNAL,
        nullable=True,
    ),
)


def current(tx: ReadTx) -> int:
    """Tell the present epoch; 0 in a journal never used."""
    return int(tx.scalar(select(EPOCH.c.number)) or 0)


def take(tx: WriteTx, holder: str) -> int:
    """Begin the next epoch; from here on writes of the one before are refused."""
    number = current(tx) + 1
    values = {"number": number, "holder": holder, "taken_at": tx.now}
    statement = insert(EPOCH).values(row=1, **values)
    tx.run(statement if number == 1 else update(EPOCH).values(**values))
    return number


def advance(tx: WriteTx, number: int) -> None:
    """Go on under a higher number: an older copy of the journal was restored."""
    assert number > current(tx), "epochs only grow"
    tx.run(update(EPOCH).values(number=number))


def beat(tx: WriteTx) -> None:
    """Write that the daemon lives: what says that the journal can be written."""
    tx.run(update(EPOCH).values(beat_at=tx.now))


def last_beat(tx: ReadTx) -> datetime | None:
    """When a daemon last lived on this journal; None for one never used."""
    beat_at: datetime | None = tx.scalar(select(EPOCH.c.beat_at))
    return beat_at


def taken_at(tx: ReadTx) -> datetime:
    """When the present daemon began."""
    at: datetime | None = tx.scalar(select(EPOCH.c.taken_at))
    assert at is not None, "a daemon that runs has taken it"
    return at


def check(tx: ReadTx, mine: int) -> None:
    """Raise :class:`StaleEpoch` unless *mine* is the present one."""
    actual = current(tx)
    if actual != mine:
        raise StaleEpoch(f"this daemon's epoch is {mine}, the journal's is {actual}")
