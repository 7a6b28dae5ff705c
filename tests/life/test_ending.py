"""A subscription ends: everything but the data goes, and then the data."""

from __future__ import annotations

from datetime import timedelta

import pytest
from attrs import evolve

from lae_flapp.effects.payments import SetEnd
from lae_flapp.grid import moves
from lae_flapp.journal import (
    capacity,
    effects,
    lifecycles,
    retention,
    signups,
    switches,
)
from lae_flapp.journal.errors import StateChanged
from lae_flapp.journal.outbox import OUTBOX
from lae_flapp.life import ending
from lae_protocol import wire
from tests.grid.world import PLAN, always, check_money, check_served, weather
from tests.life.conftest import check_kept
from tests.twins.cloud import moment
from tests.twins.weather import Fault, fair

HELD = {"buckets": 1}


def test_a_cancellation_ends_with_the_paid_period(world) -> None:
    """The customer is served until the end of what is paid, and told of it at once;
    then host, role and record go, and the data stays.
    """
    signup_id = world.served()
    assert world.cancel(signup_id) == "leaving"
    world.advance(5)
    check_served(world, signup_id)
    assert world.kinds(signup_id)[-1] == "leaving"
    assert world.mails(signup_id).count("leaving") == 1
    known = world.account.known[world.subscription(signup_id)]
    assert known.ends_at == known.paid_until == world.life(signup_id).ends_at

    world.stripe(signup_id, status="canceled")
    world.advance(10)
    check_kept(world, signup_id)
    assert world.kinds(signup_id)[-2:] == ["ending", "ended"]
    assert world.read(capacity.held, signup_id) == HELD
    assert not [e for e in world.read(effects.of, signup_id) if e.state == "begun"]
    assert not world.crew.busy()


def test_cancelling_twice_is_cancelling_once(world) -> None:
    """A second tab's cancellation says the same and sends no second mail."""
    signup_id = world.served()
    for _ in range(3):
        assert world.cancel(signup_id) == "leaving"
        world.advance(3)
    assert world.mails(signup_id).count("leaving") == 1


def test_a_cancellation_at_once(world) -> None:
    """An operator ends it now: Stripe charges nothing more, and all but the data goes."""
    signup_id = world.served()
    assert world.cancel(signup_id, at_once=True) == "ending"
    world.advance(10)
    check_kept(world, signup_id)
    assert world.cancel(signup_id) == "over"


def test_cancelled_in_stripes_dashboard(world) -> None:
    """What is cancelled at once there ends here as well."""
    signup_id = world.served()
    assert world.stripe(signup_id, status="canceled") == "learnt"
    world.advance(10)
    check_kept(world, signup_id)
    assert world.mails(signup_id).count("ended") == 1


def test_cancelled_and_taken_back_in_stripes_portal(world) -> None:
    """What the customer decides at Stripe is known here, with a mail for each."""
    signup_id = world.served()
    until = world.account.known[world.subscription(signup_id)].paid_until
    world.stripe(signup_id, ends_at=until)
    assert world.life(signup_id).wish == "leave"
    assert world.kinds(signup_id)[-1] == "leaving"
    world.stripe(signup_id, ends_at=None)
    assert world.life(signup_id).wish == "stay"
    assert world.kinds(signup_id)[-1] == "staying"
    check_served(world, signup_id)


def test_a_lost_subscription_is_never_made_again(world) -> None:
    """Nothing here makes a subscription: one that Stripe does not know is told to an
    operator, and the customer goes on being served.
    """
    signup_id = world.served()
    name = world.subscription(signup_id)
    del world.account.known[name]
    assert world.webhook(name) == "missing"
    assert world.mails(signup_id)[-1] == "troubled"
    assert world.state(signup_id) == "active"


def test_a_wish_of_ours_is_not_overwritten_by_old_news(world) -> None:
    """A webhook that shows what was before our call reaches Stripe changes no wish."""
    signup_id = world.served()
    world.weather = always("payments.set_end", Fault.THROTTLED)
    world.cancel(signup_id)
    world.advance(3)
    assert world.webhook(world.subscription(signup_id)) == "learnt"
    assert world.life(signup_id).wish == "leave"
    world.weather = weather()
    world.advance(120)
    assert world.life(signup_id).told == "leave"
    assert world.account.known[world.subscription(signup_id)].ends_at is not None


@pytest.mark.parametrize("fault", [Fault.REPLY_LOST, Fault.DOUBLED, Fault.LATE])
def test_stripes_answer_is_lost(world, fault) -> None:
    """However the answer comes, it ends once, with one mail."""
    signup_id = world.served()
    world.weather = weather(("payments.set_end", fault))
    world.cancel(signup_id)
    world.advance(150)
    assert world.life(signup_id).told == "leave"
    assert world.mails(signup_id).count("leaving") == 1


