"""Each state of a signup, with each state of its host, has one goal."""

from __future__ import annotations

import itertools
from types import SimpleNamespace
from typing import get_args

import pytest
from attrs import evolve

from lae_flapp.grid.goals import (
    End,
    Erase,
    Lead,
    Permit,
    Replace,
    Rest,
    Serve,
    Stop,
    Withdraw,
)
from lae_flapp.grid.record import READ_ONLY, Record, goal_of
from lae_flapp.journal.effects import NO_HOST, EffectKey
from lae_flapp.journal.hosts import HostState
from lae_protocol.messages import SignupState

SERVED = {"active", "past-due", "suspended"}
RESTING = {"registered", "paying", "expired", "ended", "refunded", "cancelled"} | {
    "deleted"
}


def record(state, host, *, kept_until=None, session=None):
    """A record with only what decides."""
    return Record(
        signup=SimpleNamespace(
            signup_id="su", state=state, payment=SimpleNamespace(session="cs_1")
        ),
        generation=2,
        host=None if host is None else SimpleNamespace(state=host, address="a"),
        identity=None,
        effects=(),
        sessions=() if session is None else (session,),
        lifecycle=SimpleNamespace(kept_until=kept_until),
        proved_at=None,
        launches_paused=None,
        deletions_paused=None,
    )


@pytest.mark.parametrize(
    ("state", "host"),
    list(itertools.product(get_args(SignupState), [None, *get_args(HostState)[:-1]])),
)
def test_each_state_has_its_goal(state, host) -> None:
    """Only who pays is built for, and only what is not paid for is removed."""
    goal = goal_of(record(state, host))
    if state in RESTING or (state in SERVED and host == "ready"):
        assert goal == Rest()
    elif state in SERVED | {"paid"}:
        assert goal == (Replace(2) if host == "retiring" else Serve(2))
    elif state == "stopped":
        assert goal == (Rest() if host is None else Stop(2))
    else:
        withdraw = Withdraw(money_back=True)
        gone = {"ending": End(), "deleting": Erase(), "refunding": withdraw}
        assert goal == gone[state]


@pytest.mark.parametrize(
    ("state", "host"),
    list(itertools.product(get_args(SignupState), get_args(HostState)[:-1])),
)
def test_the_name_of_a_served_customers_host_is_led(state, host) -> None:
    """Where the journal knows no address of a ready host, its name is led there."""
    known = record(state, host)
    known.host.address = None
    led = state in SERVED and host == "ready"
    assert (goal_of(known) == Lead()) is led


@pytest.mark.parametrize("kept_until", [None, "a day"])
@pytest.mark.parametrize("state", ["paid", "refunded"])
def test_a_withdrawal_knows_what_is_left_to_do(state, kept_until) -> None:
    """The kept payment goes back once, and the data of a former customer stays."""
    session = SimpleNamespace(session_id="cs_1", state=state, kept=True)
    known = record("refunding", None, kept_until=kept_until, session=session)
    back, data = state == "refunded", kept_until is not None
    assert goal_of(known) == Withdraw(back, data)


@pytest.mark.parametrize("host", [None, "ready", "retiring"])
@pytest.mark.parametrize("outcome", ["an-arn", f"an-arn{READ_ONLY}", None])
@pytest.mark.parametrize(
    "state", ["active", "past-due", "suspended", "stopped", "ending"]
)
def test_a_right_that_is_not_the_states_is_changed(state, outcome, host) -> None:
    """A served customer's role is made anew when its right is not what the state says,
    or nobody knows what it is; of who leaves it is while there is a host.
    """
    made = SimpleNamespace(
        key=EffectKey("su", "role", "make-role", NO_HOST),
        state="begun" if outcome is None else "done",
        outcome=outcome,
    )
    known = record(state, host)
    goal = goal_of(evolve(known, effects=(made,)))
    paid = state in {"active", "past-due"}
    right = outcome == ("an-arn" if paid else f"an-arn{READ_ONLY}")
    served = state in SERVED and host == "ready"
    leaves = state in {"stopped", "ending"} and host is not None
    assert (goal == Permit()) == ((served or leaves) and not right)
