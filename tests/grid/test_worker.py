"""The routine, with fair weather and each foul one on its own."""

from __future__ import annotations

import pytest
from attrs import evolve
from twisted.logger import formatEvent

from lae_flapp.cell_settings import PortSettings
from lae_flapp.grid import moves
from lae_flapp.grid.limits import Limits
from lae_flapp.journal import effects, events, hosts, signups, switches
from lae_flapp.journal.errors import StateChanged
from tests.grid.world import (
    PLACE,
    World,
    always,
    check_money,
    check_refunded,
    check_served,
    weather,
)
from tests.twins.weather import Fault

CALLS = (
    "vault.get",
    "vault.put",
    "identities.make",
    "buckets.find",
    "buckets.make",
    "roles.find",
    "roles.make",
    "hosts.find",
    "hosts.make",
    "addresses.find",
    "addresses.make",
)
PASSING = (Fault.THROTTLED, Fault.REPLY_LOST, Fault.DOUBLED, Fault.LATE)


def test_a_paid_signup_is_served(world):
    """Payment leads to one host, a furl, and one mail, with each event in order."""
    signup_id = world.paid()
    world.advance(10)
    check_served(world, signup_id)
    assert world.kinds(signup_id) == [
        "registered",
        "paid",
        "identity-sealed",
        "bucket-ready",
        "role-ready",
        "instance-launched",
        "address-ready",
        "claimed",
        "self-test-passed",
        "ready",
    ]
    assert world.cloud.launches == 1
    assert not world.crew.busy()


def test_nothing_is_built_before_payment(world):
    """A signup that was not paid gets nothing, though somebody asks for it."""
    signup_id = world.register()
    world.checkout(signup_id)
    world.retry(signup_id)
    world.advance(10)
    assert world.cloud.empty()
    assert not world.cloud.vault


def test_furl_exists_before_the_host(world):
    """The identity is in the vault even while the cloud refuses everything else."""
    world.weather = always("buckets.find", Fault.THROTTLED)
    signup_id = world.paid()
    world.advance(2)
    assert world.kinds(signup_id)[-1] == "identity-sealed"
    assert len(world.cloud.vault) == 1


@pytest.mark.parametrize("fault", PASSING, ids=str)
@pytest.mark.parametrize("call", CALLS)
def test_one_fault_that_passes_changes_nothing(world, call, fault):
    """Throttled, lost, doubled or late: at the end it is as if nothing happened."""
    world.weather = weather((call, fault))
    signup_id = world.paid()
    world.advance(90)
    check_served(world, signup_id)
    assert world.cloud.launches == 1
    assert len(world.cloud.vault) == 1


def test_slow_cloud_gets_one_host(tmp_path):
    """What is not visible for half a minute is waited for, and not made again."""
    world = World(tmp_path / "state")
    world.cloud.visibility, world.cloud.boot, world.cloud.profile_delay = 30, 40, 15
    world.start()
    signup_id = world.paid()
    world.advance(300)
    check_served(world, signup_id)
    assert world.cloud.launches == 1
    world.kill()


def test_lost_launch_is_repeated_byte_for_byte(world):
    """After a lost reply the very same request goes out, with the same token."""
    world.weather = weather(("hosts.make", Fault.REPLY_LOST))
    signup_id = world.paid()
    world.advance(60)
    check_served(world, signup_id)
    assert list(world.cloud.tokens) == [f"{signup_id}-make-host-1-1"]


def test_full_cloud_is_waited_for_with_a_new_token(world):
    """A launch without capacity ends its generation; the next has another token."""
    world.cloud.room = 0
    signup_id = world.paid()
    world.advance(70)
    assert world.state(signup_id) == "paid"
    assert "delayed" in world.kinds(signup_id)
    world.cloud.room = 1
    world.advance(300)
    check_served(world, signup_id)
    assert world.cloud.launches == 1
    assert list(world.cloud.tokens) != [f"{signup_id}-make-host-1-1"]