def test_cancelled_and_taken_back_while_stripe_is_away(world) -> None:
    """Whatever was sent meanwhile, the last wish is what Stripe knows in the end."""
    signup_id = world.served()
    world.weather = weather(
        ("payments.set_end", Fault.REPLY_LOST), ("payments.set_end", Fault.THROTTLED)
    )
    world.cancel(signup_id)
    world.advance(1)
    world.stay(signup_id)
    world.advance(200)
    assert world.life(signup_id).told == "stay"
    assert world.account.known[world.subscription(signup_id)].ends_at is None
    check_served(world, signup_id)


def test_cancelled_while_it_is_built(world) -> None:
    """Who cancels before anything is served gets the money back, and nothing is left."""
    world.hosts_work = False
    signup_id = world.paid()
    world.advance(3)
    assert world.cancel(signup_id) == "refunding"
    world.hosts_work = True
    world.advance(90)
    assert world.state(signup_id) == "refunded"
    assert world.cloud.empty()
    check_money(world, subscriptions=0)


def test_cancelled_while_the_host_is_replaced(world) -> None:
    """The next host is not made, or goes again; one ended signup is left."""
    signup_id = world.served()
    world.write(moves.lose_host, signup_id, world.generation(signup_id))
    world.advance(1)
    world.cancel(signup_id, at_once=True)
    world.advance(90)
    check_kept(world, signup_id)


def test_a_late_ready(world) -> None:
    """A host that says ready after the end is turned away."""
    signup_id = world.served()
    generation = world.generation(signup_id)
    world.weather = always("payments.set_end", Fault.THROTTLED)
    world.cancel(signup_id, at_once=True)
    with pytest.raises(StateChanged):
        world.write(moves.self_test_passed, signup_id, generation)
    assert world.state(signup_id) == "ending"


def test_over_at_stripe_before_it_is_served(world) -> None:
    """A subscription that ends while the host is built is refunded, not served."""
    world.hosts_work = False
    signup_id = world.paid()
    world.advance(2)
    world.stripe(signup_id, status="canceled")
    world.advance(90)
    assert world.state(signup_id) == "refunded"
    check_money(world, subscriptions=0)


def test_deleted_overtakes_created(world) -> None:
    """The news of the end comes before that of the payment: refunded in the end."""
    signup_id = world.register()
    session_id = world.checkout(signup_id)
    name = world.pay(session_id).subscription
    world.account.become(name, status="canceled")
    assert world.webhook(name) == "unpaid"
    world.news(session_id)
    assert world.webhook(name) == "learnt"
    world.advance(90)
    assert world.state(signup_id) == "refunded"
    check_money(world, subscriptions=0)


def test_news_of_an_earlier_subscription(world) -> None:
    """Three days late, the end of the subscription before this one changes nothing."""
    signup_id = world.served()
    old = world.subscription(signup_id)
    world.cancel(signup_id, at_once=True)
    world.advance(10)
    assert world.come_back(signup_id) == "kept"
    world.advance(10)
    assert world.state(signup_id) == "active"
    world.days(3)
    assert world.webhook(old) == "history"
    assert world.state(signup_id) == "active"


def test_another_deployments_subscription(world) -> None:
    """What is not of this deployment is left alone."""
    signup_id = world.served()
    assert world.stripe(signup_id, deployment="other", status="canceled") == "foreign"
    assert world.state(signup_id) == "active"


# The data.


def test_the_data_goes_when_its_time_is_over(world) -> None:
    """A reminder, then the bucket is deleted, a receipt is kept and mailed, and the
    sealed keys are forgotten; nothing of the signup is held any more.
    """
    signup_id = world.served()
    label = world.read(signups.get, signup_id).grid_label
    world.cancel(signup_id, at_once=True)
    world.advance(10)
    world.days(22)
    assert "reminder" not in world.mails(signup_id)
    world.days(2)
    assert world.mails(signup_id).count("reminder") == 1
    assert len(world.cloud.buckets) == 1
    world.days(7)
    assert world.state(signup_id) == "deleted"
    assert world.cloud.empty()
    receipt, life = world.receipt(signup_id), world.life(signup_id)
    assert receipt.bucket == f"s4test-{label}"
    assert receipt.kept_until == life.kept_until <= receipt.deleted_at
    assert receipt.why == "the time of the data is over"
    assert world.mails(signup_id)[-1] == "deleted"
    assert world.mails(signup_id).count("reminder") == 1
    assert world.sealed(signup_id) is None
    assert world.read(capacity.held, signup_id) == {}
    assert not world.crew.busy()


