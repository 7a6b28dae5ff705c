"""Waiting for the backup, on a clock of the test's."""

from __future__ import annotations

import pytest
from attrs import Factory, define
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from lae_flapp.backup.continuous import WITHIN, Continuous
from lae_flapp.backup.litestream import BackupAway


@define
class Questions:
    """Litestream, answering when the test says so."""

    asked: list[Deferred[None]] = Factory(list)

    async def sync(self, seconds: float) -> None:
        assert seconds == WITHIN
        self.asked.append(Deferred())
        await self.asked[-1]


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def litestream():
    return Questions()


@pytest.fixture
def backup(clock, litestream):
    return Continuous(clock, litestream.sync)


def begin(coroutine):
    """Run it; what it has come to."""
    told = []
    Deferred.fromCoroutine(coroutine).addCallback(told.append)
    return told


def test_who_asks_meanwhile_shares_the_next_question(backup, litestream) -> None:
    """What was committed after a question was sent is not in its answer: all who asked meanwhile wait for one more."""
    first = begin(backup.secure())
    others = [begin(backup.secure()) for _ in range(5)]
    assert len(litestream.asked) == 1
    litestream.asked[0].callback(None)
    assert first == [True]
    assert others == [[]] * 5
    assert len(litestream.asked) == 2
    litestream.asked[1].callback(None)
    assert others == [[True]] * 5
    assert len(litestream.asked) == 2


def test_the_age_counts_from_the_question(backup, litestream, clock) -> None:
    """The age is since what was asked for was committed, not since it was answered."""
    clock.advance(7)
    assert backup.age == 7
    begin(backup.reach())
    clock.advance(2)
    litestream.asked[0].callback(None)
    assert backup.age == 2


def test_a_backup_that_is_away_keeps_nobody(backup, litestream, clock) -> None:
    """Who waits when it fails is told so, who comes later does not wait, and the age grows; after a look that goes well they wait again."""
    one, other = begin(backup.secure()), begin(backup.secure())
    litestream.asked[0].errback(BackupAway("no answer"))
    assert (one, other) == ([False], [False])
    assert backup.away == "no answer"
    assert begin(backup.secure()) == [False]
    assert len(litestream.asked) == 1
    look = begin(backup.reach())
    clock.advance(1)
    litestream.asked[1].errback(BackupAway("still none"))
    assert (look, backup.away) == ([False], "still none")
    look = begin(backup.reach())
    litestream.asked[2].callback(None)
    assert (look, backup.away, backup.age) == ([True], "", 0)
    later = begin(backup.secure())
    assert later == []
    litestream.asked[3].callback(None)
    assert later == [True]