def test_host_that_never_claims_is_replaced(world):
    """After the bootstrap furl's end the host is terminated and the next one made."""
    world.hosts_work = False
    signup_id = world.paid()
    world.advance(1810, step=10)
    world.hosts_work = True
    world.advance(60)
    check_served(world, signup_id)
    assert world.cloud.launches == 2
    assert world.read(hosts.live, signup_id).generation == 2
    assert len(world.cloud.vault) == 1, "the furl is the same"
    assert "delayed" in world.kinds(signup_id)


def test_hosts_in_vain_are_bounded_and_an_operator_grants_one_more(world):
    """After three hosts in vain an operator is told; a retry launches one more."""
    world.hosts_work = False
    signup_id = world.paid()
    world.advance(3 * 1900, step=20)
    assert world.cloud.launches == 3
    assert world.live_hosts() == 0
    assert world.kinds(signup_id)[-1] == "troubled"
    assert world.mails(signup_id) == ["troubled"]
    world.hosts_work = True
    world.retry(signup_id)
    world.advance(30)
    check_served(world, signup_id)
    assert world.read(signups.get, signup_id).problem is None


def test_self_test_that_never_passes_replaces_the_host(world):
    """A host that claimed and proved nothing within ten minutes is replaced."""
    signup_id = world.paid()
    row = world.read(hosts.live, signup_id)

    def claim(tx):
        hosts.claim(tx, signup_id, row.generation, b"k" * 32)
        moves.claimed(tx, signup_id, row.generation)

    world.hosts_work = False
    world.write(claim)
    world.advance(700, step=10)
    assert world.read(hosts.live, signup_id).generation == 2


def test_terminated_host_is_replaced(world):
    """A host that somebody terminates while it is built makes room for the next."""
    world.hosts_work = False
    signup_id = world.paid()
    world.advance(100)
    for instance in world.cloud.live():
        instance.terminated = True
    world.kill()
    world.start()
    world.hosts_work = True
    world.advance(200)
    check_served(world, signup_id)
    assert world.read(hosts.live, signup_id).generation == 2


def test_refusal_tells_an_operator_once_and_waits(world):
    """What is refused for good is told once, not hammered, and retried on demand."""
    asked = []

    def refused(call):
        asked.append(call)
        return Fault.REFUSED if call == "roles.make" else Fault.NONE

    world.weather = refused
    signup_id = world.paid()
    world.advance(3000, step=10)
    assert asked.count("roles.make") == 1
    assert world.kinds(signup_id)[-1] == "troubled"
    assert world.mails(signup_id) == ["troubled"]
    assert "role" in world.read(signups.get, signup_id).problem
    world.weather = weather()
    world.retry(signup_id)
    world.advance(10)
    check_served(world, signup_id)


def test_long_trouble_is_told_once(world):
    """Throttling that lasts is shown once, and told to an operator once."""
    world.weather = always("buckets.make", Fault.THROTTLED)
    signup_id = world.paid()
    world.advance(3600, step=10)
    assert world.kinds(signup_id).count("delayed") == 1
    assert world.kinds(signup_id).count("troubled") == 1
    assert world.mails(signup_id) == ["troubled"]
    tries = world.read(effects.of, signup_id)[-1].tries
    assert 60 < tries < 600, "neither given up nor hammered"


def test_one_customers_failure_slows_no_other(world):
    """One poisoned customer in twenty: the others are served as if alone."""
    poisoned = world.register(b"poisoned")
    label = world.read(signups.get, poisoned).grid_label
    world.cloud.foreign_buckets.add(f"s4test-{label}")
    session_id = world.checkout(poisoned)
    world.pay(session_id)
    world.news(session_id)
    others = [world.paid(b"%d" % n) for n in range(19)]
    world.advance(10)
    for signup_id in others:
        check_served(world, signup_id)
    assert world.kinds(poisoned)[-1] == "troubled"


def test_calls_outside_are_bounded(world):
    """However many signups there are, only so many calls go out at once."""
    world.kill()
    world.limits = Limits(together=4)
    world.start()
    world.weather = lambda call: Fault.LATE
    signup_ids = [world.paid(b"%d" % n) for n in range(12)]
    waiting = len(world.clock.getDelayedCalls())
    assert waiting == 2 * 4, "an arrival and a deadline for each call"
    world.weather = weather()
    world.advance(200)
    for signup_id in signup_ids:
        check_served(world, signup_id)


