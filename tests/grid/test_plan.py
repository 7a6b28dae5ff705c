"""The plan is total, never makes what may exist, and always ends."""

from __future__ import annotations

import itertools

import pytest
from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st

from lae_flapp.grid.goals import End, Erase, Lead, Replace, Rest, Serve, Stop, Withdraw
from lae_flapp.grid.plan import (
    Await,
    Close,
    GiveBack,
    GivePartBack,
    Look,
    LookAgain,
    Make,
    NextHost,
    Patience,
    PayBack,
    Repeat,
    Retire,
    TellStripe,
    Unmake,
    backward,
    forward,
    plan,
)
from lae_flapp.grid.sights import (
    Absent,
    Asked,
    Astray,
    Awaited,
    Broken,
    Invisible,
    Present,
    Sights,
    Spent,
    Unlooked,
    Unsettled,
)
from lae_flapp.grid.steps import HOSTING, REMOVABLE, SERVING, StepName

PATIENCE = Patience()
#: What can be seen, and so removed.
THERE = (Present, Unsettled, Broken, Astray)
NOW = 1000.0

#: Every kind of sight, on both sides of its time where it has one.
KINDS = (
    Unlooked(),
    Absent(),
    *(kind(NOW - 70, NOW - 11) for kind in (Asked, Invisible, Spent)),
    *(kind(NOW - 70, NOW - 10) for kind in (Asked, Invisible, Spent)),
    Unsettled(),
    Broken(),
    Astray(),
    Awaited(NOW + 1),
    Awaited(NOW),
    Present(),
)

sights = st.fixed_dictionaries({step: st.sampled_from(KINDS) for step in StepName}).map(
    lambda seen: Sights(NOW, tuple(seen.items()))
)
goals = st.sampled_from(
    [
        Rest(),
        Serve(1),
        Replace(1),
        Withdraw(money_back=False),
        Withdraw(money_back=True),
        Withdraw(money_back=True, data=True),
        Stop(1),
        End(),
        Erase(),
    ]
)


def seen(**kinds):
    """Sights in which steps not named are present."""
    every = {step: Present() for step in StepName}
    named = {StepName[name.upper()]: kind for name, kind in kinds.items()}
    return Sights(NOW, tuple((every | named).items()))


@pytest.mark.parametrize(
    ("step", "kind"), list(itertools.product(StepName, KINDS)), ids=str
)
def test_every_pair_of_the_tables_is_decided(step, kind):
    """Both tables answer for each step and each kind of sight."""
    sights = Sights(NOW, ((step, kind),))
    onwards = forward(step, 1, sights, PATIENCE)
    assert (onwards is None) == isinstance(kind, Present)
    back = backward(step, sights, PATIENCE)
    assert isinstance(back, Look | LookAgain | Unmake | None)


@given(goals, sights)
def test_no_host_goes_before_its_name(goal, sights):
    """A host, and so its address, is given back only once no record can lead there."""
    steps = [a.step for a in plan(goal, sights, PATIENCE) if isinstance(a, Unmake)]
    if StepName.HOST in steps:
        before = steps[: steps.index(StepName.HOST)]
        gone = isinstance(sights.of(StepName.ADDRESS), (Absent, Awaited))
        late = isinstance(sights.of(StepName.ADDRESS), Asked | Invisible | Spent)
        assert gone or late or StepName.ADDRESS in before


@given(sights)
def test_a_name_is_led_whatever_was_seen(sights):
    """A served customer's name is looked for, and then made to lead to the host; what
    leads astray is removed first, and nothing else is touched.
    """
    (action,) = plan(Lead(), sights, PATIENCE)
    assert action.step is StepName.ADDRESS
    kind = sights.of(StepName.ADDRESS)
    assert isinstance(action, Unmake) == isinstance(kind, Astray)
    assert isinstance(action, Look) == (kind == Unlooked())


@given(goals, sights)
def test_no_second_host_is_made(goal, sights):
    """A host is made only where none of its generation was ever asked for."""
    if Make(StepName.HOST) in plan(goal, sights, PATIENCE):
        kind = sights.of(StepName.HOST)
        assert kind == Absent()


@given(goals, sights)
def test_nothing_is_made_before_looking(goal, sights):
    """A step that nobody has looked for is looked for first."""
    for action in plan(goal, sights, PATIENCE):
        if isinstance(action, Make | Repeat | Unmake):
            assert sights.of(action.step) != Unlooked()


