"""Who takes places and does not pay: by a stolen site's furl, and as fast as it can."""

from __future__ import annotations

from attrs import evolve
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred

from lae_flapp.journal import capacity, signups
from lae_flapp.money.checkout.checkout import HOLD_FOR, PAY_WITHIN
from lae_protocol.messages import (
    PayAgain,
    Refused,
    Registered,
    ReturnedFromCheckout,
)
from tests.twins.ground import CELL
from tests.twins.journal import answer

HOUR = 3600
UNPAID = {"registered", "paying", "expired"}


def with_bounds(desk, **changed):
    """The same daemon with other settings."""
    for name, value in changed.items():
        setattr(desk, name, value)
    desk.restart()


def hours_pass(desk, hours):
    """Stripe ends what nobody paid, and the daemon hears of it."""
    desk.clock.advance(hours * HOUR)
    for name, session in desk.account.sessions.items():
        if session.status == "open":
            ended = evolve(session, status="expired", url=None)
            desk.account.sessions[name] = ended
    answer(Deferred.fromCoroutine(desk.settlement.reconcile()))


def used(desk):
    return desk.read(capacity.used, CELL.name).get("instances", 0)


def test_registrations_never_sell_the_deployment_out(desk, a_form):
    """A hundred registrations and more at once hold half of what is free; the next visitor
    is told when to come back, and then gets a place.
    """
    with_bounds(desk, quota=40, unpaid_share=0.5)
    told = [desk.ask(a_form(number)[0]) for number in range(120)]
    assert sum(isinstance(one, Registered) for one in told) == 20
    assert {one.code for one in told if isinstance(one, Refused)} == {"full"}
    assert "half an hour" in told[-1].message
    assert (used(desk), len(desk.account.sessions)) == (20, 20)
    assert desk.read(signups.find, a_form(119)[1].signup_id) is None, "no row is left"
    hours_pass(desk, 1)
    assert isinstance(desk.ask(a_form(1000)[0]), Registered)


def test_the_last_place_is_sold(desk, a_form):
    """A share is rounded up: where one place is free, one visitor may pay for it."""
    with_bounds(desk, quota=1, unpaid_share=0.01)
    assert isinstance(desk.ask(a_form(1)[0]), Registered)
    assert desk.ask(a_form(2)[0]).message == "All places are taken at the moment."


def test_a_former_customer_comes_back_beside_them(desk, a_form):
    """Whoever has paid before gets a place that is free, whatever strangers hold."""
    register, owner = a_form(1)
    desk.ask(register)
    desk.account.pay("cs_1")
    desk.ask(ReturnedFromCheckout(owner))
    for frm, to, kind in (
        ("paid", "active", "ready"),
        ("active", "ending", "ending"),
        ("ending", "ended", "ended"),
    ):
        desk.write(signups.move, owner.signup_id, {frm}, to, kind=kind, who="test")
    with_bounds(desk, quota=4, unpaid_share=0.5)
    while isinstance(desk.ask(a_form(2 + used(desk))[0]), Registered):
        pass
    assert used(desk) == 2
    assert isinstance(desk.ask(PayAgain(owner)), Registered)