def test_personal_data_goes_thirty_days_later(world) -> None:
    """The address goes with the signup's rows; the receipt stays and names nobody."""
    signup_id = world.served()
    world.cancel(signup_id, at_once=True)
    world.advance(10)
    world.days(31)
    assert world.write(retention.purge) == ()
    for mail in world.occasions(signup_id, "deleted") + world.occasions(
        signup_id, "ended"
    ):
        assert mail.state == "waiting", "no mail server runs in this world"
    world.clock.advance(31 * 86_400)
    assert world.write(retention.purge) == (), "a mail still waits"
    world.write(_all_sent)
    assert world.write(retention.purge) == (signup_id,)
    assert world.read(signups.find, signup_id) is None
    assert world.receipt(signup_id) is not None


def _all_sent(tx) -> None:
    tx.run(OUTBOX.update().values(state="accepted"))


def test_what_was_agreed_counts_not_the_configuration(world) -> None:
    """The period is the row's: a plan that says otherwise today changes nothing."""
    signup_id = world.served()
    assert world.read(signups.get, signup_id).agreement.plan.data_kept == PLAN.data_kept
    world.cancel(signup_id, at_once=True)
    world.advance(10)
    kept = world.life(signup_id).kept_until - world.life(signup_id).ended_at
    assert kept == timedelta(days=30)


def test_deletions_paused(world) -> None:
    """While deletions are paused nothing is removed; then it goes on by itself."""
    signup_id = world.served()
    world.write(switches.pause, "deletions", "op", "an audit")
    world.cancel(signup_id, at_once=True)
    world.advance(30)
    assert world.state(signup_id) == "ending"
    assert world.live_hosts(signup_id) == 1
    world.write(switches.resume, "deletions", "op")
    world.advance(120)
    check_kept(world, signup_id)


# Coming back.


def test_coming_back_gives_the_same_grid(world) -> None:
    """A new subscription within the period: the same keys, the same bucket, the next
    host; one subscription lives, and the mail with the furl comes again.
    """
    signup_id = world.served()
    sealed, (bucket,) = world.sealed(signup_id), world.cloud.buckets
    world.cloud.objects[bucket]["share"] = b"kept"
    world.cancel(signup_id, at_once=True)
    world.advance(10)
    world.days(29)
    assert world.come_back(signup_id) == "kept"
    world.advance(20)
    assert world.state(signup_id) == "active"
    assert world.sealed(signup_id) == sealed
    assert world.cloud.objects[bucket] == {"share": b"kept"}
    assert world.generation(signup_id) == 2
    assert world.live_hosts(signup_id) == 1
    assert len(world.account.subscriptions) == 1
    assert world.mails(signup_id).count("active") == 2
    assert world.read(capacity.held, signup_id)["instances"] == 1
    world.days(40)
    assert world.state(signup_id) == "active", "no old time runs any more"


def test_coming_back_twice(world) -> None:
    """Two tabs that both pay: one subscription lives, the other payment goes back."""
    signup_id = world.served()
    world.cancel(signup_id, at_once=True)
    world.advance(10)
    assert world.come_back(signup_id) == "kept"
    assert world.come_back(signup_id) == "surplus"
    world.advance(30)
    assert world.state(signup_id) == "active"
    assert len(world.account.subscriptions) == 1
    assert world.subscription(signup_id) in world.account.subscriptions


def test_coming_back_in_vain(world) -> None:
    """Who comes back and cannot be served has the money back, and keeps the data for
    the whole period anew.
    """
    signup_id = world.served()
    world.cancel(signup_id, at_once=True)
    world.advance(10)
    sealed, before = world.sealed(signup_id), world.life(signup_id).kept_until
    world.hosts_work = False
    assert world.come_back(signup_id) == "kept"
    world.advance(5)
    world.give_up(signup_id)
    world.advance(90)
    assert world.state(signup_id) == "ended"
    assert world.life(signup_id).kept_until > before
    assert world.sealed(signup_id) == sealed
    assert len(world.cloud.buckets) == 1
    assert world.live_hosts(signup_id) == 0
    assert not world.account.subscriptions
    assert world.mails(signup_id).count("refunded") == 1


def test_the_last_second(world) -> None:
    """Deletion and coming back exclude each other: who is on the payment page keeps
    the data until that page is over; who pays after the deletion began is refunded.
    """
    signup_id = world.served()
    world.cancel(signup_id, at_once=True)
    world.advance(10)
    kept = world.life(signup_id).kept_until
    world.clock.advance(world.seconds_to(kept) - 5)
    session_id = world.checkout(signup_id, 9)
    world.clock.advance(20)
    world.turn()
    assert world.state(signup_id) == "ended"
    world.pay(session_id)
    assert world.news(session_id) == "kept"
    world.advance(20)
    assert world.state(signup_id) == "active"


