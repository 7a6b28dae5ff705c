"""An operator gives a served customer money back: once, and nothing ends by it."""

from __future__ import annotations

import pytest

from lae_flapp.effects.payments import GiveBack, GivenBack
from lae_flapp.journal import causes, effects, events, sessions, signups
from lae_flapp.journal.errors import EffectOpen, StateChanged
from lae_flapp.life import ending
from lae_flapp.money import payment
from lae_protocol import wire
from tests.grid.world import always, check_served, now
from tests.grid.world import weather as foul
from tests.twins.weather import Fault


@pytest.fixture
def served(world):
    """A signup that is served."""
    signup_id = world.paid()
    world.advance(10)
    check_served(world, signup_id)
    return signup_id


def refunds(world, signup_id):
    every = world.read(effects.of, signup_id)
    return [e for e in every if e.key.purpose == "goodwill"]


def kept(world, signup_id):
    """What the customer was charged and has not got back."""
    name = world.read(signups.get, signup_id).payment.subscription
    return world.account.kept().get(name, 0)


def test_the_request_is_journaled_whole_before_it_is_sent(world, served):
    """What is sent is what was journaled, under the key of signup, purpose, attempt."""
    world.refund(served, 200)
    world.advance(5)
    (effect,) = refunds(world, served)
    assert (effect.state, effect.token) == ("done", f"{served}-goodwill-0-1")
    assert effect.tries == 0
    paid = world.read(signups.get, served).payment
    name = paid.subscription
    assert wire.decode(GiveBack, effect.request) == GiveBack(
        served, "goodwill", 1, paid.session, name, name.replace("sub", "pi"), 200
    )
    told = wire.decode(GivenBack, effect.outcome.encode())
    assert (told.subscription, told.amount) == (name, 200)
    assert world.account.refunds[told.refund_id].key == f"{served}:goodwill:1"


def test_nothing_ends_by_it(world, served):
    """The customer is served on and the payment stays the kept one; they get a mail,
    and the event log says who gave how much back, why, and that it is done.
    """
    launches = world.cloud.launches
    world.refund(served, 500)
    world.advance(60)
    check_served(world, served)
    assert world.cloud.launches == launches
    assert kept(world, served) == 0
    (session,) = world.read(sessions.of, served)
    assert (session.state, session.kept) == ("paid", True)
    assert world.mails(served).count("goodwill") == 1
    said = [(e.kind, e.who, e.why) for e in world.read(events.since, served, 0)]
    assert said[-2:] == [
        ("refund-wished", "operator ann", "EUR 5.00: sorry"),
        ("money-back", "daemon", session.session_id),
    ]
    assert world.crew.busy() == frozenset()


@pytest.mark.parametrize("fault", [Fault.THROTTLED, Fault.REPLY_LOST, Fault.LATE])
def test_it_goes_back_once_whatever_the_reply(world, served, fault):
    """A lost or late reply of Stripe's leads to one refund and one mail."""
    world.weather = foul(("payments.give_back", fault))
    world.refund(served, 200)
    world.advance(90)
    assert (kept(world, served), len(world.account.refunds)) == (300, 1)
    assert world.mails(served).count("goodwill") == 1


def test_a_second_one_waits_for_the_first(world, served):
    """While one is on its way there is no other; then there is."""
    world.weather = always("payments.give_back", Fault.THROTTLED)
    world.refund(served, 200)
    world.advance(5)
    with pytest.raises(EffectOpen):
        world.refund(served, 200)
    world.weather = foul()
    world.advance(90)
    world.refund(served, 100)
    world.advance(5)
    assert kept(world, served) == 200
    assert [e.attempt for e in refunds(world, served)] == [1, 2]


def test_a_daemon_that_was_away_sends_it(world, served):
    """What was journaled before the daemon died is sent by the next one."""
    world.weather = always("payments.give_back", Fault.THROTTLED)
    world.refund(served, 200)
    world.kill()
    world.weather = foul()
    world.start()
    world.advance(5)
    assert kept(world, served) == 300


def test_of_one_that_ended(world, served):
    """Who has left can be given money back, too; their data is kept as it was."""
    world.write(ending.cancel, served, "op", "asked", at_once=True)
    world.advance(90)
    assert world.state(served) == "ended"
    world.refund(served, 200)
    world.advance(5)
    assert kept(world, served) == 300
    assert world.state(served) == "ended"


def test_a_refusal_is_told_and_tried_no_more(world, served):
    """What Stripe refuses is an operator's matter: it is told once and not sent again;
    a retry says that it was seen to, and another refund can be given.
    """
    world.weather = always("payments.give_back", Fault.REFUSED)
    world.refund(served, 200)
    world.advance(10)
    assert [e.state for e in refunds(world, served)] == ["failed"]
    assert world.mails(served).count("troubled") == 1
    assert "goodwill" not in world.mails(served)
    assert "givepartback" in world.read(signups.get, served).problem
    assert [c.kind for c in world.read(causes.lasting)] == ["signup"]
    world.advance(2 * 3600, step=60)
    assert len(refunds(world, served)) == 1
    assert world.read(signups.get, served).problem is not None
    world.retry(served)
    world.advance(5)
    assert world.read(signups.get, served).problem is None
    world.weather = foul()
    world.refund(served, 200)
    world.advance(5)
    assert kept(world, served) == 300
    check_served(world, served)


def test_what_nobody_wished_is_not_given(world, served):
    """Without a wish in the journal a worker has nothing to send."""
    (session,) = world.read(sessions.of, served)
    with pytest.raises(StateChanged):
        now(payment.give_back(world.crew.shop, session, "goodwill"))
    assert refunds(world, served) == []
    assert kept(world, served) == 500


def test_a_retry_forgets_no_problem_that_lasts(world):
    """Where something is left to do, a retry keeps its problem until that is done."""
    world.weather = always("hosts.make", Fault.THROTTLED)
    signup_id = world.paid()
    world.advance(60)
    assert world.read(signups.get, signup_id).problem is not None
    world.retry(signup_id)
    world.advance(2)
    assert world.read(signups.get, signup_id).problem is not None