def test_unserved_signup_is_refunded_in_time(world):
    """After a day without service the money goes back and nothing is left."""
    world.weather = always("roles.make", Fault.REFUSED)
    signup_id = world.paid()
    world.advance(24 * 3600 + 120, step=30)
    check_refunded(world, signup_id)
    check_money(world, subscriptions=0)
    assert world.cloud.empty()
    assert not world.crew.busy()


def test_operator_gives_up_while_a_host_is_built(world):
    """Giving up terminates the host and removes record, role and bucket."""
    world.hosts_work = False
    signup_id = world.paid()
    world.advance(5)
    assert world.live_hosts() == 1
    world.give_up(signup_id, "op", "no capacity")
    world.advance(120)
    check_refunded(world, signup_id)
    assert world.cloud.empty()


def test_ready_comes_too_late(world):
    """A host's "ready" after the refund began is turned away."""
    world.hosts_work = False
    signup_id = world.paid()
    row = world.read(hosts.live, signup_id)
    world.write(moves.claimed, signup_id, row.generation)
    world.weather = always("hosts.unmake", Fault.THROTTLED)
    world.give_up(signup_id, "op", "no capacity")
    with pytest.raises(StateChanged):
        world.write(moves.self_test_passed, signup_id, row.generation)
    world.weather = weather()
    world.advance(120)
    check_refunded(world, signup_id)
    assert world.cloud.empty()


def test_served_signup_is_not_given_up(world):
    """ "Ready" and "refunding" exclude each other."""
    signup_id = world.paid()
    world.advance(10)
    with pytest.raises(StateChanged):
        world.give_up(signup_id, "op", "late")
    check_served(world, signup_id)


def test_launch_still_in_the_air_is_waited_for_before_closing(world):
    """A launch whose reply was lost is found and terminated, not forgotten."""
    world.cloud.visibility = 20
    world.advance(60)
    world.weather = always("hosts.make", Fault.REPLY_LOST)
    signup_id = world.paid()
    world.advance(60)
    assert world.live_hosts() == 1
    world.give_up(signup_id, "op", "late")
    world.advance(200)
    check_refunded(world, signup_id)
    assert world.cloud.empty()


def test_launch_sent_by_a_dead_daemon_is_waited_for_before_closing(world):
    """What a daemon sent just before it died may arrive late, and is not forgotten."""
    world.weather = always("hosts.make", Fault.THROTTLED)
    signup_id = world.paid()
    world.kill()
    world.advance(100)
    world.weather = always("hosts.make", Fault.LATE)
    world.start()
    world.kill()
    world.weather = always("hosts.find", Fault.THROTTLED)
    world.start()
    world.give_up(signup_id, "op", "late")
    world.weather = weather()
    world.advance(200)
    check_refunded(world, signup_id)
    assert world.cloud.launches == 1
    assert world.cloud.empty()


def test_bootstrap_dies_at_ready(world):
    """When the signup is served, nobody claims over its bootstrap furl any more."""
    signup_id = world.paid()
    world.advance(10)
    row = world.read(hosts.live, signup_id)
    assert world.clock.seconds() < row.bootstrap_until.timestamp()
    assert world.write(hosts.claim, signup_id, row.generation, b"k" * 32) == "dead"


def test_user_data_is_sealed_in_the_journal(world):
    """The one secret of a launch is not readable in the journal's file."""
    signup_id = world.paid()
    world.advance(10)
    launch = next(
        e for e in world.read(effects.of, signup_id) if e.key.purpose == "make-host"
    )
    assert launch.sealed
    instance = world.cloud.live()[0]
    secret = instance.request.user_data.reveal().split('"')[3].rpartition("/")[2]
    for name in ("journal.sqlite", "journal.sqlite-wal"):
        path = world.folder / name
        assert not path.exists() or secret.encode() not in path.read_bytes()


