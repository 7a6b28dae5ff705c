"""One payment is kept; every other one goes back by itself."""

from __future__ import annotations

import pytest
from attrs import evolve
from sqlalchemy import select

from lae_flapp.effects.payments import GiveBack, GivenBack
from lae_flapp.journal import capacity, effects, events, lifecycles, sessions, signups
from lae_flapp.journal.errors import StateChanged
from lae_flapp.life import ending
from lae_flapp.money import payment
from lae_protocol import wire
from lae_protocol.ids import signup_id_of_form
from lae_protocol.process import crash
from tests.grid.world import always, check_money, check_refunded, check_served, now
from tests.grid.world import weather as foul
from tests.twins.cloud import moment
from tests.twins.weather import Fault, fair


def test_two_tabs_that_both_pay(world):
    """The first payment is kept, the second cancelled and refunded."""
    signup_id = world.register()
    first, second = world.checkout(signup_id), world.checkout(signup_id, attempt=2)
    world.pay(first)
    world.pay(second)
    assert world.news(second) == "kept"
    assert world.news(first) == "surplus"
    world.advance(10)
    check_served(world, signup_id)
    check_money(world, subscriptions=1)
    assert world.read(sessions.get, first).state == "refunded"


@pytest.mark.parametrize("fault", [Fault.THROTTLED, Fault.REPLY_LOST, Fault.LATE])
def test_second_payment_goes_back_once_whatever_the_reply(world, fault):
    """A lost or late reply of the refund leads to one refund."""
    signup_id = world.paid()
    world.advance(10)
    second = world.checkout(signup_id, attempt=2)
    world.pay(second)
    world.weather = foul(("payments.give_back", fault))
    assert world.news(second) == "surplus"
    world.advance(90)
    check_served(world, signup_id)
    check_money(world, subscriptions=1)
    told = world.read(events.since, signup_id, 0)
    assert [e.kind for e in told].count("money-back") == 1


def test_three_payments(world):
    """Two surplus payments both go back."""
    signup_id = world.register()
    every = [world.checkout(signup_id, attempt=n) for n in (1, 2, 3)]
    for session_id in every:
        world.pay(session_id)
    assert [world.news(s) for s in every] == ["kept", "surplus", "surplus"]
    world.advance(10)
    check_served(world, signup_id)
    check_money(world, subscriptions=1)


def test_news_repeats_and_changes_nothing(world):
    """Ten webhooks and returns of one payment are one payment."""
    signup_id = world.register()
    session_id = world.checkout(signup_id)
    world.pay(session_id)
    assert {world.news(session_id) for _ in range(10)} == {"kept"}
    world.advance(10)
    assert world.kinds(signup_id).count("paid") == 1
    check_served(world, signup_id)


def test_payment_after_the_refund_goes_back(world):
    """Who pays in another tab after being refunded gets that back, too."""
    signup_id = world.register()
    first, late = world.checkout(signup_id), world.checkout(signup_id, attempt=2)
    world.pay(first)
    world.hosts_work = False
    world.news(first)
    world.give_up(signup_id, "owner", "cancelled")
    world.advance(120)
    check_refunded(world, signup_id)
    world.pay(late)
    assert world.news(late) == "surplus"
    world.advance(10)
    check_money(world, subscriptions=0)
    assert world.state(signup_id) == "refunded"
    assert world.cloud.empty()


def test_payment_for_a_cancelled_signup_goes_back(world):
    """A session that was paid while its signup was cancelled is paid back."""
    signup_id = world.register()
    session_id = world.checkout(signup_id)
    world.write(
        signups.move,
        signup_id,
        {"registered"},
        "cancelled",
        kind="cancelled",
        who="owner",
    )
    world.pay(session_id)
    assert world.news(session_id) == "surplus"
    world.advance(10)
    check_money(world, subscriptions=0)
    assert world.cloud.empty()


def test_unpaid_session_builds_nothing(world):
    """A session that is open, or complete and unpaid, builds nothing."""
    signup_id = world.register()
    session_id = world.checkout(signup_id)
    assert world.news(session_id) == "unpaid"
    session = world.account.sessions[session_id]
    world.account.sessions[session_id] = evolve(session, status="complete")
    assert world.news(session_id) == "unpaid"
    world.advance(10)
    assert world.state(signup_id) == "registered"
    assert world.cloud.empty()


@pytest.mark.parametrize(
    "change",
    [{"deployment": "other"}, {"deployment": None}, {"livemode": True}],
    ids=str,
)
def test_session_of_another_deployment_is_left_alone(world, change):
    """What is not ours is neither served nor paid back."""
    signup_id = world.register()
    session_id = world.checkout(signup_id)
    paid = world.pay(session_id)
    world.account.sessions[session_id] = evolve(paid, **change)
    assert world.news(session_id) == "foreign"
    world.advance(10)
    check_money(world, subscriptions=1)
    assert world.cloud.empty()


