"""Reading Stripe from time to time: what no webhook told is found, for everybody."""

from __future__ import annotations

from twisted.internet.defer import Deferred

from lae_flapp.journal import effects, sessions, signups
from lae_flapp.journal.effects import EffectKey
from tests.twins.journal import answer
from tests.twins.weather import Fault


def reconcile(desk):
    answer(Deferred.fromCoroutine(desk.settlement.reconcile()))


def test_a_session_that_always_fails(desk, a_form):
    """A session that Stripe never shows keeps no other from being settled."""
    (first, _), (second, owner) = a_form(1), a_form(2)
    for register in (first, second):
        desk.ask(register)
    desk.account.pay("cs_2")
    for fault in (Fault.REFUSED, Fault.THROTTLED):
        desk.faults["payments.fetch_session"] = [fault]
        reconcile(desk)
    assert desk.read(signups.get, owner.signup_id).state == "paid"
    assert desk.read(sessions.get, "cs_1").state == "open"


def opening(desk, owner):
    """The request of a session, sent into a network that lost the reply."""
    return desk.read(effects.last, EffectKey(owner.signup_id, "checkout", "open"))


def test_nobody_came_back(desk, a_form):
    """A request that nobody repeats is given up once it can have opened nothing."""
    register, owner = a_form()
    desk.faults["payments.open_checkout"] = [Fault.THROTTLED]
    desk.ask(register)
    reconcile(desk)
    assert opening(desk, owner).state == "begun"
    desk.clock.advance(3600)
    reconcile(desk)
    assert opening(desk, owner).state == "failed"
    told = desk.ask(register)
    assert told.checkout_url == "https://pay.invalid/cs_1"


def test_unheard_and_still_open(desk, a_form):
    """While what a lost reply opened may still be paid, it is looked at again."""
    register, owner = a_form()
    desk.faults["payments.open_checkout"] = [Fault.REPLY_LOST]
    desk.ask(register)
    desk.clock.advance(3600)
    reconcile(desk)
    assert opening(desk, owner).state == "begun"
    desk.account.pay("cs_1")
    reconcile(desk)
    assert desk.read(signups.get, owner.signup_id).state == "paid"
    assert opening(desk, owner).state == "failed"
