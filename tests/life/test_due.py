"""What time brings is decided purely; nothing is deleted unannounced."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import get_args

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from lae_flapp.effects.payments import Status, Subscription
from lae_flapp.journal.signups import MOVES
from lae_flapp.life.billing import judge, status_of
from lae_flapp.life.due import (
    TIMED,
    Timed,
    deletion_after_reminder,
    due,
    ends_at,
    reminded_before,
)
from lae_protocol.messages import Plan, SignupState

START = datetime(2026, 11, 1, tzinfo=UTC)
SPANS = st.integers(0, 40 * 86_400)
PLANS = st.builds(
    lambda *spans: Plan("p", "P", 1, "eur", "month", 1, 1, "t", *spans),
    SPANS, SPANS, SPANS, st.integers(1, 90 * 86_400),
)  # fmt: skip
NOWS = st.integers(0, 200 * 86_400).map(lambda s: START + timedelta(seconds=s))
EVERY = st.builds(
    Timed,
    st.sampled_from(sorted(get_args(SignupState))),
    st.just(START),
    PLANS,
    st.none() | NOWS,
    st.booleans(),
    st.booleans(),
)
FOLLOWS = {
    "suspend": "suspended",
    "stop": "stopped",
    "end-unpaid": "ending",
    "delete": "deleting",
}


@given(EVERY, NOWS)
def test_every_turn_leads_along_the_table(timed, now) -> None:
    """Only states with a time have turns, and each turn is a move that is allowed."""
    turn = due(timed, now)
    if turn is not None:
        assert timed.state in TIMED
        assert turn == "remind" or FOLLOWS[turn] in MOVES[timed.state]


@given(EVERY, NOWS, NOWS)
def test_what_is_due_stays_due(timed, now, later) -> None:
    """Time alone takes back nothing: a turn that was missed is made later."""
    if now <= later and due(timed, now) is not None:
        assert due(timed, later) == due(timed, now)


@given(EVERY, NOWS)
def test_nothing_is_deleted_unannounced(timed, now) -> None:
    """Data goes only after its time, after a reminder, and while nobody is paying."""
    if due(timed, now) == "delete":
        assert timed.reminded
        assert not timed.paying
        assert now >= timed.kept_until


@given(PLANS, NOWS, NOWS)
def test_a_late_reminder_gives_time(plan, until, now) -> None:
    """However late it goes out, it is half of the usual time before the deletion, and
    the deletion is never sooner than promised.
    """
    then = deletion_after_reminder(plan, until, now)
    assert then >= until
    assert then >= now + reminded_before(plan) / 2
    assert then in {until, now + reminded_before(plan) / 2}


@given(st.sampled_from(sorted(MOVES)), st.sampled_from(get_args(Status)))
def test_what_stripe_shows_leads_along_the_table(state, status) -> None:
    """Whatever Stripe shows of whatever signup, what follows is a move allowed."""
    words = {"active": "live", "trialing": "live", "past_due": "unpaid"}
    words |= {"unpaid": "unpaid", "canceled": "over", "incomplete_expired": "over"}
    verdict = judge(state, words.get(status, "unclear"))
    leads = {
        "failed": "past-due",
        "recovered": "active",
        "over": "ending",
        "never-served": "refunding",
    }
    assert verdict == "same" or leads[verdict] in MOVES[state]


PLAN = Plan("p", "P", 1, "eur", "month", 1, 1, "t", 10, 20, 40, 400)


@pytest.mark.parametrize(
    ("state", "seconds", "turn"),
    [
        ("past-due", 10, "suspend"),
        ("suspended", 20, "stop"),
        ("stopped", 40, "end-unpaid"),
    ],
)
def test_each_unpaid_state_lasts_its_own_span(state, seconds, turn) -> None:
    """It is over in the second in which what was agreed has passed, and not before."""
    timed = Timed(state, START, PLAN, None, paying=False)
    assert due(timed, START + timedelta(seconds=seconds - 1)) is None
    assert due(timed, START + timedelta(seconds=seconds)) == turn
    assert due(evolve(timed, paying=True), START + timedelta(seconds=seconds)) == turn


def test_kept_data_is_reminded_of_and_then_goes() -> None:
    """A quarter of a short time before its end its owner is reminded; it goes in the
    second in which its time is over, unless somebody is paying.
    """
    until = START + timedelta(seconds=400)
    timed = Timed("ended", START, PLAN, until, paying=False)
    assert reminded_before(PLAN) == timedelta(seconds=100)
    assert due(timed, START + timedelta(seconds=299)) is None
    assert due(timed, START + timedelta(seconds=300)) == "remind"
    reminded = evolve(timed, reminded=True)
    assert due(reminded, until - timedelta(seconds=1)) is None
    assert due(reminded, until) == "delete"
    assert due(evolve(reminded, paying=True), until) is None
    assert due(evolve(timed, paying=True), until) == "remind"
    assert due(evolve(timed, kept_until=None), until) is None


def test_a_long_time_is_reminded_of_a_week_before() -> None:
    """A quarter of months would be too soon."""
    plan = evolve(PLAN, data_kept=90 * 86_400)
    assert reminded_before(plan) == timedelta(days=7)


def test_what_is_never_paid_ends_after_all_three_spans() -> None:
    """The mail about a failed payment says when."""
    assert ends_at(PLAN, START) == START + timedelta(seconds=70)


JUDGED = {
    "live": {"past-due": "recovered", "suspended": "recovered", "stopped": "recovered"},
    "unpaid": {"active": "failed"},
    "over": {
        **dict.fromkeys(("active", "past-due", "suspended", "stopped"), "over"),
        "paid": "never-served",
    },
    "unclear": {},
}


@pytest.mark.parametrize("status", JUDGED)
@pytest.mark.parametrize("state", sorted(MOVES))
def test_what_follows_from_what_stripe_shows(state, status) -> None:
    """The whole table: whatever is not in it is nothing new."""
    assert judge(state, status) == JUDGED[status].get(state, "same")


STATUSES = {
    **dict.fromkeys(("active", "trialing"), "live"),
    **dict.fromkeys(("past_due", "unpaid"), "unpaid"),
    **dict.fromkeys(("canceled", "incomplete_expired"), "over"),
    **dict.fromkeys(("incomplete", "paused"), "unclear"),
}


@pytest.mark.parametrize("word", get_args(Status))
def test_what_stripes_words_mean(word) -> None:
    """Each of Stripe's words has one meaning here."""
    seen = Subscription(
        "sub_1", word, None, None, livemode=False, paid_until=None, ends_at=None
    )
    assert status_of(seen) == STATUSES[word]