@given(goals, sights)
def test_only_what_is_seen_is_unmade(goal, sights):
    """What is not visible is not removed blindly: it might survive its removal."""
    for action in plan(goal, sights, PATIENCE):
        if isinstance(action, Unmake):
            assert isinstance(sights.of(action.step), THERE)


@given(
    sights,
    st.sampled_from(
        [
            (Withdraw(money_back=True), REMOVABLE),
            (Withdraw(money_back=True, data=True), SERVING),
            (End(), SERVING),
            (Erase(), REMOVABLE),
        ]
    ),
)
def test_it_closes_only_when_nothing_can_be_left(sights, goal_and_steps):
    """Over is said only when everything that has to go is gone or about to be; and
    nothing else goes.
    """
    goal, steps = goal_and_steps
    actions = plan(goal, sights, PATIENCE)
    removed = {a.step for a in actions if isinstance(a, Unmake)}
    assert removed <= set(steps)
    if Close() in actions:
        for step in steps:
            kind = sights.of(step)
            assert not isinstance(kind, Unlooked)
            if isinstance(kind, THERE):
                assert step in removed
            if isinstance(kind, Asked | Invisible | Spent):
                assert kind.looked >= kind.since + PATIENCE.visibility


@given(goals, sights)
def test_stripe_is_told_before_anything_goes(goal, sights):
    """What was decided of the subscription is told first, whatever the goal."""
    actions = plan(goal, evolve(sights, untold=True), PATIENCE)
    assert actions == (TellStripe(), *plan(goal, sights, PATIENCE))


@given(goals, sights)
def test_what_is_owed_goes_back_before_that(goal, sights):
    """Each payment that is not kept goes back, whatever the goal."""
    sights = evolve(sights, untold=True)
    actions = plan(goal, evolve(sights, owed=("cs_2", "cs_3")), PATIENCE)
    owed = (PayBack("cs_2"), PayBack("cs_3"))
    assert actions == (*owed, *plan(goal, sights, PATIENCE))


@given(goals, sights)
def test_what_is_granted_goes_back_before_that(goal, sights):
    """What an operator gives back does not wait for the cloud, whatever the goal."""
    sights = evolve(sights, untold=True)
    actions = plan(goal, evolve(sights, owed=("cs_2",), granted=True), PATIENCE)
    first = (PayBack("cs_2"), GivePartBack())
    assert actions == (*first, *plan(goal, sights, PATIENCE))


@given(sights)
def test_money_goes_back_first(sights):
    """A customer's money does not wait for the cloud."""
    actions = plan(Withdraw(money_back=False), sights, PATIENCE)
    assert actions[0] == GiveBack()
    assert GiveBack() not in plan(Withdraw(money_back=True), sights, PATIENCE)


@given(sights)
def test_the_mail_comes_last(sights):
    """Nobody is told that it is ready before every other step is as it should be."""
    actions = plan(Serve(1), sights, PATIENCE)
    if Make(StepName.MAIL) in actions:
        planned = {a.step for a in actions if isinstance(a, Make | Repeat)}
        for step in StepName:
            assert step in planned or isinstance(sights.of(step), Present)
        assert actions[-1] == Make(StepName.MAIL)


@given(sights, st.sampled_from([Replace(1), Stop(1)]))
def test_the_next_host_waits_until_the_old_one_is_gone(sights, goal):
    """The generation grows only when no host of the old one can be left, nor a name
    that leads to it; and nothing else goes.
    """
    steps = HOSTING
    actions = plan(goal, sights, PATIENCE)
    removed = {a.step for a in actions if isinstance(a, Unmake)}
    assert removed <= set(steps)
    if actions[-1] != NextHost(1):
        assert isinstance(actions[-1], Look | LookAgain)
        return
    for step in steps:
        kind = sights.of(step)
        assert not isinstance(kind, Unlooked)
        assert isinstance(kind, THERE) == (step in removed)
        if isinstance(kind, Asked | Invisible | Spent):
            assert kind.looked >= kind.since + PATIENCE.visibility


