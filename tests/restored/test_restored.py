"""A journal that is older than Stripe and the cloud: nothing doubled, nothing lost."""

from __future__ import annotations

from functools import partial

import pytest
from attrs import evolve

from lae_flapp.cell_settings import PortSettings
from lae_flapp.grid.workshop import LookedBack
from lae_flapp.journal import (
    contacts,
    events,
    hosts,
    identities,
    outbox,
    ports,
    signups,
)
from lae_flapp.journal.hosts import RESTORED, RESTORED_STEP
from lae_flapp.life import ending
from lae_flapp.restored.adoption import (
    PAID_BACK,
    PAYING_BACK,
    CannotAdopt,
    agreed_plan,
)
from lae_flapp.restored.reading_back import LONGEST, MARGIN, last_lived
from lae_protocol.secret import Secret
from lae_provision.errors import TryLater
from tests.grid.world import (
    PLACE,
    PLAN,
    always,
    check_money,
    check_refunded,
    check_served,
)
from tests.twins.weather import Fault, fair


def served(world, nonce):
    signup_id = world.paid(nonce)
    world.advance(90)
    check_served(world, signup_id)
    return signup_id


def session_of(world, signup_id):
    [found] = [s for s in world.account.sessions.values() if s.signup_id == signup_id]
    return found.session_id


def kinds(world, signup_id):
    return [e.kind for e in world.read(events.since, signup_id, 0)]


def test_a_customer_of_after_the_backup(world):
    """Their row is made again from Stripe, the vault and the cloud: the same grid on one
    host, and nothing is charged again.
    """
    first = served(world, b"first")
    copy = world.back_up()
    second = served(world, b"second")
    identity = world.read(identities.latest, second)
    label = world.read(signups.get, second).grid_label
    session_id = session_of(world, second)
    world.restore(copy)
    assert world.read(signups.find, second) is None
    assert world.adopt(session_id) == "row"
    world.advance(120)
    check_served(world, first)
    check_served(world, second)
    check_money(world, 2)
    row = world.read(signups.get, second)
    assert (row.grid_label, row.agreement.plan, row.agreement.language) == (
        label,
        PLAN,
        "de",
    )
    assert world.read(identities.latest, second).sealed == identity.sealed
    assert world.read(contacts.current, second).typed == "alice@example.org"
    assert world.read(hosts.live, second).generation == 2
    assert world.mails(second) == ["troubled", "active"]
    assert "adopted" in kinds(world, second)


def test_a_customer_of_whom_nothing_was_built(world):
    """A payment of just before the loss is served like any other."""
    copy = world.back_up()
    signup_id = world.register()
    session_id = world.checkout(signup_id)
    world.pay(session_id)
    world.restore(copy)
    assert world.adopt(session_id) == "row"
    world.advance(90)
    check_served(world, signup_id)
    check_money(world, 1)


def test_adopted_once(world):
    """A daemon that dies within the adoption finishes it, and adopts nobody twice."""
    copy = world.back_up()
    signup_id = served(world, b"second")
    session_id = session_of(world, signup_id)
    world.restore(copy)
    assert world.adopt(session_id) == "row"
    world.kill()
    world.start()
    assert world.news(session_id) == "kept"
    world.advance(120)
    check_served(world, signup_id)
    assert kinds(world, signup_id).count("adopted") == 1


def test_hosts_of_after_the_backup(world):
    """A host that was replaced after the backup is found, and replaced by a newer one:
    there are never two.
    """
    signup_id = served(world, b"first")
    copy = world.back_up()
    [instance] = world.cloud.live()
    instance.terminated = True
    world.look()
    world.advance(90)
    assert world.read(hosts.live, signup_id).generation == 2
    world.restore(copy)
    assert world.read(hosts.live, signup_id).generation == 1
    world.look()
    for _ in range(90):
        world.advance(1)
        assert world.live_hosts(signup_id) <= 1
    check_served(world, signup_id)
    assert world.read(hosts.live, signup_id).generation == 3
    assert "host-adopted" in kinds(world, signup_id)


def test_nothing_is_launched_before_the_cloud_was_seen(world):
    """Until the cloud was looked at a restored journal launches nothing."""
    looked_back = LookedBack(done=False)
    world.crew.shop = evolve(world.crew.shop, looked_back=looked_back)
    signup_id = world.paid()
    world.advance(60)
    assert world.cloud.launches == 0
    looked_back.done = True
    world.advance(120)
    check_served(world, signup_id)


def test_a_restored_journal_goes_on_above_all_that_was(world):
    """The number of a life is in the vault, so a restored journal finds that it is one:
    its epoch and the generations of its hosts begin above all that ever were.
    """
    signup_id = served(world, b"first")
    assert world.claim().claimed
    copy = world.back_up()
    for _ in range(5):
        world.claim()
        world.kill()
        world.start()
    world.claim()
    newest = world.journal.epoch
    assert world.read(events.newest_of, RESTORED) is None
    world.restore(copy)
    assert world.journal.epoch < newest
    assert world.claim().claimed
    assert world.journal.epoch == newest + 1
    [instance] = world.cloud.live()
    instance.terminated = True
    world.look()
    world.advance(90)
    check_served(world, signup_id)
    assert (
        world.read(hosts.live, signup_id).generation == (newest + 1) * RESTORED_STEP + 1
    )
    world.kill()
    world.start()
    assert world.journal.epoch == newest + 2


