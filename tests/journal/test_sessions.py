"""Checkout sessions: however many are paid, one payment is kept."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy.exc import IntegrityError

from lae_flapp.journal import sessions, signups
from lae_flapp.journal.errors import StateChanged, Unknown
from lae_flapp.journal.sessions import Payment

THEN = datetime(2027, 1, 1, tzinfo=UTC)


def payment(session: str) -> Payment:
    names = [f"{kind}_{session}" for kind in ("cus", "sub", "in", "pi")]
    return Payment(session, *names, THEN)


def opened(desk, name: str, session: str):
    url = f"https://pay.example/{session}"
    return desk.write(sessions.opened, desk.id(name), session, url, THEN)


def test_a_session_is_opened_once(desk) -> None:
    """Recording a session again changes nothing, and it is open until it is closed."""
    a = desk.register("a").signup_id
    first = opened(desk, "a", "cs_1")
    desk.clock.advance(5)
    assert opened(desk, "a", "cs_1") == first
    assert desk.read(sessions.open_ones) == desk.read(sessions.of, a) == (first,)
    assert desk.write(sessions.expired, "cs_1") is True
    assert desk.write(sessions.expired, "cs_1") is False
    assert desk.read(sessions.open_ones) == ()
    assert desk.read(sessions.get, "cs_1").url is None


def test_two_tabs_that_both_pay(desk) -> None:
    """The first payment is kept and named in the signup; the second is surplus until
    it is refunded; asking again gives the same answers.
    """
    a = desk.register("a").signup_id
    for session in ("cs_1", "cs_2"):
        opened(desk, "a", session)
    assert desk.pay(a, payment("cs_2")) == "kept"
    assert desk.pay(a, payment("cs_1")) == "surplus"
    assert desk.pay(a, payment("cs_2")) == "kept-already"
    assert desk.pay(a, payment("cs_1")) == "surplus"
    assert desk.read(signups.get, a).payment == payment("cs_2")
    assert desk.read(signups.of_stripe, subscription="sub_cs_2").signup_id == a
    assert desk.read(signups.of_stripe, customer="cus_cs_2").signup_id == a
    assert desk.read(signups.of_stripe, subscription="sub_cs_1") is None
    (left,) = desk.read(sessions.surplus)
    assert left.payment == payment("cs_1")
    assert desk.write(sessions.refunded, "cs_1") is True
    assert desk.write(sessions.refunded, "cs_1") is False
    assert desk.read(sessions.surplus) == ()
    assert desk.pay(a, payment("cs_1")) == "surplus"


@pytest.mark.parametrize("state", ["cancelled", "refunding", "refunded", "active"])
def test_a_payment_that_cannot_be_served_is_surplus(desk, state) -> None:
    """Money that comes for a signup that is over, or served, is to be paid back."""
    a = desk.put_in("a", state)
    opened(desk, "a", "cs_1")
    assert desk.pay(a, payment("cs_1")) == "surplus"
    assert desk.read(signups.get, a).payment is None


def test_a_payment_after_the_end_is_kept(desk) -> None:
    """The news of a payment may come after we took the session for expired."""
    a = desk.put_in("a", "expired")
    opened(desk, "a", "cs_1")
    desk.write(sessions.expired, "cs_1")
    assert desk.pay(a, payment("cs_1")) == "kept"


def test_who_comes_back_has_one_payment_kept(desk) -> None:
    """A former customer's new payment takes the place of the last one, which is over:
    not kept, and not to be paid back, however often its news comes.
    """
    a = desk.register("a").signup_id
    for session in ("cs_1", "cs_2", "cs_3"):
        opened(desk, "a", session)
    assert desk.pay(a, payment("cs_1")) == "kept"
    desk.move_to("a", "ended")
    assert desk.pay(a, payment("cs_2")) == "kept"
    desk.move_to("a", "active")
    assert desk.read(sessions.get, "cs_1").state == "over"
    assert desk.pay(a, payment("cs_1")) == "kept-already"
    assert desk.pay(a, payment("cs_3")) == "surplus"
    assert desk.read(signups.get, a).payment == payment("cs_2")
    assert [one.session_id for one in desk.read(sessions.surplus)] == ["cs_3"]
    assert desk.read(sessions.get, "cs_1").payment == payment("cs_1")


def test_a_payment_that_went_back_stays_so(desk) -> None:
    """Who could not be served, has the money back and pays anew: the first payment
    stays refunded, the second is kept.
    """
    a = desk.register("a").signup_id
    for session in ("cs_1", "cs_2"):
        opened(desk, "a", session)
    assert desk.pay(a, payment("cs_1")) == "kept"
    desk.write(sessions.refunded, "cs_1")
    desk.move_to("a", "ended")
    assert desk.pay(a, payment("cs_2")) == "kept"
    first = desk.read(sessions.get, "cs_1")
    assert (first.state, first.kept) == ("refunded", False)


def test_the_database_keeps_one_payment(desk) -> None:
    """No two sessions of a signup are kept, and none that nobody paid, whatever code
    says.
    """
    a = desk.register("a").signup_id
    for session in ("cs_1", "cs_2"):
        opened(desk, "a", session)
    desk.pay(a, payment("cs_1"))

    def force(tx, **values) -> None:
        row = sessions.SESSIONS.c.session_id == "cs_2"
        tx.run(sessions.SESSIONS.update().where(row).values(**values))

    for values in ({"kept": True, "state": "paid"}, {"kept": True}):
        with pytest.raises(IntegrityError):
            desk.write(force, **values)


def test_only_what_was_paid_is_paid_back(desk) -> None:
    """A session that nobody paid is not marked as refunded."""
    desk.register("a")
    opened(desk, "a", "cs_1")
    with pytest.raises(StateChanged):
        desk.write(sessions.refunded, "cs_1")


def test_a_payment_of_a_strange_session_is_refused(desk) -> None:
    """A session that is unknown, or another signup's, settles nothing."""
    a, b = desk.register("a").signup_id, desk.register("b").signup_id
    opened(desk, "a", "cs_1")
    for signup_id, session in ((b, "cs_1"), (a, "cs_9")):
        with pytest.raises(Unknown):
            desk.pay(signup_id, payment(session))


