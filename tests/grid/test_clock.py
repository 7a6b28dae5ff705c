"""Somebody sets the clock, while signups wait or between two daemons."""

from __future__ import annotations

import pytest
from twisted.internet.task import Clock

from lae_flapp.grid.limits import Limits
from lae_flapp.journal import hosts
from lae_flapp.journal.figures import last_moment
from lae_protocol.process.steady import SteadyClock
from tests.grid.world import (
    START,
    ProcessClock,
    World,
    always,
    check_money,
    check_refunded,
    check_served,
)
from tests.twins.weather import Fault

HOUR, DAY = 3600.0, 86_400.0


@pytest.fixture
def waiting(world: World) -> tuple[World, str]:
    """A signup that is paid, and whose host does not come."""
    world.hosts_work = False
    signup_id = world.paid()
    world.advance(60)
    assert world.state(signup_id) == "paid"
    return world, signup_id


@pytest.fixture
def set_clock(monkeypatch):
    """Between two daemons; the cloud's and Stripe's clocks go on as they were."""

    def is_set(world: World, by: float) -> None:
        world.kill()
        monkeypatch.setattr(
            ProcessClock, "seconds", lambda self: self.clock.seconds() + by
        )
        world.start()

    return is_set


def test_a_day_forward_refunds_nobody_who_can_be_served(waiting, set_clock) -> None:
    """A daemon that starts a day later, by the clock, first tries to serve who waits."""
    world, signup_id = waiting
    set_clock(world, DAY + HOUR)
    world.hosts_work = True
    world.advance(600)
    check_served(world, signup_id)
    check_money(world, 1)


def test_a_day_forward_still_refunds_who_cannot_be_served(waiting, set_clock) -> None:
    """Nobody is left charged without service: after an hour of trying in vain the money
    goes back.
    """
    world, signup_id = waiting
    world.weather = always("hosts.make", Fault.REFUSED)
    set_clock(world, DAY + HOUR)
    world.advance(Limits().tries_at_least - 120, 60)
    assert world.state(signup_id) == "paid"
    world.advance(HOUR, 60)
    check_refunded(world, signup_id)


def test_an_hour_back_doubles_and_loses_nothing(waiting, set_clock) -> None:
    """Even a daemon that believes a clock which was set back an hour serves who waits,
    once: with one host, one mail and one payment.
    """
    world, signup_id = waiting
    launched = world.cloud.launches
    set_clock(world, -HOUR)
    world.hosts_work = True
    world.advance(120)
    check_served(world, signup_id)
    assert world.cloud.launches == launched
    check_money(world, 1)
    second = world.paid(b"another form")
    world.advance(60)
    check_served(world, second)


@pytest.mark.parametrize("step", [-HOUR, HOUR, DAY])
def test_holds_and_bootstraps_are_of_time_that_passed(tmp_path, step) -> None:
    """While a daemon runs, a bootstrap furl lasts as long as it should and whoever waits
    is served, whatever the machine's clock is set to meanwhile.
    """
    machine = Clock()
    machine.advance(START)
    passing = Clock()
    steady = SteadyClock(machine.seconds, passing.seconds)
    world = World(tmp_path)
    # The process' time is the steady clock's, its timers fire by it.
    world.clock.seconds = steady.seconds

    def passes(seconds: int) -> None:
        for _ in range(seconds):
            machine.rightNow += 1
            passing.rightNow += 1
            world.clock.rightNow = steady.seconds()
            world.clock.advance(0)
            world.boot()

    world.start()
    world.hosts_work = False
    signup_id = world.paid()
    passes(10)
    row = world.read(hosts.live, signup_id)
    machine.rightNow += step
    passes(60)
    left = row.bootstrap_until.timestamp() - steady.seconds()
    assert 1700 < left < 1760, "half an hour, less what has passed"
    assert world.read(hosts.live, signup_id) == row
    world.hosts_work = True
    passes(20)
    check_served(world, signup_id)
    assert world.cloud.launches == 1
    world.stop()


def test_a_daemon_goes_on_from_the_last_ones_time(waiting) -> None:
    """The journal tells the next daemon what time it was, so that none goes back."""
    world, _ = waiting
    last = world.read(last_moment)
    assert 0 <= world.clock.seconds() - last.timestamp() <= 60
    clock = SteadyClock(lambda: world.clock.seconds() - HOUR, lambda: 0.0)
    assert clock.at_least(last.timestamp())
    assert clock.seconds() == last.timestamp()