def test_what_only_a_person_can_decide(world):
    """Where Stripe does not know enough it is told, once, and nothing is built."""
    copy = world.back_up()
    signup_id = served(world, b"second")
    session_id = session_of(world, signup_id)
    world.restore(copy)
    order = world.order
    for wrong in (
        None,
        evolve(order, lives=False),
        evolve(order, email=Secret("no address")),
        evolve(order, price=evolve(order.price, lookup_key="gold")),
        evolve(order, price=evolve(order.price, amount=499)),
    ):
        world.order = wrong
        assert world.adopt(session_id) == "undecided"
        assert world.adopt(session_id) == "undecided"
    told = [
        e.why for e in world.read(events.since, None, 0) if e.kind == "unknown-session"
    ]
    assert len(told) == len(set(told)) == 5
    assert all(str(signup_id) in why for why in told)
    world.advance(30)
    assert world.read(signups.find, signup_id) is None
    assert world.live_hosts(signup_id) == 1


def test_ports_stay(world):
    """Where hosts share a machine, the adopted grid keeps the ports in its furl; where
    another has them by now, a person decides.
    """
    world.kill()
    world.place = evolve(
        PLACE, host_name="localhost", ports=PortSettings(first=5000, last=5009)
    )
    world.start()
    copy = world.back_up()
    first = served(world, b"first")
    held = world.read(ports.of, first)
    second = served(world, b"second")
    later = world.read(ports.of, second)
    world.restore(copy)
    assert world.adopt(session_of(world, second)) == "row"
    assert world.read(ports.of, second) == later
    world.write(ports.free, second)
    third = served(world, b"third")
    assert world.read(ports.of, third) == held
    assert world.adopt(session_of(world, first)) == "undecided"


def test_what_was_agreed(world):
    """The price that Stripe takes must be the plan's: another was agreed otherwise."""
    assert agreed_plan(world.order, (PLAN,)) == PLAN
    with pytest.raises(CannotAdopt, match="no plan 'small' is sold"):
        agreed_plan(world.order, ())


def test_how_far_back(world):
    """Stripe is read from a little before the journal's last event, at most 30 days."""
    served(world, b"first")
    at = world.read(events.newest_at)
    world.clock.advance(7200)
    assert world.read(last_lived) == at - MARGIN
    world.clock.advance(40 * 86400)
    assert world.read(lambda tx: tx.now - last_lived(tx)) == LONGEST


@pytest.mark.parametrize(
    ("before", "after", "kinds"),
    [
        ((), ("leave",), ["leaving"]),
        (("leave",), ("stay",), ["staying"]),
        ((), ("end",), ["ended"]),
    ],
)
def test_a_cancellation_of_after_the_backup_is_the_same_mail(
    world, before, after, kinds
) -> None:
    """What the restored journal learns of a cancellation, or that it was taken back, is
    a mail of the same kind and occasion as it was, so that it is known as sent.
    """
    wishes = {
        "leave": partial(ending.cancel, at_once=False),
        "stay": ending.stay,
        "end": partial(ending.cancel, at_once=True),
    }
    signup_id = served(world, b"first")

    def ask(wish):
        world.write(wishes[wish], signup_id, "owner", "wished")
        world.advance(20)

    def mailed():
        mails = world.read(outbox.of, signup_id)
        return [(m.kind, m.occasion) for m in mails if m.kind in kinds]

    for wish in before:
        ask(wish)
    copy = world.back_up()
    for wish in after:
        ask(wish)
    sent = mailed()
    assert [kind for kind, _ in sent] == kinds
    world.advance(1000)
    world.restore(copy)
    assert mailed() == []
    world.hear_of(world.read(signups.get, signup_id).payment.subscription)
    assert mailed() == sent
    assert all(occasion.startswith(outbox.STRIPES) for _, occasion in sent)


def unbuilt(world):
    """Paid in the lost time; nothing was built for it."""
    copy = world.back_up()
    signup_id = world.register()
    session_id = world.checkout(signup_id)
    world.pay(session_id)
    world.restore(copy)
    return signup_id, session_id


@pytest.mark.parametrize("wrong", [{"lookup_key": "gold"}, {"amount": 499}])
def test_a_plan_that_is_not_sold_any_more(world, wrong):
    """A payment of the lost time for a plan that is not sold any more, or at another
    price, goes back by itself, once, and the customer is told; nothing is built.
    """
    world.order = evolve(world.order, price=evolve(world.order.price, **wrong))
    signup_id, session_id = unbuilt(world)
    assert world.adopt(session_id) == "row"
    world.advance(30)
    check_refunded(world, signup_id)
    check_money(world, 0)
    assert world.cloud.launches == 0
    assert world.news(session_id) == "kept"
    world.advance(30)
    assert world.mails(signup_id).count("refunded") == 1


@pytest.mark.parametrize("wrong", ["nothing", "address", "over"])
def test_a_payment_of_nobody(world, wrong):
    """A payment of the lost time whose customer cannot be written to, or whose
    subscription is over, goes back by itself, once; the events tell it.
    """
    order = world.order
    world.order = {
        "nothing": None,
        "address": evolve(order, email=Secret("no address")),
        "over": evolve(order, lives=False),
    }[wrong]
    signup_id, session_id = unbuilt(world)
    for _ in range(2):
        assert world.adopt(session_id) == "paid-back"
    check_money(world, 0)
    assert world.read(signups.find, signup_id) is None
    told = [e.kind for e in world.read(events.since, None, 0)]
    assert told.count(PAYING_BACK) == told.count(PAID_BACK) == 1


def test_paid_back_after_the_daemon_died(world):
    """A daemon that dies while it pays such a payment back does so when it is up."""
    world.order = None
    _, session_id = unbuilt(world)
    world.weather = always("payments.give_back", Fault.REPLY_LOST)
    with pytest.raises(TryLater):
        world.adopt(session_id)
    world.weather = fair
    world.kill()
    world.start()
    assert world.adopt(session_id) == "paid-back"
    check_money(world, 0)