def test_session_that_the_journal_never_heard_of_is_kept(world):
    """A daemon that died between Stripe's answer and the journal serves all the same."""
    signup_id = world.register()
    session_id = world.checkout(signup_id)
    paid = world.pay(session_id)
    other = evolve(paid, session_id="cs_unheard")
    world.account.sessions = {"cs_unheard": other}
    assert world.news("cs_unheard") == "kept"
    world.advance(10)
    check_served(world, signup_id)


def test_refused_refund_is_told_and_asked_again(world):
    """A refund that Stripe refuses is an operator's matter, and goes on with them."""
    world.weather = always("payments.give_back", Fault.REFUSED)
    signup_id = world.paid()
    world.advance(10)
    second = world.checkout(signup_id, attempt=2)
    world.pay(second)
    world.news(second)
    world.advance(30)
    assert "troubled" in world.kinds(signup_id)
    world.weather = foul()
    world.retry(signup_id)
    world.advance(10)
    check_money(world, subscriptions=1)
    asked = [e for e in world.read(effects.of, signup_id) if e.key.step == "payment"]
    assert [e.state for e in asked][-2:] == ["failed", "done"]
    for number, effect in enumerate(asked, start=1):
        request = wire.decode(GiveBack, effect.request)
        assert request == GiveBack(
            signup_id=signup_id,
            purpose="second-session",
            attempt=number,
            session_id=second,
            subscription=world.account.sessions[second].subscription,
        )
    assert world.mails(signup_id).count("paid-twice") == 1


def test_a_second_session_with_nothing_to_pay_is_not_mailed_about(world):
    """Who was charged nothing for it reads nothing of a refund."""
    signup_id = world.paid()
    world.advance(10)
    second = world.checkout(signup_id, attempt=2)
    world.pay(second)
    del world.account.charged[world.account.sessions[second].subscription]
    world.news(second)
    world.advance(10)
    assert world.read(sessions.get, second).state == "refunded"
    assert "paid-twice" not in world.mails(signup_id)


def test_a_payment_ends_the_hold_of_its_session(world):
    """Its state keeps its place from there on: what ends at once keeps the bucket's."""
    signup_id = world.register()
    session_id = world.checkout(signup_id)
    until = moment(world.clock.seconds() + 2100)
    world.write(capacity.hold, signup_id, limits={}, until=until)
    world.pay(session_id)
    world.news(session_id)
    world.advance(30)
    world.write(ending.cancel, signup_id, "op", "asked", at_once=True)
    world.advance(90)
    assert world.state(signup_id) == "ended"
    assert world.read(capacity.held, signup_id) == {"buckets": 1}


def test_a_payment_is_journaled_by_stripes_names(world):
    """What a session names is journaled with it, each name in its own place."""
    signup_id = world.register()
    session_id = world.checkout(signup_id)
    paid = world.pay(session_id)
    world.account.sessions[session_id] = evolve(
        paid, customer="cus_7", invoice="in_7", payment_intent="pi_7"
    )
    assert world.news(session_id) == "kept"
    now = moment(world.clock.seconds())
    journaled = world.read(sessions.get, session_id)
    assert journaled.kept
    assert journaled.payment == sessions.Payment(
        session_id, "cus_7", paid.subscription, "in_7", "pi_7", now
    )
    begun = world.read(lifecycles.get, signup_id)
    assert (begun.subscription, begun.wish) == (paid.subscription, "stay")
    assert world.read(signups.get, signup_id).state == "paid"
    moved = [e for e in world.read(events.since, signup_id, 0) if e.kind == "paid"]
    assert [e.who for e in moved] == ["daemon"]


def test_a_kept_payment_ends_the_hold_at_once(world):
    """In the transaction that keeps the payment the checkout's hold is let go."""
    signup_id = world.register()
    session_id = world.checkout(signup_id)
    until = moment(world.clock.seconds() + 2100)
    world.write(capacity.hold, signup_id, limits={}, until=until)
    world.pay(session_id)
    world.news(session_id)
    query = select(signups.SIGNUPS.c.held_until)
    query = query.where(signups.SIGNUPS.c.signup_id == signup_id)
    assert world.read(lambda tx: tx.scalar(query)) is None


def test_session_of_a_signup_that_the_journal_lost_is_unknown(world):
    """A paid session of ours whose signup no journal knows is told as unknown."""
    session_id = world.checkout(world.register())
    paid = world.pay(session_id)
    stranger = signup_id_of_form(b"lost")
    world.account.sessions[session_id] = evolve(paid, signup_id=stranger)
    assert world.news(session_id) == "unknown"
    assert world.read(sessions.get, session_id).state == "open"


