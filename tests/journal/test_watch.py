"""Watching: who is woken, by what, and when."""

from __future__ import annotations

import pytest
from twisted.internet.defer import CancelledError

from lae_flapp.journal import events
from lae_flapp.journal.errors import JournalClosed
from tests.twins.journal import answer


def waiting(desk, *args, **kwargs):
    """A wait whose end is nobody's failure: the journal closes before it is over."""
    begun = desk.journal.watch(*args, **kwargs)
    begun.addErrback(lambda failure: failure.trap(JournalClosed))
    return begun


def test_a_watcher_is_woken_by_its_own_signup(desk) -> None:
    """An event of one signup wakes who waits for it or for all, and nobody else."""
    a, b = desk.register("a").signup_id, desk.register("b").signup_id
    mine, other, everybody = (waiting(desk, who, 2) for who in (a, b, None))
    desk.write(events.tell, a, "delayed", "daemon")
    assert (mine.result, everybody.result) == (3, 3)
    assert not other.called


def test_what_happened_already_is_told_at_once(desk) -> None:
    """Waiting from an older number answers with the newest of that signup."""
    a = desk.register("a").signup_id
    desk.register("b")
    assert answer(desk.journal.watch(a, 0)) == 1
    assert not waiting(desk, a, 1).called


def test_the_public_are_not_woken_by_notes(desk) -> None:
    """Who looks at what customers see sleeps through operators' notes."""
    a = desk.register("a").signup_id
    public, private = (waiting(desk, a, 1, public=it) for it in (True, False))
    desk.write(events.note, a, "throttled", "daemon", "by EC2")
    assert private.result == 2
    assert not public.called
    assert not waiting(desk, a, 1, public=True).called
    desk.write(events.tell, a, "delayed", "daemon")
    assert public.result == 3


def test_a_cancelled_watcher_is_forgotten(desk) -> None:
    """A wait that its owner ends leaves nothing behind."""
    begun = desk.journal.watch(None, 0)
    assert len(desk.journal._watchers) == 1
    begun.cancel()
    with pytest.raises(CancelledError):
        answer(begun)
    assert len(desk.journal._watchers) == 0
    desk.write(events.note, None, "later", "test")


def test_closing_tells_who_waits(desk) -> None:
    """A journal that closes leaves nobody waiting for ever."""
    begun = desk.journal.watch(None, 0)
    desk.close()
    with pytest.raises(JournalClosed):
        answer(begun)
    assert len(desk.journal._watchers) == 0
