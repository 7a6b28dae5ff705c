"""What time brings is decided purely; nothing is deleted unannounced."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import get_args

from hypothesis import given
from hypothesis import strategies as st

from lae_flapp.effects.payments import Status
from lae_flapp.journal.signups import MOVES
from lae_flapp.life.billing import judge
from lae_flapp.life.due import (
    TIMED,
    Timed,
    deletion_after_reminder,
    due,
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