@settings(
    max_examples=40,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["open", "expired", "paid", "refunded"]),
            st.integers(0, 3),
        ),
        max_size=15,
    )
)
def test_one_payment_is_kept_whatever_comes_when(make_desk, news) -> None:
    """In any order of news, doubled or late, at most one session is kept, the first
    that was paid, and all others that were paid are surplus or paid back.
    """
    desk = make_desk()
    a = desk.register("a").signup_id
    first, paid, refunded = None, set(), set()
    for kind, number in news:
        session = f"cs_{number}"
        opened(desk, "a", session)
        if kind == "paid":
            first = first or session
            paid.add(session)
            answer = desk.pay(a, payment(session))
            assert answer.startswith("kept" if session == first else "surplus")
        elif kind == "expired":
            desk.write(sessions.expired, session)
        elif kind == "refunded" and session in paid:
            desk.write(sessions.refunded, session)
            refunded.add(session)
    kept = [one.session_id for one in desk.read(sessions.of, a) if one.kept]
    assert kept == ([first] if first else [])
    surplus = {one.session_id for one in desk.read(sessions.surplus)}
    assert surplus == paid - refunded - {first}


def test_sessions_come_in_the_order_in_which_they_were_opened(desk) -> None:
    """A signup's sessions are listed oldest first."""
    a = desk.register("a").signup_id
    for session in ("cs_b", "cs_a"):
        desk.clock.advance(timedelta(minutes=31).total_seconds())
        opened(desk, "a", session)
    found = desk.read(sessions.of, a)
    assert [one.session_id for one in found] == ["cs_b", "cs_a"]
