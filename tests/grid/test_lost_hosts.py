"""A served customer's host that vanishes is replaced under the same furl."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred

from lae_flapp.grid import moves
from lae_flapp.grid.lost_hosts import LostHosts, lost, strays
from lae_flapp.journal import events, hosts, identities
from lae_flapp.journal.errors import StateChanged
from lae_flapp.journal.hosts import HostRow
from lae_protocol.ids import Generation, signup_id_of_form
from lae_provision.doors import Host, HostKey
from tests.grid.world import always, check_served
from tests.twins.doors import MemoryHosts
from tests.twins.weather import Fault

NOW = datetime(2026, 11, 23, tzinfo=UTC)
UNSEEN = timedelta(seconds=60)


def look(world):
    looking = LostHosts(world.crew.shop)
    return Deferred.fromCoroutine(looking.look())


def vanish(world):
    """The only instance is gone, by nobody's wish."""
    (instance,) = world.cloud.live()
    instance.terminated = True
    return instance


def served(world):
    signup_id = world.paid()
    world.advance(90)
    check_served(world, signup_id)
    return signup_id


def test_a_lost_host_is_replaced(world):
    """The next generation serves under the same identity, and no second mail is sent."""
    signup_id = served(world)
    before = world.read(identities.latest, signup_id)
    vanish(world)
    look(world)
    assert world.state(signup_id) == "active"
    world.advance(90)
    check_served(world, signup_id)
    assert world.read(hosts.live, signup_id).generation == 2
    assert world.read(identities.latest, signup_id) == before
    assert world.mails(signup_id).count("active") == 1
    kinds = [e.kind for e in world.read(events.since, signup_id, 0)]
    assert "host-lost" in kinds
    assert "refunding" not in kinds


def test_a_restart_goes_on_replacing(world):
    """A daemon that dies after it found the loss replaces the host when it is back."""
    signup_id = served(world)
    vanish(world)
    world.weather = always("hosts.make", Fault.THROTTLED)
    look(world)
    world.advance(20)
    world.kill()
    world.weather = always("nothing", Fault.NONE)
    world.start()
    world.advance(120)
    check_served(world, signup_id)


def test_long_after_the_payment_nothing_is_refunded(world):
    """A host that is lost a year later, and long in coming, costs nobody their grid."""
    signup_id = served(world)
    world.clock.advance(365 * 24 * 3600)
    vanish(world)
    world.weather = always("hosts.make", Fault.NO_CAPACITY)
    look(world)
    world.advance(3600, step=30)
    assert world.state(signup_id) == "active"
    world.weather = always("nothing", Fault.NONE)
    world.advance(300)
    check_served(world, signup_id)


def test_what_is_there_stays(world):
    """A host that the cloud shows is left alone, however often it is looked at."""
    signup_id = served(world)
    for _ in range(3):
        look(world)
        world.advance(30)
    assert world.cloud.launches == 1
    check_served(world, signup_id)


def test_a_short_list_loses_nobody(world, monkeypatch):
    """A host that a list left out, but that is found by its tags, stays."""
    signup_id = served(world)

    async def nothing(self, name):
        return ()

    monkeypatch.setattr(MemoryHosts, "list", nothing)

    look(world)
    world.advance(30)
    assert world.cloud.launches == 1
    check_served(world, signup_id)


def test_a_stray_host_is_told_once(world):
    """An instance of ours that the journal does not know is noted, and not touched."""
    served(world)
    (instance,) = world.cloud.live()
    stray = evolve(
        instance,
        instance_id="i-00000000000000999",
        request=evolve(
            instance.request,
            key=evolve(instance.request.key, signup_id=signup_id_of_form(b"nobody")),
        ),
    )
    world.cloud.instances[stray.instance_id] = stray
    looking = LostHosts(world.crew.shop)
    for _ in range(2):
        Deferred.fromCoroutine(looking.look())
    kinds = [e.kind for e in world.read(events.since, None, 0)]
    assert kinds.count("stray-host") == 1
    assert not stray.terminated


def test_only_a_served_customers_host_is_lost(world):
    """A host that is not ready is the routine's own business."""
    world.hosts_work = False
    signup_id = world.paid()
    world.advance(10)
    with pytest.raises(StateChanged):
        world.write(moves.lose_host, signup_id, Generation(1))


def row(number, state="ready", age=120):
    signup_id = signup_id_of_form(b"%d" % number)
    return HostRow(
        signup_id=signup_id,
        generation=Generation(1),
        state=state,
        wanted_at=NOW,
        changed_at=NOW - timedelta(seconds=age),
        instance_id=f"i-{number}",
        address=None,
        launch_time=NOW,
        reported_at=None,
        report=None,
        bootstrap_hash=None,
        bootstrap_until=None,
        public_key=None,
        furl_hash=None,
        furl_sealed=None,
        image=None,
    )


def shown(number):
    key = HostKey("s4test", signup_id_of_form(b"%d" % number), 1)
    return Host(key, f"i-{number}", "running", None, NOW)


@given(st.sets(st.integers(0, 20)), st.sets(st.integers(0, 20)))
def test_lost_and_stray_are_the_two_differences(journaled, running):
    """What is only in the journal is lost, what is only in the cloud is stray."""
    rows = [row(n) for n in sorted(journaled)]
    listed = [shown(n) for n in sorted(running)]
    assert {r.instance_id for r in lost(rows, listed, NOW, UNSEEN)} == {
        f"i-{n}" for n in journaled - running
    }
    assert {h.instance_id for h in strays(rows, listed)} == {
        f"i-{n}" for n in running - journaled
    }


@pytest.mark.parametrize("state", ["wanted", "launched", "claimed", "retiring"])
def test_other_states_are_not_lost(state):
    """Only a host that was ready can be lost, and only when it is not brand new."""
    assert lost([row(1, state)], [], NOW, UNSEEN) == ()
    assert lost([row(1, age=10)], [], NOW, UNSEEN) == ()
