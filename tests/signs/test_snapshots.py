"""What can still be written of the journal: beside it, and where something was freed."""

from __future__ import annotations

import os
from types import SimpleNamespace

import pytest
from sqlalchemy import text

from lae_flapp.journal import inbox
from lae_flapp.signs.snapshots import LOG, disk
from lae_protocol.stripe_hints import StripeHint
from tests.twins.journal import answer

MANY = 2000


@pytest.fixture
def left(monkeypatch):
    """Say how many bytes are left on the disk."""

    def set_to(size: int) -> None:
        told = SimpleNamespace(f_bavail=size, f_frsize=1, f_blocks=1 << 40)
        monkeypatch.setattr(os, "statvfs", lambda _: told)

    return set_to


def flood(tx) -> None:
    for number in range(MANY):
        hint = StripeHint(f"evt_{number:0200}", "invoice.paid", "in_1")
        inbox.take(tx, hint, "r" * 40)
        inbox.ignore(tx, hint.event_id, "of another deployment")


def free(signs) -> int:
    signs.clock.advance(60)
    signs.refresh()
    told = signs.snapshots.latest.disk.free
    assert signs.value("s4_journal_free_bytes") == told
    return int(told)


def test_what_was_removed_is_room(signs, left) -> None:
    """Once what a flood has left is removed its pages are written first, so they count
    as room: the daemon takes registrations again without anybody's help.
    """
    left(LOG)
    quiet = free(signs)
    answer(signs.journal.write(flood))
    assert free(signs) == quiet
    gone = answer(signs.journal.write(lambda tx: inbox.remove(tx, "ignored", tx.now)))
    assert gone == MANY
    freed = free(signs) - quiet
    assert 200 * MANY < freed < 2000 * MANY

    def pages(tx) -> int:
        return int(tx.scalar(text("PRAGMA page_count")))

    before = answer(signs.journal.read(pages))
    answer(signs.journal.write(flood))
    assert answer(signs.journal.read(pages)) == before, "the file did not grow"
    assert free(signs) - quiet < freed / 2


def test_no_room_where_the_log_has_none(tmp_path, left) -> None:
    """On a disk without room for the log freed pages are none, either."""
    for beside, told in ((LOG, LOG + 7), (LOG - 1, LOG - 1), (0, 0)):
        left(beside)
        assert disk(tmp_path / "j.sqlite", 7).free == told
