"""A payment fails: mails and grace, then read-only, then shut down, then over."""

from __future__ import annotations

import pytest
from attrs import evolve
from twisted.internet.defer import Deferred

from lae_flapp.grid import moves
from lae_flapp.journal import events, hosts
from tests.grid.test_lost_hosts import look
from tests.grid.world import always, check_served, now, weather
from tests.life.conftest import check_kept
from tests.twins.cloud import moment
from tests.twins.weather import Fault, fair


def overdue(world):
    signup_id = world.served()
    assert world.stripe(signup_id, status="past_due") == "learnt"
    assert world.state(signup_id) == "past-due"
    return signup_id


def test_in_the_grace_all_goes_on(world) -> None:
    """The host serves, and one mail says so, however often Stripe tells it."""
    signup_id = overdue(world)
    for _ in range(3):
        world.webhook(world.subscription(signup_id))
    world.days(13)
    assert world.state(signup_id) == "past-due"
    assert world.live_hosts(signup_id) == 1
    assert world.mails(signup_id).count("past-due") == 1


def test_paid_within_the_grace(world) -> None:
    """It is active again, with the same host."""
    signup_id = overdue(world)
    world.days(5)
    world.stripe(signup_id, status="active")
    world.advance(5)
    check_served(world, signup_id)
    assert world.cloud.launches == 1
    assert world.mails(signup_id)[-1] == "recovered"


def test_never_paid(world) -> None:
    """Read-only after the grace, shut down after that, over in the end: with a mail for
    each, nothing deleted before the data's own time.
    """
    signup_id = overdue(world)
    world.days(14)
    assert world.state(signup_id) == "suspended"
    assert world.instances() == ["running"]
    world.days(7)
    assert world.state(signup_id) == "stopped"
    assert world.instances() == []
    assert world.read(hosts.live, signup_id) is None
    assert not world.cloud.records
    assert not world.crew.busy()
    world.days(14)
    check_kept(world, signup_id)
    told = [m for m in world.mails(signup_id) if m not in {"active", "troubled"}]
    assert told == ["past-due", "suspended", "stopped", "ended"]
    assert not world.crew.busy()


def stopped(world):
    signup_id = overdue(world)
    world.days(21)
    assert world.state(signup_id) == "stopped"
    assert world.instances() == []
    return signup_id


def test_paid_again_after_it_was_shut_down(world) -> None:
    """The next host is built, proves itself, and serves under the same keys and name."""
    signup_id = stopped(world)
    sealed = world.sealed(signup_id)
    world.stripe(signup_id, status="active")
    world.advance(20)
    check_served(world, signup_id)
    assert world.instances() == ["running"]
    assert world.generation(signup_id) == 2
    assert world.sealed(signup_id) == sealed
    assert len(world.cloud.records) == 1


def test_a_host_that_vanished_before_it_was_to_end(world) -> None:
    """Nothing is left to end, and the next generation is built when it is paid."""
    signup_id = overdue(world)
    world.days(20)
    for instance in world.cloud.live():
        instance.terminated = True
    world.days(1)
    world.advance(90)
    assert world.read(hosts.live, signup_id) is None
    world.stripe(signup_id, status="active")
    world.advance(120)
    check_served(world, signup_id)
    assert world.generation(signup_id) == 2


def test_paid_again_while_its_host_is_ended(world) -> None:
    """A host whose end has begun does not come back: the next one is built."""
    signup_id = overdue(world)
    world.days(20)
    world.weather = always("hosts.unmake", Fault.THROTTLED)
    world.days(1)
    assert world.state(signup_id) == "stopped"
    world.stripe(signup_id, status="active")
    world.weather = fair
    world.advance(150)
    check_served(world, signup_id)
    assert world.generation(signup_id) == 2