def test_each_second_payment_is_told_with_what_went_back(world):
    """Of each payment that went back the customer reads, and the journal keeps how
    much and of which session.
    """
    signup_id = world.register()
    kept, *others = (world.checkout(signup_id, attempt=n) for n in (1, 2, 3))
    for session_id in (kept, *others):
        world.pay(session_id)
        world.news(session_id)
    world.advance(30)
    assert world.mails(signup_id).count("paid-twice") == 2
    told = world.read(events.since, signup_id, 0)
    back = [(e.who, e.why) for e in told if e.kind == "money-back"]
    assert sorted(back) == sorted(("daemon", session_id) for session_id in others)
    outcomes = [
        wire.decode(GivenBack, e.outcome.encode()) for e in refunds(world, signup_id)
    ]
    assert {done.subscription for done in outcomes} == {
        world.account.sessions[session_id].subscription for session_id in others
    }
    assert [done.amount for done in outcomes] == [500, 500]


def test_a_payment_passes_each_place_at_which_a_test_kills(world):
    """Keeping a payment and giving one back pass their declared crash points."""
    signup_id = world.register()
    first, second = world.checkout(signup_id), world.checkout(signup_id, attempt=2)
    world.pay(first)
    world.pay(second)
    passed: list[str] = []
    crash.on_crash_point(passed.append)
    try:
        world.news(first)
        world.news(second)
        world.advance(10)
    finally:
        crash.on_crash_point(None)
    paid = [name for name in passed if name.startswith("signup.paid.")]
    assert paid == ["signup.paid.before", "signup.paid.after"] * 2
    back = [name for name in passed if name.startswith("signup.second-session.")]
    assert back == [
        f"signup.second-session.{place}"
        for place in ("before-refund", "after-refund", "after-outcome")
    ]
    sentences = crash.declared()
    assert all(isinstance(sentences[name], str) for name in paid + back)


def test_a_refund_that_fails_for_hours_shows_its_tries(world):
    """Operators see how often a refund was asked for in vain, and what was said last."""
    signup_id = world.paid()
    world.advance(10)
    second = world.checkout(signup_id, attempt=2)
    world.pay(second)
    world.weather = always("payments.give_back", Fault.THROTTLED)
    world.news(second)
    world.advance(2 * 3600, step=10)
    (refund,) = refunds(world, signup_id)
    assert (refund.state, refund.outcome) == ("begun", "Throttling")
    assert 100 < refund.tries < 1000
    world.weather = fair
    world.advance(90)
    (settled,) = refunds(world, signup_id)
    assert (settled.state, settled.tries) == ("done", refund.tries)
    assert settled.token == refund.token


def refunds(world, signup_id):
    rows, _ = world.read(effects.page, signup_id=signup_id, step="payment")
    return rows


def test_capacity_is_kept_while_paid_and_free_when_refunded(world):
    """A paid signup keeps its share of the cell's quotas until it is refunded."""
    signup_id = world.paid()
    assert world.read(capacity.held, signup_id)["instances"] == 1
    world.kill()
    world.hosts_work = False
    world.start()
    world.give_up(signup_id, "op", "late")
    world.advance(120)
    check_refunded(world, signup_id)
    assert not world.read(capacity.held, signup_id)


def test_giving_back_what_nobody_paid_names_no_subscription(world):
    """Of a session that is open in the journal nothing is cancelled or given back."""
    signup_id = world.register()
    session_id = world.checkout(signup_id)
    unpaid = world.read(sessions.get, session_id)
    with pytest.raises(StateChanged):
        now(payment.give_back(world.crew.shop, unpaid, "second-session"))
    (asked,) = refunds(world, signup_id)
    request = wire.decode(GiveBack, world.read(effects.get, asked.number).request)
    assert request == GiveBack(signup_id, "second-session", 1, session_id, None)
    assert world.account.refunded == {}


def test_a_refused_credit_note_holds_nothing_up(world):
    """The refund is made and the signup is over; operators are told of the note that
    lacks, once, by a mail and by its events, and the customer is not.
    """
    signup_id = world.paid()
    world.account.notes_refused = "not-authorised: status 403"
    world.write(ending.cancel, signup_id, "owner", "asked")
    world.advance(300)
    assert world.state(signup_id) == "refunded"
    assert world.account.kept() == {}
    (refund,) = world.account.refunds
    told = world.read(events.since, signup_id, 0)
    (why,) = [e.why for e in told if e.kind == "uncredited" and not e.public]
    assert refund in why
    assert "not-authorised: status 403" in why
    assert world.mails(signup_id).count("troubled") == 1
    assert "troubled" not in [e.kind for e in told]
    assert world.read(signups.get, signup_id).problem is None


def test_an_outcome_of_an_earlier_release_is_read():
    """What was journaled before there were credit notes names none that was refused."""
    told = b'{"subscription": "sub_1", "refund_id": "re_1", "amount": 500}'
    assert wire.decode(GivenBack, told) == GivenBack("sub_1", "re_1", 500, None)
