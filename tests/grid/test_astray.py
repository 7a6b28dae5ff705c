"""A name leads to its host wherever that is, or nowhere."""

from __future__ import annotations

import pytest
from attrs import evolve
from twisted.internet.defer import Deferred

from lae_flapp.grid import moves
from lae_flapp.grid.astray import Stray, names_astray
from lae_flapp.grid.limits import Limits
from lae_flapp.grid.lost_hosts import LostHosts
from lae_flapp.journal import events, hosts, signups
from lae_flapp.journal.errors import StateChanged
from tests.grid.test_lost_hosts import row, shown
from tests.grid.world import always, check_names, check_served
from tests.twins.doors import MemoryAddresses
from tests.twins.weather import Fault


def look(world):
    looking = LostHosts(world.crew.shop)
    return Deferred.fromCoroutine(looking.look())


def served(world):
    signup_id = world.paid()
    world.advance(90)
    check_served(world, signup_id)
    return signup_id


def notes(world, signup_id):
    every = world.read(events.since, signup_id, 0)
    return [(e.kind, e.why) for e in every if not e.public]


def test_a_signup_waits_for_the_public_address(world):
    """However late the cloud shows it, the record has the public address, and nobody is
    told that the grid is ready before.
    """
    world.cloud.boot, world.cloud.addressing = 3, 30
    signup_id = world.paid()
    world.advance(25)
    assert world.state(signup_id) == "paid"
    assert not world.cloud.records
    world.advance(30)
    check_served(world, signup_id)
    (instance,) = world.cloud.live()
    assert list(world.cloud.records.values()) == [instance.address]
    assert world.read(hosts.live, signup_id).address == instance.address
    assert "delayed" not in world.kinds(signup_id)


def test_an_address_that_never_comes_is_told(world):
    """After a minute it counts as a failure: the customer sees a delay, and after ten
    minutes an operator is told what is missing; with the address it goes on.
    """
    world.cloud.addressing = 100_000
    signup_id = world.paid()
    world.advance(55)
    assert "delayed" not in world.kinds(signup_id)
    world.advance(45)
    assert world.kinds(signup_id)[-1] == "delayed"
    world.advance(700)
    assert world.kinds(signup_id)[-1] == "troubled"
    problem = world.read(signups.get, signup_id).problem
    assert problem.endswith("the host shows no public address")
    (instance,) = world.cloud.live()
    instance.addressed_at = 0
    world.advance(120)
    check_served(world, signup_id)


def test_a_host_without_an_address_has_the_time_of_any_host(world):
    """One that gets no address and does not claim either is replaced."""
    world.kill()
    world.limits = Limits(claim=100)
    world.start()
    world.cloud.addressing, world.hosts_work = 100_000, False
    signup_id = world.paid()
    world.advance(101)
    assert world.cloud.launches == 1
    world.cloud.addressing, world.hosts_work = 0, True
    world.advance(150)
    check_served(world, signup_id)
    assert world.cloud.launches == 2


@pytest.mark.parametrize("late", [0, 20])
def test_a_changed_address_is_followed(world, late):
    """Stopped and started at the console, a host has another address: the next look has
    the record rewritten, and the journal says from where to where.
    """
    signup_id = served(world)
    (instance,) = world.cloud.live()
    before, told = instance.address, world.kinds(signup_id)
    instance.stop()
    instance.start(world.clock.seconds(), late)
    look(world)
    check_names(world)
    world.advance(late + 6)
    assert instance.address != before
    assert list(world.cloud.records.values()) == [instance.address]
    assert world.read(hosts.live, signup_id).address == instance.address
    where = f"the host is at {instance.address}" if late == 0 else "the host shows no"
    (changed, why), (followed, to) = notes(world, signup_id)[-2:]
    assert (changed, followed) == ("address-changed", "address-followed")
    assert why.startswith(f"it led to {before}; {where}")
    assert to == f"to {instance.address}"
    assert world.kinds(signup_id) == told, "customers see no step twice"
    assert not world.crew.busy()


def test_the_name_of_a_stopped_host_leads_nowhere(world):
    """The address of a host that somebody stopped is AWS' again: the record goes with
    the next look, and comes back with the host.
    """
    signup_id = served(world)
    (instance,) = world.cloud.live()
    instance.stop()
    look(world)
    world.advance(1)
    assert not world.cloud.records
    world.advance(600, step=5)
    instance.start(world.clock.seconds(), late=5)
    world.advance(70)
    assert list(world.cloud.records.values()) == [instance.address]
    assert world.cloud.launches == 1
    check_served(world, signup_id)


@pytest.mark.parametrize("written", ["198.18.9.9", None])
def test_a_record_that_somebody_changed_is_written_again(world, written):
    """Changed or deleted at Route 53, it leads to the host again after the next look."""
    served(world)
    (name,) = world.cloud.records
    (instance,) = world.cloud.live()
    world.cloud.records.pop(name)
    if written:
        world.cloud.records[name] = written
    look(world)
    world.advance(2)
    assert world.cloud.records == {name: instance.address}


def test_a_daemon_that_dies_goes_on_leading(world):
    """What was found astray is led right by the next daemon, whoever looks when."""
    signup_id = served(world)
    (instance,) = world.cloud.live()
    instance.stop()
    instance.start(world.clock.seconds(), late=0)
    world.weather = always("addresses.make", Fault.THROTTLED)
    look(world)
    world.advance(5)
    world.kill()
    world.weather = always("nothing", Fault.NONE)
    world.start()
    world.advance(70)
    assert world.read(hosts.live, signup_id).address == instance.address
    assert list(world.cloud.records.values()) == [instance.address]