@settings(max_examples=100)
@given(sights, st.booleans())
def test_a_cloud_that_obeys_is_brought_to_the_goal(  # noqa: C901, PLR0912  (a model)
    sights, withdrawing
):
    """Doing the first action again and again ends, in a bounded number of actions."""
    goal = Withdraw(money_back=False) if withdrawing else Serve(1)
    state, now = dict(sights.seen), sights.now
    for _ in range(60):
        actions = plan(goal, Sights(now, tuple(state.items())), PATIENCE)
        if not actions:
            break
        match actions[0]:
            case Make(step) | Repeat(step) | Await(step, _):
                state[step] = Present()
            case Look(step) | Unmake(step):
                state[step] = Absent()
            case LookAgain(step):
                now += 30
                state[step] = evolve(state[step], looked=now)
            case GiveBack():
                goal = Withdraw(money_back=True)
            case Retire(generation):
                goal = Replace(generation)
            case NextHost(generation):
                goal = Serve(generation + 1)
                for step in (StepName.HOST, StepName.CLAIMED, StepName.SELF_TEST):
                    state[step] = Absent()
            case Close():
                break
    else:
        raise AssertionError("no end")
    if withdrawing:
        assert not any(isinstance(state[s], THERE) for s in REMOVABLE)
    else:
        assert all(isinstance(kind, Present) for kind in state.values())


def test_dry_run_of_a_fresh_signup():
    """What a signup that was just paid will need, from the first step to the mail."""
    nothing = Sights(NOW, tuple((step, Absent()) for step in StepName))
    assert plan(Serve(1), nothing, PATIENCE) == tuple(Make(s) for s in StepName)


def test_a_lost_reply_is_answered_with_the_same_request():
    """A launch without an outcome is repeated, not made anew."""
    actions = plan(Serve(1), seen(host=Asked(0.0, NOW)), PATIENCE)
    assert actions == (Repeat(StepName.HOST),)


def test_a_host_is_given_its_time_to_claim():
    """Until the deadline somebody else's turn is waited for, and nothing else done."""
    actions = plan(Serve(3), seen(claimed=Awaited(NOW + 1)), PATIENCE)
    assert actions == (Await(StepName.CLAIMED, NOW + 1),)


def test_a_host_that_claimed_too_late_is_replaced():
    """The deadline of a claim passes: the host is retired."""
    actions = plan(Serve(3), seen(claimed=Awaited(NOW)), PATIENCE)
    assert actions == (Retire(3),)


@pytest.mark.parametrize("step", ["claimed", "self_test"])
def test_a_host_that_never_got_an_address_is_replaced_in_its_time(step):
    """Waiting for an address does not outlast the time that a host has to come."""
    waiting = seen(address=Absent(), **{step: Awaited(NOW + 1)})
    assert plan(Serve(3), waiting, PATIENCE)[0] == Make(StepName.ADDRESS)
    late = seen(address=Absent(), **{step: Awaited(NOW)})
    assert plan(Serve(3), late, PATIENCE) == (Retire(3),)


def test_a_host_that_stays_invisible_is_replaced_and_not_made_again():
    """A host that was made and never showed makes room for the next generation."""
    assert plan(Serve(1), seen(host=Invisible(NOW - 60, NOW)), PATIENCE) == (Retire(1),)


@pytest.mark.parametrize(
    ("goal", "steps"),
    [
        (Withdraw(money_back=True), REMOVABLE),
        (Withdraw(money_back=True, data=True), SERVING),
        (End(), SERVING),
        (Erase(), REMOVABLE),
    ],
)
def test_all_that_has_to_go_goes_and_nothing_else(goal, steps):
    """Of a whole grid each goal removes what it is for, in its order, and closes."""
    assert plan(goal, seen(), PATIENCE) == (*(Unmake(s) for s in steps), Close())


def test_a_dry_run_goes_on_after_a_repeat():
    """What is left after a request that is sent again is planned too."""
    sights = seen(role=Asked(0.0, NOW), host=Absent(), address=Unlooked())
    assert plan(Serve(1), sights, PATIENCE) == (
        Repeat(StepName.ROLE),
        Make(StepName.HOST),
        Look(StepName.ADDRESS),
    )


def test_a_failed_launch_is_waited_for_and_a_failed_bucket_is_not():
    """An earlier copy of a launch may still be on its way; under the grid's own name
    another request makes no second thing.
    """
    spent = Spent(NOW - 10, NOW)
    assert plan(Serve(1), seen(host=spent), PATIENCE) == (LookAgain(StepName.HOST),)
    assert plan(Serve(1), seen(bucket=spent), PATIENCE)[0] == Make(StepName.BUCKET)
    spent = Spent(NOW - 60, NOW)
    assert plan(Serve(1), seen(host=spent), PATIENCE) == (Retire(1),)
