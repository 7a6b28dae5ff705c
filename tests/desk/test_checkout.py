"""A form that is sent again late: the place is held anew, and no dead page is shown."""

from __future__ import annotations

from attrs import evolve
from twisted.internet.defer import Deferred

from lae_flapp.journal import capacity, signups
from tests.twins.journal import answer

#: Seconds after which Stripe has ended a session, and its place is free.
LATER = 40 * 60


def expire_at_stripe(desk, session_id):
    """Stripe ends it by itself; no webhook comes."""
    sessions = desk.account.sessions
    sessions[session_id] = evolve(sessions[session_id], status="expired", url=None)


def test_sent_again_when_the_place_is_gone(desk, a_form):
    """A form sent again after its session expired opens none without a place."""
    desk.quota = 1
    desk.restart()
    (first, _), (second, _) = a_form(1), a_form(2)
    desk.ask(first)
    desk.clock.advance(LATER)
    expire_at_stripe(desk, "cs_1")
    answer(Deferred.fromCoroutine(desk.settlement.reconcile()))
    desk.ask(second)
    assert desk.ask(first).code == "full"
    assert list(desk.account.sessions) == ["cs_1", "cs_2"]


def test_sent_again_before_we_heard_of_the_end(desk, a_form):
    """A form sent again leads to a page that lives, with a place held for it."""
    register, owner = a_form()
    desk.ask(register)
    desk.clock.advance(LATER)
    expire_at_stripe(desk, "cs_1")
    told = desk.ask(register)
    assert told.checkout_url == "https://pay.invalid/cs_2"
    assert desk.read(signups.get, owner.signup_id).state == "paying"
    assert desk.read(capacity.held, owner.signup_id)["instances"] == 1


def test_sent_again_after_an_unheard_payment(desk, a_form):
    """A form sent again after a payment of which nobody told leads to no payment."""
    register, owner = a_form()
    desk.ask(register)
    desk.account.pay("cs_1")
    desk.clock.advance(LATER)
    told = desk.ask(register)
    assert told.checkout_url == f"https://s4.example/signup/{owner.signup_id}"
    assert desk.read(signups.get, owner.signup_id).state == "paid"


def test_stripe_is_told_an_end_by_the_true_time(desk, a_form):
    """With the clock just set, a session ends half an hour from the true time: any other
    Stripe would refuse, or keep open for hours.
    """
    register, _ = a_form()
    desk.ahead = 3600.0
    desk.ask(register)
    left = desk.account.sessions["cs_1"].expires_at.timestamp() - desk.clock.seconds()
    assert 3600 + 30 * 60 <= left <= 3600 + 32 * 60
