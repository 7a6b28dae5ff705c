"""An owner, or a thief of a site's furl, has us write to one stranger after another."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lae_flapp.desk.wishes import BETWEEN_MAILS, CORRECTIONS_A_DAY
from lae_flapp.journal import contacts, outbox, signups
from lae_protocol.messages import (
    CorrectAddress,
    Done,
    ResendMail,
    ReturnedFromCheckout,
)

PAUSE = BETWEEN_MAILS.total_seconds()
DAY = 86_400


def make_served(desk, a_form):
    """A customer whose mail went out a while ago; the owner."""
    register, owner = a_form()
    desk.ask(register)
    desk.account.pay("cs_1")
    desk.ask(ReturnedFromCheckout(owner))
    desk.write(
        signups.move, owner.signup_id, {"paid"}, "active", kind="ready", who="test"
    )
    desk.write(outbox.put, owner.signup_id, "active")
    send(desk, owner)
    desk.clock.advance(PAUSE)
    return owner


def send(desk, owner) -> int:
    """A mail server takes what waits; how many mails that was."""
    waiting = [m for m in desk.read(outbox.of, owner.signup_id) if m.state == "waiting"]
    now = desk.read(contacts.current, owner.signup_id).number
    for mail in waiting:
        desk.write(outbox.accepted, mail.number, now)
    return len(waiting)


@pytest.fixture
def served(desk, a_form):
    return make_served(desk, a_form)


def correct(desk, owner, number):
    told = desk.ask(CorrectAddress(owner, f"stranger{number}@example.org"))
    return told, send(desk, owner)


def test_fifteen_strangers_in_a_moment(desk, served) -> None:
    """Of fifteen corrections at once one is made, and one mail goes out; the owner is
    told when the address can be corrected again.
    """
    told = [correct(desk, served, number) for number in range(15)]
    assert [isinstance(answer, Done) for answer, _ in told] == [True] + [False] * 14
    assert sum(mails for _, mails in told) == 1
    refused, _ = told[-1]
    assert (refused.code, refused.field) == ("not-now", "email")
    assert "2 minutes" in refused.message
    desk.clock.advance(PAUSE - 1)
    assert not isinstance(correct(desk, served, 20)[0], Done)
    desk.clock.advance(1)
    assert isinstance(correct(desk, served, 20)[0], Done)


def test_five_strangers_a_day(desk, served) -> None:
    """However patiently it is asked, a day has five corrections, and the next day too."""
    for _ in range(2):
        made = 0
        for number in range(20):
            desk.clock.advance(PAUSE)
            made += isinstance(correct(desk, served, number)[0], Done)
        assert made == CORRECTIONS_A_DAY
        desk.clock.advance(DAY)


def test_a_resent_mail_makes_it_wait(desk, served) -> None:
    """Correcting the address and having the mail sent again share one pause."""
    assert isinstance(desk.ask(ResendMail(served)), Done)
    send(desk, served)
    assert correct(desk, served, 1)[0].code == "not-now"
    desk.clock.advance(PAUSE)
    assert isinstance(correct(desk, served, 1)[0], Done)
    assert desk.ask(ResendMail(served)).code == "not-now"


def test_a_mistake_at_the_form_is_mended_at_once(desk, a_form) -> None:
    """As long as nothing was mailed two mistakes in a row need no pause, and there is
    the same cap for a day.
    """
    register, owner = a_form()
    desk.ask(register)
    for number in range(CORRECTIONS_A_DAY):
        assert isinstance(correct(desk, owner, number)[0], Done)
    assert "tomorrow" in correct(desk, owner, 9)[0].message


def test_the_same_address_changes_nothing(desk, served) -> None:
    """The address of now, given again, is no correction, and nothing is mailed."""
    correct(desk, served, 1)
    for _ in range(10):
        told, mails = correct(desk, served, 1)
        assert (type(told), mails) == (Done, 0)
    assert len(desk.read(contacts.history, served.signup_id)) == 2


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("correct"), st.integers(0, 5)),
            st.tuples(st.just("resend"), st.none()),
            st.tuples(st.just("wait"), st.sampled_from([1, 60, 119, 120, 3600, DAY])),
        ),
        max_size=25,
    )
)
def test_strangers_get_few_mails(new_desk, a_form, story) -> None:
    """Whatever is asked in whatever order: mails are a pause apart, and a day has at
    most five new addresses.
    """
    desk = new_desk()
    owner = make_served(desk, a_form)
    sent: list[float] = []
    given_at: list[float] = []
    for what, much in story:
        now = desk.clock.seconds()
        before = len(desk.read(contacts.history, owner.signup_id))
        if what == "wait":
            desk.clock.advance(much)
            continue
        if what == "correct":
            desk.ask(CorrectAddress(owner, f"stranger{much}@example.org"))
        else:
            desk.ask(ResendMail(owner))
        sent += [now] * send(desk, owner)
        given_at += [now] * (len(desk.read(contacts.history, owner.signup_id)) - before)
    assert all(b - a >= PAUSE for a, b in pairwise(sent))
    for at in given_at:
        within = [other for other in given_at if at <= other < at + DAY]
        assert len(within) <= CORRECTIONS_A_DAY