def test_a_daemon_that_dies_before_a_host_is_ended(world) -> None:
    """The next daemon ends the host of whoever is stopped."""
    signup_id = overdue(world)
    world.days(20)
    world.weather = always("hosts.unmake", Fault.THROTTLED)
    world.days(1)
    world.kill()
    assert world.live_hosts(signup_id) == 1
    world.weather = fair
    world.start()
    world.advance(90)
    assert world.state(signup_id) == "stopped"
    assert world.live_hosts(signup_id) == 0


@pytest.mark.parametrize("call", ["unmake", "make"])
@pytest.mark.parametrize("fault", [Fault.REPLY_LOST, Fault.THROTTLED, Fault.DOUBLED])
def test_the_clouds_answer_is_lost(world, call, fault) -> None:
    """However it comes, one host is ended, and one is made when it is paid."""
    signup_id = overdue(world)
    world.weather = weather((f"hosts.{call}", fault))
    world.days(21)
    world.advance(90)
    assert world.instances() == []
    world.stripe(signup_id, status="active")
    world.advance(120)
    check_served(world, signup_id)
    assert world.cloud.launches == 2


def of_a_lost_journal(world, generation=5):
    """An instance that only the cloud knows: an older backup was restored."""
    made = max(world.cloud.instances.values(), key=lambda i: i.launched_at)
    key = evolve(made.request.key, generation=generation)
    instance = evolve(
        made,
        instance_id="i-00000000000000999",
        request=evolve(made.request, key=key),
        terminated=False,
    )
    world.cloud.instances[instance.instance_id] = instance
    return instance


def test_a_host_of_a_lost_journal_is_ended_while_nobody_pays(world) -> None:
    """One that runs for somebody who was stopped is taken in, and ended."""
    signup_id = stopped(world)
    stray = of_a_lost_journal(world)
    look(world)
    world.advance(90)
    assert stray.terminated
    assert world.state(signup_id) == "stopped"
    assert world.read(hosts.live, signup_id) is None
    world.stripe(signup_id, status="active")
    world.advance(60)
    check_served(world, signup_id)
    assert world.generation(signup_id) == 6


@pytest.mark.parametrize("days", [0, 14])
def test_a_host_of_a_lost_journal_is_replaced_while_it_is_served(world, days) -> None:
    """One of somebody who pays late is taken in, and makes room for the next."""
    signup_id = overdue(world)
    world.days(days)
    state = world.state(signup_id)
    stray = of_a_lost_journal(world)
    look(world)
    world.advance(90)
    assert stray.terminated
    assert world.state(signup_id) == state
    assert world.generation(signup_id) == 6


def test_cancelled_while_it_is_not_paid(world) -> None:
    """It ends at once: nothing is paid that could still be used."""
    signup_id = overdue(world)
    assert world.cancel(signup_id) == "ending"
    world.advance(10)
    check_kept(world, signup_id)


def test_paid_in_the_moment_in_which_it_ends(world) -> None:
    """Who was charged for nothing is told to an operator."""
    signup_id = overdue(world)
    world.account.become(
        world.subscription(signup_id), paid_at=moment(world.clock.seconds())
    )
    world.cancel(signup_id)
    world.advance(10)
    check_kept(world, signup_id)
    assert world.mails(signup_id).count("troubled") == 1


def test_stripe_gives_up_first(world) -> None:
    """What Stripe's own retries end is over here as well, from each state."""
    signup_id = stopped(world)
    world.stripe(signup_id, status="canceled")
    world.advance(10)
    check_kept(world, signup_id)


def test_paid_in_the_last_moment_without_a_webhook(world) -> None:
    """Before the next step Stripe is asked: who has paid is not suspended."""
    signup_id = overdue(world)
    world.account.become(world.subscription(signup_id), status="active")
    world.days(15)
    check_served(world, signup_id)


def test_a_daemon_that_was_away_hurries_nobody(world) -> None:
    """Two months away, it still gives each step its time."""
    signup_id = overdue(world)
    world.kill()
    world.clock.advance(60 * 86_400)
    world.start()
    world.turn()
    world.turn()
    assert world.state(signup_id) == "suspended"