def test_pay_renews_no_hold_for_ever(desk, a_form):
    """A day after the registration its place is free, however often its owner asks for
    another payment page.
    """
    with_bounds(desk, quota=1)
    register, owner = a_form(1)
    desk.ask(register)
    asked = 0
    while isinstance(told := desk.ask(PayAgain(owner)), Registered):
        desk.clock.advance(HOUR // 2)
        asked += 1
        assert asked <= PAY_WITHIN.total_seconds() / (HOUR // 2)
    assert (told.code, "form again" in told.message) == ("not-now", True)
    desk.clock.advance(HOLD_FOR.total_seconds())
    assert isinstance(desk.ask(a_form(2)[0]), Registered)
    assert desk.ask(register).code == "not-now", "nor does the form sent again"


def test_an_order_can_be_paid_on_the_next_day(desk, a_form):
    """Who comes back within a day gets a payment page for the same order."""
    register, owner = a_form(1)
    desk.ask(register)
    hours_pass(desk, 23.9)
    assert desk.ask(PayAgain(owner)).checkout_url == "https://pay.invalid/cs_2"


def test_the_daemon_itself_counts_registrations(desk, a_form):
    """Above so many an hour the daemon writes no registration, whatever the site lets
    through; the rest can be tried again.
    """
    with_bounds(desk, an_hour=60)
    told = [desk.ask(a_form(number)[0]) for number in range(90)]
    assert [isinstance(one, Registered) for one in told] == [True] * 60 + [False] * 30
    assert (told[-1].code, "few minutes" in told[-1].message) == ("full", True)
    assert desk.registering.refused == 30
    assert desk.read(signups.find, a_form(89)[1].signup_id) is None
    desk.clock.advance(60)
    assert isinstance(desk.ask(a_form(89)[0]), Registered)
    assert desk.ask(a_form(88)[0]).code == "full"


def test_payment_pages_count_as_registrations(desk, a_form):
    """One owner cannot have Stripe open payment pages without end, neither by asking to
    pay nor by sending the form again; a form sent twice counts once.
    """
    with_bounds(desk, an_hour=5)
    register, owner = a_form(1)
    for _ in range(3):
        assert isinstance(desk.ask(register), Registered)
    for _ in range(4):
        assert isinstance(desk.ask(PayAgain(owner)), Registered)
    assert desk.ask(PayAgain(owner)).code == "full"
    assert len(desk.account.sessions) == 5
    assert isinstance(desk.ask(register), Registered), "its page is open"
    hours_pass(desk, 0.9)
    for _ in range(9):
        desk.ask(register)
        hours_pass(desk, 0.001)
    assert len(desk.account.sessions) == 5 + 4


def test_the_reserve_is_not_for_visitors(desk, a_form):
    """While only the reserve of the disk is left no payment page is opened."""
    register, owner = a_form(1)
    desk.ask(register)
    desk.short = True
    assert desk.ask(PayAgain(owner)).code == "full"
    assert desk.ask(a_form(2)[0]).code == "full"
    assert len(desk.account.sessions) == 1


@settings(
    max_examples=15,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    st.sampled_from([0.2, 0.5, 1.0]),
    st.lists(
        st.one_of(
            st.tuples(st.just("register"), st.integers(0, 9)),
            st.tuples(st.just("pay again"), st.integers(0, 9)),
            st.tuples(st.just("pay"), st.integers(0, 9)),
            st.tuples(st.just("wait"), st.integers(1, 30)),
        ),
        max_size=25,
    ),
)
def test_unpaid_holds_stay_below_their_share(new_desk, a_form, share, story):
    """Whatever is registered, asked for, paid and left alone: unpaid holds are never
    made beyond their share of what is free then, and nothing is sold twice.
    """
    desk = new_desk(quota=5, unpaid_share=share)
    forms = [a_form(number) for number in range(10)]

    def held():
        found = [desk.read(signups.find, owner.signup_id) for _, owner in forms]
        unpaid = [s for s in found if s is not None and s.state in UNPAID]
        holds = [desk.read(capacity.held, s.signup_id) for s in unpaid]
        return sum(map(bool, holds))

    for what, number in story:
        if what == "wait":
            hours_pass(desk, number)
            continue
        before, (register, owner) = held(), forms[number]
        if what == "pay":
            for name, session in list(desk.account.sessions.items()):
                ours = session.signup_id == owner.signup_id
                if session.status == "open" and ours:
                    desk.account.pay(name)
                    answer(Deferred.fromCoroutine(desk.settlement.settle(name, "test")))
            continue
        desk.ask(register if what == "register" else PayAgain(owner))
        paid = used(desk) - held()
        assert held() <= max(before, -(-share * (5 - paid) // 1))
        assert used(desk) <= 5
