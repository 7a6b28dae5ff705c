"""Which daemon may write, decided by the epoch alone."""

from __future__ import annotations

from datetime import timedelta

import pytest

from lae_flapp.journal import epoch
from lae_flapp.journal.epoch import EPOCH
from lae_flapp.journal.errors import StaleEpoch


def row(desk):
    """The one row: number, holder, and when it was taken."""
    columns = (EPOCH.c.row, EPOCH.c.number, EPOCH.c.holder, EPOCH.c.taken_at)
    (found,) = desk.read(lambda tx: tx.all(EPOCH.select().with_only_columns(*columns)))
    return tuple(found)


def test_a_journal_that_was_never_used_has_the_epoch_zero(desk) -> None:
    """Without its row the epoch is 0, nobody lived, and the first daemon takes 1."""

    def begin(tx):
        tx.run(EPOCH.delete())
        before = (epoch.current(tx), epoch.last_beat(tx))
        taken = epoch.take(tx, "first:1")
        # The transaction ends as the daemon that began it: by its own epoch.
        return before, taken, epoch.current(tx)

    assert desk.write(begin) == ((0, None), 1, 1)
    number, current, holder, _ = row(desk)
    assert (number, current, holder) == (1, 1, "first:1")


def test_each_start_takes_the_next_epoch(desk) -> None:
    """A daemon that starts later has the next number, and its name and time stand."""
    before = row(desk)
    desk.clock.advance(60)

    def take(tx):
        return epoch.take(tx, "host:2"), tx.now

    taken, now = desk.write(take)
    assert taken == before[1] + 1
    assert row(desk) == (1, taken, "host:2", now)


def test_a_daemon_of_an_earlier_epoch_may_not_write(desk) -> None:
    """Only the present epoch passes; the error names both."""
    current = desk.read(epoch.current)
    assert desk.read(epoch.check, current) is None
    for other in (current - 1, current + 1):
        says = f"this daemon's epoch is {other}, the journal's is {current}"
        with pytest.raises(StaleEpoch, match=says):
            desk.read(epoch.check, other)


def test_a_restored_journal_goes_on_under_a_higher_epoch(desk) -> None:
    """The epoch is put forward to the number that was named, and never back."""
    current = desk.read(epoch.current)

    def advance(tx):
        with pytest.raises(AssertionError, match="only grow"):
            epoch.advance(tx, current)
        epoch.advance(tx, current + 5)
        return epoch.current(tx)

    assert desk.write(advance) == current + 5
    assert row(desk)[:2] == (1, current + 5)


def test_a_beat_says_when_the_daemon_lived(desk) -> None:
    """Each beat stands with its time, in place of the one before."""

    def beat(tx):
        epoch.beat(tx)
        return tx.now

    first = desk.write(beat)
    assert desk.read(epoch.last_beat) == first
    desk.clock.advance(60)
    assert desk.write(beat) == first + timedelta(seconds=60)
    assert desk.read(epoch.last_beat) == first + timedelta(seconds=60)
