"""What is told of a signup, for anything that may have happened in any order."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import get_args

import pytest
from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st

from lae_protocol.messages import OwnerView, Plan, Progress, SignupState, SignupView
from lae_site.description import NOTES, STEPS, describe, find_offers

PLAN = Plan("p", "P", 500, "eur", "month", 10, 10, "1")
KINDS = st.lists(st.sampled_from([*STEPS, *NOTES, "unheard-of"]), max_size=20)
STATES = st.sampled_from(get_args(SignupState))
OF_A_SERVER = {"instance-launched", "address-ready", "claimed", "self-test-passed"}
START = datetime(2026, 11, 1, tzinfo=UTC)


def view(state, kinds, owner=None) -> SignupView:
    """A view of a signup to which this happened."""
    progress = tuple(
        Progress(n, kind, START + timedelta(seconds=n))
        for n, kind in enumerate(kinds, start=1)
    )
    return SignupView("su" + "a" * 20, state, PLAN, True, len(kinds), progress, owner)


@settings(max_examples=100)
def since_return(kinds):
    """What counts of a history: who comes back is built for anew, and who was stopped
    has another server.
    """
    counted = []
    for kind in kinds:
        if kind == "paid" and "ended" in counted:
            counted = [k for k in counted if k in {"registered", "checkout-opened"}]
        if kind == "stopped":
            counted = [k for k in counted if k not in OF_A_SERVER]
        counted.append(kind)
    return counted


@given(STATES, KINDS, st.booleans())
def test_every_history_has_a_picture(state, kinds, joinable) -> None:
    """Whatever happened, what is done comes first, then at most one step is current;
    each step stands there once; and nothing that is over is moving.
    """
    shown = describe(view(state, kinds), view(state, kinds).progress)
    phases = [s.phase for s in shown.steps]
    order = ["done", "current", "waiting"]
    assert phases == sorted(phases, key=order.index)
    assert phases.count("current") <= 1
    assert phases.count("done") == len({k for k in since_return(kinds) if k in STEPS})
    assert len(shown.notes) == len([k for k in kinds if k in NOTES])
    assert not (shown.over and shown.moving)
    assert shown.title
    assert shown.headline


@pytest.mark.parametrize("state", ["refunding", "refunded"])
def test_who_cancelled_is_not_told_that_we_failed(state) -> None:
    """What was cancelled while it was built is cancelled as asked, with what goes back;
    what we could not build is told so, whatever happened before.
    """
    wished = view(state, ["paid", "withdrawn", "refunded"])
    shown = describe(wished, wished.progress)
    assert shown.title == "Cancelled"
    assert "Cancelled as you asked. Everything that you paid (€5.00)" in shown.headline
    said = shown.title + shown.headline + "".join(n.text for n in shown.notes)
    assert "could not" not in said
    failed = view(state, ["paid", "withdrawn", "ended", "paid", "refunding"])
    assert "could not build" in describe(failed, failed.progress).headline


def test_an_ended_signup_that_is_paid_again() -> None:
    """While a payment page is open for what has ended, the page awaits the payment, and
    until then it goes on watching.
    """
    ended = view("ended", ["paid", "ready", "mail-accepted", "ending", "ended"])
    assert not describe(ended, ended.progress).over
    paying = evolve(ended, awaits_payment=True)
    shown = describe(paying, paying.progress)
    assert shown.title == "Waiting for your payment"
    assert shown.moving


@given(STATES, KINDS)
@settings(max_examples=60)
def test_only_an_owner_is_offered_anything(state, kinds) -> None:
    """A stranger can do nothing, in no state."""
    assert not find_offers(view(state, kinds))


@given(
    STATES,
    st.sampled_from(["unconfirmed", "confirmed", "bouncing"]),
    st.booleans(),
    st.none() | st.just("https://checkout.stripe.com/c/pay/x"),
)
@settings(max_examples=100)
def test_offers_fit_the_state(state, email_state, mailed, checkout) -> None:
    """Nobody can pay for what is paid, end what has ended, or correct what is
    confirmed.
    """
    owner = OwnerView("a@example.org", email_state, None, "S4", checkout, mailed)
    offered = find_offers(view(state, [], owner))
    ended = state in ("refunding", "refunded", "cancelled")
    if ended or state in ("paid", "active"):
        assert not offered.pay_again
        assert offered.checkout_url is None
    if ended:
        assert not offered
    if email_state == "confirmed":
        assert not offered.correct_address
    assert not (offered.checkout_url and offered.pay_again)