def test_a_list_that_is_old_changes_nothing(world, monkeypatch):
    """A list of records that lags behind is not believed: the record itself is read."""
    signup_id = served(world)
    before = notes(world, signup_id)

    async def nothing(self):
        return {}

    monkeypatch.setattr(MemoryAddresses, "list", nothing)
    look(world)
    world.advance(5)
    assert notes(world, signup_id) == before


def test_a_needless_record_is_told_once(world):
    """A record of a grid of ours without a host is noted, and other records are not."""
    signup_id = world.register()
    label = world.read(signups.get, signup_id).grid_label
    world.cloud.records[f"{label}.grid.example"] = "198.18.7.7"
    world.cloud.records["www.grid.example"] = "198.18.7.8"
    world.cloud.records["*.grid.example"] = "192.0.2.1"
    looking = LostHosts(world.crew.shop)
    for _ in range(2):
        Deferred.fromCoroutine(looking.look())
    why = f"{label}.grid.example leads to 198.18.7.7"
    assert notes(world, signup_id) == [("stray-record", why)]
    assert len(world.cloud.records) == 3


def test_what_is_astray():
    """A ready host whose address the journal knows: host, journal and record must agree;
    what is lost, on its way, or being led already is left alone.
    """
    known = evolve(row(1), address="a")
    names = {known.signup_id: "g1.z"}

    def found(at="a", led="a", of=known, listed=True, names=names):
        there = [evolve(shown(1), address=at)] if listed else []
        records = {} if led is None else {"g1.z": led}
        return names_astray([of], there, names, records)

    assert found() == ()
    assert found(at="b") == (Stray(known, "a", "b", "a"),)
    assert found(at=None) == (Stray(known, "a", None, "a"),)
    assert found(led="b") == (Stray(known, "a", "a", "b"),)
    assert found(led=None) == (Stray(known, "a", "a", None),)
    assert found(at="b", led="b") == (Stray(known, "a", "b", "b"),)
    assert found(at="b", listed=False) == ()
    assert found(at="b", of=evolve(known, state="retiring")) == ()
    assert found(at="b", of=evolve(known, state="claimed")) == ()
    assert found(at="b", of=evolve(known, address=None)) == ()
    assert found(at="b", names={}) == ()


def test_nobody_is_told_before_the_name_is_served(world):
    """However long Route 53's name servers take, the mail comes when they lead to the
    host; the host boots and proves itself meanwhile.
    """
    world.cloud.naming, world.cloud.boot = 40, 3
    signup_id = world.paid()
    world.advance(30)
    assert "self-test-passed" in world.kinds(signup_id)
    assert world.state(signup_id) == "paid"
    world.advance(30)
    check_served(world, signup_id)
    (instance,) = world.cloud.live()
    served_now = world.cloud.served(world.clock.seconds())
    assert list(served_now.values()) == [instance.address]


def test_a_host_outlives_its_served_name(world):
    """As long as any name server may lead to a host that is to go, it stays; a host that
    is gone is not waited for.
    """
    signup_id = served(world)
    (first,) = world.cloud.live()
    world.cloud.naming = 40
    host = world.read(hosts.live, signup_id)
    world.write(moves.replace_host, signup_id, host.generation, "op", "wished")
    while not first.terminated:
        assert world.cloud.live() == [first]
        world.advance(1)
    assert not world.cloud.served(world.clock.seconds())
    world.advance(150)
    check_served(world, signup_id)
    (second,) = world.cloud.live()
    second.terminated = True
    look(world)
    world.advance(5)
    assert world.cloud.launches == 3


def test_names_are_not_asked_about_often(world):
    """Route 53 answers few calls a second: it is asked ever more seldom, and one that is
    refused for now makes no record again.
    """
    calls = []

    def met(call):
        calls.append(call)
        return Fault.THROTTLED if call == "addresses.is_served" else Fault.NONE

    world.weather = met
    signup_id = world.paid()
    world.advance(60)
    assert calls.count("addresses.is_served") < 10
    assert calls.count("addresses.make") == 1
    world.weather = always("nothing", Fault.NONE)
    world.advance(60)
    check_served(world, signup_id)


def test_a_name_that_is_never_served_holds_nobody_up(world):
    """After a minute and a half it goes on: the record stands, and AWS is late."""
    world.cloud.naming = 100_000
    signup_id = world.paid()
    world.advance(80)
    assert world.state(signup_id) == "paid"
    world.advance(40)
    check_served(world, signup_id)


def test_what_changed_meanwhile_is_left_to_whoever_changed_it(world):
    """An address that was led anew since the look, and a host that is going, stay as they
    are.
    """
    signup_id = served(world)
    host = world.read(hosts.live, signup_id)
    with pytest.raises(StateChanged):
        lose = (signup_id, host.generation, "198.18.200.1", "of an old look")
        world.write(moves.lose_address, *lose)
    world.write(moves.replace_host, signup_id, host.generation, "op", "wished")
    with pytest.raises(StateChanged):
        lose = (signup_id, host.generation, host.address, "of an old look")
        world.write(moves.lose_address, *lose)
    assert "address-changed" not in [kind for kind, _ in notes(world, signup_id)]
