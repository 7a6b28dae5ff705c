"""What may not be lost with the machine waits for the backup; nobody waits for ever."""

from __future__ import annotations

import pytest
from attrs import Factory, define
from twisted.internet.defer import Deferred

from lae_flapp.backup.continuous import Continuous
from lae_flapp.backup.litestream import BackupAway
from lae_flapp.money import payment
from tests.grid.world import World


@define
class Gate:
    """A backup that the test lets through."""

    waiting: list[Deferred[bool]] = Factory(list)

    async def secure(self) -> bool:
        self.waiting.append(Deferred())
        return await self.waiting[-1]

    def let(self) -> None:
        waiting, self.waiting = self.waiting, []
        for one in waiting:
            one.callback(True)


@pytest.fixture
def world(tmp_path):
    made = World(tmp_path)
    yield made
    if made.up:
        made.stop()


def test_nobody_sees_a_furl_that_the_backup_has_not(world) -> None:
    """Paid and sealed, each waits until the backup has it: who asks about the payment is not answered, and the furl is not shown, before."""
    gate = world.backup = Gate()
    world.start()
    signup_id = world.register()
    session_id = world.checkout(signup_id)
    world.pay(session_id)
    told: list[str] = []
    asked = payment.take(world.crew.shop, world.account.sessions[session_id])
    Deferred.fromCoroutine(asked).addCallback(told.append)
    assert told == []
    assert world.state(signup_id) == "paid"
    for _ in range(5):
        world.advance(5, 5)
    assert "identity-sealed" not in world.kinds(signup_id)
    gate.let()
    assert told == ["kept"]
    for _ in range(20):
        world.advance(5, 5)
        gate.let()
    assert "identity-sealed" in world.kinds(signup_id)


def test_a_backup_that_is_away_stops_no_signup(world) -> None:
    """With the bucket away from the start whoever pays is served as ever."""

    async def away(_: float) -> None:
        raise BackupAway("no answer")

    world.backup = Continuous(world.clock, away)
    world.start()
    signup_id = world.paid()
    world.advance(600, 5)
    assert world.state(signup_id) == "active"
    assert world.backup.away == "no answer"