def test_paused_launches_wait_and_go_on(world):
    """With launches paused by an operator nothing is launched until they resume."""
    world.write(switches.pause, "launches", "op", "an incident")
    signup_id = world.paid()
    world.advance(120)
    assert world.cloud.launches == 0
    assert world.kinds(signup_id)[-1] == "delayed"
    world.write(switches.resume, "launches", "op")
    world.advance(120)
    check_served(world, signup_id)


def test_one_name_for_all_hosts(tmp_path):
    """Where all furls name one machine, ports are allotted; each grid's own name is led
    to its host all the same.
    """
    place = evolve(
        PLACE,
        host_name="localhost",
        listen="127.0.0.1",
        ports=PortSettings(first=41000, last=41009),
    )
    world = World(tmp_path / "state", place=place)
    world.start()
    signup_ids = [world.paid(b"%d" % n) for n in range(5)]
    world.advance(10)
    for signup_id in signup_ids:
        check_served(world, signup_id)
        assert "address-ready" in world.kinds(signup_id)
    held = {instance.address for instance in world.cloud.live()}
    assert set(world.cloud.records.values()) == held
    assert len(held) == len(signup_ids)
    sixth = world.paid(b"one too many")
    world.advance(10)
    assert world.kinds(sixth)[-1] == "troubled"
    world.kill()


def test_host_of_a_lost_journal_is_replaced(world):
    """A host that only the cloud knows is terminated, and the next one is made."""
    signup_id = world.register()
    session_id = world.checkout(signup_id)
    world.pay(session_id)
    backup = world.folder / "journal.sqlite"
    world.kill()
    kept = backup.read_bytes()
    world.start()
    world.news(session_id)
    world.advance(10)
    world.kill()
    for path in world.folder.glob("journal.sqlite*"):
        path.unlink()
    backup.write_bytes(kept)
    world.start()
    world.news(session_id)
    world.advance(200)
    check_served(world, signup_id)
    assert world.cloud.launches == 2
    assert len(world.cloud.vault) == 1, "the identity in the vault is taken over"


def test_stop_is_quick_and_leaves_everything_to_the_next_daemon(world):
    """Stopping ends all workers at once; the next daemon goes on."""
    world.weather = always("hosts.make", Fault.LATE)
    signup_id = world.paid()
    world.stop()
    world.weather = weather()
    world.start()
    world.advance(60)
    check_served(world, signup_id)
    assert world.cloud.launches == 1


def test_news_is_much_and_the_worker_is_one(world):
    """However often something is committed for it, a signup has one worker and host."""
    signup_id = world.register()
    session_id = world.checkout(signup_id)
    world.pay(session_id)
    for _ in range(10):
        world.news(session_id)
        world.retry(signup_id)
    assert world.crew.busy() == {signup_id}
    world.advance(10)
    check_served(world, signup_id)
    assert world.cloud.launches == 1


def test_events_name_no_secret(world):
    """No event has a furl, an address or a token in it."""
    world.weather = weather(("hosts.make", Fault.THROTTLED))
    signup_id = world.paid()
    world.advance(60)
    for event in world.read(events.since, signup_id, 0):
        assert "pb://" not in (event.why or "")
        assert "@" not in (event.why or "")


@pytest.mark.parametrize(
    ("call", "fault", "level"),
    [
        ("roles.make", Fault.REFUSED, "error"),
        ("vault.put", Fault.REFUSED, "error"),
        ("hosts.find", Fault.THROTTLED, "warn"),
    ],
)
def test_log_tells_a_failed_signup(world, logged, call, fault, level):
    """Each failure of a signup is one line of the log that names the signup."""
    world.weather = always(call, fault)
    signup_id = world.paid()
    world.advance(20)
    told = [e for e in logged if signup_id in (formatEvent(e) or "")]
    assert told
    assert all(e["signup_id"] == signup_id for e in told)
    assert {e["log_level"].name for e in told} == {level}


def test_log_tells_a_refund(world, logged):
    """A signup that is given up is a line of the log, too."""
    world.weather = always("roles.make", Fault.REFUSED)
    signup_id = world.paid()
    world.advance(25 * 3600, step=600)
    told = [formatEvent(e) for e in logged]
    assert f"{signup_id} is refunded: it could not be served in time" in told