def test_a_host_not_whole_at_the_stop_goes_instead(world) -> None:
    """Stopped while it is being replaced: no host is left, and paid again one is made."""
    signup_id = overdue(world)
    world.days(20)
    world.clock.advance(86_000)
    world.hosts_work = False
    for instance in world.cloud.live():
        instance.terminated = True
    world.write(moves.lose_host, signup_id, world.generation(signup_id))
    world.advance(5)
    world.clock.advance(500)
    world.turn()
    world.advance(90)
    assert world.state(signup_id) == "stopped"
    assert world.live_hosts(signup_id) == 0
    world.hosts_work = True
    world.stripe(signup_id, status="active")
    world.advance(90)
    check_served(world, signup_id)


def test_money_taken_back_at_stripe_is_told(world) -> None:
    """A dispute, and a refund in the dashboard, reach an operator once each."""
    signup_id = world.served()
    charged = world.account.charged["sub_1"]
    for happens in (
        lambda: world.account.disputed.add("ch_1"),
        lambda: world.account.refunded.update(sub_1=charged),
    ):
        happens()
        for outcome in ("learnt", "history"):
            telling = world.subscriptions.report_chargeback("ch_1")
            assert now(Deferred.fromCoroutine(telling)) == outcome
    assert world.mails(signup_id).count("troubled") == 2
    assert world.state(signup_id) == "active"


def test_the_right_to_write_is_taken_in_iam(world) -> None:
    """A suspended customer's role may only read, whatever the host does or is asked;
    paid again it may write, and no daemon that dies or restarts changes more than that.
    """
    signup_id = overdue(world)
    world.days(13)
    assert world.may_write()
    world.days(1)
    world.advance(5)
    assert world.state(signup_id) == "suspended"
    assert not world.may_write()
    assert world.kinds(signup_id).count("role-ready") == 1
    world.kill()
    world.start()
    world.advance(5)
    assert not world.may_write()
    assert not world.crew.busy()
    world.stripe(signup_id, status="active")
    world.advance(5)
    assert world.state(signup_id) == "active"
    assert world.may_write()
    told = [e.kind for e in world.read(events.since, signup_id, 0)]
    assert told.count("role-changed") == 2
    assert world.cloud.launches == 1


@pytest.mark.parametrize("state", ["suspended", "active"])
def test_a_daemon_that_dies_before_a_right_is_changed(world, state) -> None:
    """What IAM did not take before the daemon died the next one asks of it."""
    signup_id = overdue(world)
    if state == "active":
        world.days(14)
        world.advance(5)
    world.weather = always("roles.make", Fault.THROTTLED)
    if state == "suspended":
        world.days(14)
    else:
        world.stripe(signup_id, status="active")
    world.advance(5)
    assert world.state(signup_id) == state
    assert world.may_write() == (state == "suspended")
    world.kill()
    world.weather = fair
    world.start()
    world.advance(60)
    assert world.may_write() == (state == "active")


def test_whoever_cancels_writes_nothing_while_the_host_ends(world) -> None:
    """From the end on the role may only read, before the host is gone; whoever comes
    back may write again.
    """
    signup_id = world.served()
    world.weather = always("hosts.unmake", Fault.THROTTLED)
    world.cancel(signup_id, at_once=True)
    world.advance(10)
    assert world.state(signup_id) == "ending"
    assert world.instances() == ["running"]
    assert not world.may_write()
    world.weather = fair
    world.advance(120)
    assert world.state(signup_id) == "ended"
    assert not world.cloud.roles


def test_stopped_and_paid_again(world) -> None:
    """A role that a stopped customer keeps may only read, until it is paid again."""
    signup_id = stopped(world)
    assert not world.may_write()
    world.stripe(signup_id, status="active")
    world.advance(20)
    check_served(world, signup_id)
    assert world.may_write()
