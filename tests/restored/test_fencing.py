"""A deployment that was recovered on another machine: the daemon of before ends."""

from __future__ import annotations

from random import Random

import pytest
from attrs import evolve
from twisted.internet.defer import Deferred

from lae_flapp.grid.workshop import LookedBack
from lae_flapp.journal import events, recoveries
from lae_flapp.journal.recoveries import RECOVERED
from lae_flapp.restored.fencing import Fencing, RecoveredElsewhere, fence_key
from lae_flapp.restored.looking_back import LookingBack
from lae_provision.doors import Sealed
from tests.grid.world import always, check_served, now
from tests.twins.weather import Fault, fair

FRESH = 60.0


class Fenced:
    """A daemon of the world, with a fence that was not looked at yet."""

    def __init__(self, world):
        self.world, self.ends = world, 0
        self.looked_back = LookedBack(unfenced_at=float("-inf"), unfenced_for=FRESH)
        world.crew.shop = evolve(world.crew.shop, looked_back=self.looked_back)
        self.fence = Fencing(world.crew.shop, self.end)

    def end(self):
        self.ends += 1

    def look(self):
        now(Deferred.fromCoroutine(self.fence.look()))

    def keep_looking(self):
        now(Deferred.fromCoroutine(self.fence.keep_looking()))

    def recover(self, number):
        """Another machine does."""
        key = fence_key(number)
        self.world.cloud.vault[key] = Sealed(key, b"elsewhere")


@pytest.fixture
def fenced(world):
    return Fenced(world)


def test_nothing_is_launched_before_the_bucket_answered(fenced, world):
    """Until the state bucket said that nobody recovered the deployment, no host is
    launched; and again when it has not said so for a while.
    """
    first = world.paid(b"first")
    world.advance(60)
    assert world.cloud.launches == 0
    fenced.look()
    world.advance(FRESH - 1)
    check_served(world, first)
    world.advance(1)
    second = world.paid(b"second")
    world.advance(120)
    assert world.live_hosts(second) == 0
    fenced.look()
    world.advance(55)
    check_served(world, second)


def test_a_daemon_that_wakes_up_does_nothing(fenced, world):
    """A daemon that was frozen while another machine recovered the deployment launches
    nothing when it wakes, and ends once, in words that say why.
    """
    fenced.look()
    fenced.recover(1)
    world.clock.advance(FRESH)
    signup_id = world.paid()
    world.advance(30)
    assert world.live_hosts(signup_id) == 0
    for _ in range(2):
        with pytest.raises(RecoveredElsewhere):
            fenced.look()
    fenced.keep_looking()
    assert fenced.ends == 1
    world.advance(120)
    assert world.cloud.launches == 0


def test_no_data_is_deleted_from_a_journal_that_was_lost(fenced, world):
    """A bucket is due in the lost journal; its owner may have come back since."""
    fenced.look()
    world.hosts_work = False
    signup_id = world.paid()
    world.advance(20)
    world.clock.advance(FRESH)
    world.give_up(signup_id)
    world.advance(120)
    assert world.cloud.buckets
    fenced.look()
    world.advance(50)
    assert not world.cloud.buckets


def test_the_journal_that_was_restored_is_not_shut_out(fenced, world):
    """The journal that a recovery restored knows its number: its daemon goes on, until
    there is another recovery.
    """
    world.write(events.note, None, RECOVERED, "lae disaster recover", "3")
    assert world.read(recoveries.newest) == 3
    for number in (1, 2, 3):
        fenced.recover(number)
    fenced.look()
    fenced.recover(4)
    with pytest.raises(RecoveredElsewhere):
        fenced.look()
    assert fenced.ends == 1


def test_the_bucket_is_away(fenced, world):
    """A look that fails ends nothing, and what was seen before is good for its while."""
    fenced.look()
    world.weather = always("vault.get", Fault.THROTTLED)
    fenced.keep_looking()
    world.weather = fair
    assert fenced.ends == 0
    assert fenced.looked_back.is_unfenced(world.clock.seconds() + FRESH - 1)
    assert not fenced.looked_back.is_unfenced(world.clock.seconds() + FRESH)


def test_a_start_that_finds_the_fence_claims_nothing(fenced, world):
    """The machine comes back after its deployment was recovered: its daemon claims no
    number of a life, so that the other one is not taken for the older.
    """
    fenced.recover(1)
    done = []

    async def work():
        done.append(1)

    looking = LookingBack(
        world.clock, Random(1), fenced.fence, work, work, work, fenced.looked_back
    )
    assert now(Deferred.fromCoroutine(looking.run())) is None
    assert (done, fenced.ends) == ([], 1)