def test_paid_after_the_deletion_began(world) -> None:
    """One way: the payment goes back, and the data goes."""
    signup_id = world.served()
    world.cancel(signup_id, at_once=True)
    world.advance(10)
    world.write(switches.pause, "deletions", "op", "so that it takes a while")
    signup = world.read(signups.get, signup_id)
    world.write(ending.delete, signup, "owner", "asked for")
    assert world.come_back(signup_id) == "surplus"
    world.write(switches.resume, "deletions", "op")
    world.retry(signup_id)
    world.advance(90)
    assert world.state(signup_id) == "deleted"
    assert world.receipt(signup_id).why == "asked for"
    assert not world.account.subscriptions
    assert world.account.kept() == {"sub_1": 500}
    assert world.mails(signup_id).count("paid-twice") == 1


def test_what_ended_here_is_not_revived_at_stripe(world) -> None:
    """Whatever Stripe shows of a subscription that was ended, it stays ended."""
    signup_id = world.served()
    world.cancel(signup_id, at_once=True)
    world.advance(10)
    check_kept(world, signup_id)
    assert world.stripe(signup_id, status="active") == "learnt"
    world.advance(10)
    assert world.state(signup_id) == "ended"
    assert (world.life(signup_id).wish, world.life(signup_id).told) == ("end", "end")
    assert "staying" not in world.kinds(signup_id)


def test_a_lost_reply_at_the_end_leaves_nothing_open(world) -> None:
    """What is gone when it is looked at again was removed, whatever was answered."""
    signup_id = world.served()
    calls = ("addresses.unmake", "hosts.unmake", "roles.unmake")
    world.weather = weather(*((call, Fault.REPLY_LOST) for call in calls))
    world.cancel(signup_id, at_once=True)
    world.advance(150)
    check_kept(world, signup_id)
    assert not [e for e in world.read(effects.of, signup_id) if e.state == "begun"]


def resubscribe(world, signup_id, name):
    """Another subscription is the present one from here on."""
    world.account.become(world.subscription(signup_id), status="canceled")
    known = world.account.known[world.subscription(signup_id)]
    world.account.known[name] = evolve(known, subscription=name, status="active")
    world.account.subscriptions.add(name)
    world.write(lifecycles.begin, signup_id, name)


def test_what_was_not_told_of_an_earlier_subscription_is_told_of_the_present(
    world,
) -> None:
    """A request that names another subscription is never sent for this one."""
    signup_id = world.served()
    world.weather = always("payments.set_end", Fault.THROTTLED)
    world.cancel(signup_id)
    world.advance(5)
    resubscribe(world, signup_id, "sub_new")
    world.weather = fair
    world.cancel(signup_id)
    world.advance(90)
    told = [e for e in world.read(effects.of, signup_id) if e.key.step == "billing"]
    assert [e.state for e in told] == ["failed", "done"]
    assert told[0].outcome == "of an earlier subscription"
    named = [wire.decode(SetEnd, e.request).subscription for e in told]
    assert named == ["sub_1", "sub_new"]
    assert world.life(signup_id).told == "leave"


def test_an_answer_about_an_earlier_subscription_says_nothing_of_this_one(
    world,
) -> None:
    """Who paid anew and cancelled again while Stripe was told is told of once more."""
    signup_id = world.served()

    def met(call):
        if call == "payments.set_end" and world.life(signup_id).subscription == "sub_1":
            resubscribe(world, signup_id, "sub_new")
            world.write(lifecycles.change, signup_id, wish="leave")
        return Fault.NONE

    world.weather = met
    world.cancel(signup_id)
    world.advance(30)
    life = world.life(signup_id)
    assert (life.subscription, life.wish, life.told) == ("sub_new", "leave", "leave")
    assert world.account.known["sub_new"].ends_at is not None
    assert not [e for e in world.read(effects.of, signup_id) if e.state == "begun"]


def test_only_who_paid_as_it_ended_is_an_operators_matter(world) -> None:
    """A cancellation that is taken back after a payment failed, and was paid, is not."""
    signup_id = world.served()
    world.cancel(signup_id)
    world.advance(5)
    world.stripe(signup_id, status="past_due")
    paid_at = moment(world.clock.seconds())
    world.account.become(world.subscription(signup_id), paid_at=paid_at)
    world.stay(signup_id)
    world.advance(10)
    assert world.life(signup_id).told == "stay"
    assert "troubled" not in world.mails(signup_id)
