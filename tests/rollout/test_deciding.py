"""What is next in a rollout, decided without I/O."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import get_args

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from lae_flapp.journal import rollouts
from lae_flapp.rollout import states
from lae_flapp.rollout.deciding import decide
from lae_flapp.rollout.states import (
    HostSeen,
    MarkHost,
    MoveRollout,
    Rollout,
    RolloutBounds,
    RolloutSeen,
    TellHost,
    ToldHost,
    TryClient,
)
from lae_flapp.rollout.waiting import what_it_waits_for
from lae_protocol.host_messages import ProgramTrouble

NOW = datetime(2026, 11, 30, tzinfo=UTC)
BOUNDS = RolloutBounds()
ROLLOUT = Rollout(3, "new", "going", canaries=2, step=10, pause=timedelta(minutes=30))


def ago(**spans: float) -> datetime:
    return NOW - timedelta(**spans)


def host(name: str = "su1", **changes: object) -> HostSeen:
    made = HostSeen(
        signup_id=name,
        generation=1,
        zone="a",
        alive=True,
        wanted=True,
        writes=True,
        program="old",
        ready=True,
        problem=None,
        trouble="",
        heard=NOW,
    )
    return evolve(made, **changes)


def told(outcome: str = "told", *, step: int = 0, **changes: object) -> ToldHost:
    made = ToldHost(step, outcome, "old", ago(minutes=5), ago(minutes=4))  # type: ignore[arg-type]
    return evolve(made, **changes)


def proved(name: str, step: int = 0, **changes: object) -> HostSeen:
    row = told("proved", step=step, since=ago(hours=1))
    return host(name, program="new", told=row, **changes)


def seen(*hosts: HostSeen, state: str = "going") -> RolloutSeen:
    return RolloutSeen(evolve(ROLLOUT, state=state), hosts, NOW, up=ago(days=1))


def next_of(*hosts: HostSeen, state: str = "going", tried=None):
    return decide(seen(*hosts, state=state), tried or {}, BOUNDS)


def came(**spans: float) -> ToldHost:
    return told(came_at=ago(**spans))


def others(many: int, first: int = 10, **changes: object) -> list[HostSeen]:
    return [host(f"su{number}", **changes) for number in range(first, first + many)]


def test_the_words_are_the_journals() -> None:
    """States, outcomes and troubles are those that are journaled and reported."""
    assert get_args(states.State) == get_args(rollouts.RolloutState)
    assert get_args(states.HostOutcome) == get_args(rollouts.HostOutcome)
    assert {"", *states.TROUBLES} == set(get_args(ProgramTrouble))
    assert set(states.TROUBLES) > states.PASSING


def test_the_canaries_are_of_one_zone_and_may_write() -> None:
    """The first step is as many canaries, of customers who may write where there are
    any, all in the first zone that has a host.
    """
    fleet = [
        *others(5, zone="b"),
        *others(4, first=20, zone="a"),
        *others(4, first=30, zone="a", writes=False),
    ]
    first = next_of(*fleet)
    assert len(first) == 2
    for one in first:
        assert isinstance(one, TellHost)
        assert (one.step, one.before) == (0, "old")
        assert one.signup_id in {
            h.signup_id for h in fleet if h.zone == "a" and h.writes
        }


def test_canaries_are_others_in_each_rollout() -> None:
    """The same customers are not the canaries of every rollout."""
    fleet = tuple(others(30))
    chosen = set()
    for number in range(10):
        looked = evolve(seen(*fleet), rollout=evolve(ROLLOUT, number=number))
        chosen.update(one.signup_id for one in decide(looked, {}, BOUNDS))
    assert len(chosen) > 10


def test_a_zone_begins_when_the_one_before_is_through() -> None:
    """A step takes what is left of a zone, and none of the next one."""
    fleet = [proved("su1"), *others(2, zone="a"), *others(37, first=20, zone="b")]
    step = next_of(*fleet)
    assert {one.signup_id for one in step} == {"su10", "su11"}
    assert {one.step for one in step} == {1}
    step = next_of(*[proved(f"su{n}", n % 2) for n in range(3)], *others(37, zone="b"))
    assert len(step) == 4, "ten percent of all hosts"


def test_the_next_step_waits_for_the_pause() -> None:
    """A step begins when the pause is over, and not before."""
    early = host("su1", program="new", told=told("proved", since=ago(minutes=29)))
    assert next_of(early, *others(9)) == ()
    late = evolve(early, told=told("proved", since=ago(minutes=30)))
    assert len(next_of(late, *others(9))) == 1


@pytest.mark.parametrize("outcome", ["told", "back"])
def test_the_next_step_waits_for_the_one_before(outcome) -> None:
    """While a host is on its way, there or back, no other is told."""
    row = told(outcome, step=1, since=ago(minutes=10), heard_at=None)
    assert next_of(proved("su1"), host("su2", told=row), *others(9)) == ()


@pytest.mark.parametrize(
    ("one", "outcome"),
    [
        (host(told=told()), None),
        (host(told=told(since=ago(minutes=15))), "back"),
        (host(told=told(since=ago(minutes=14))), None),
        (host(told=told(), trouble="did-not-start"), "back"),
        (host(told=told(heard_at=None), trouble="did-not-start"), None),
        (host(told=told(heard_at=ago(minutes=2)), trouble="cannot-pull"), None),
        (host(told=told(heard_at=ago(minutes=3)), trouble="cannot-pull"), "back"),
        (host(told=came(minutes=1), program="new", ready=False), None),
        (host(told=came(minutes=3), program="new", ready=False), "back"),
        (host(told=came(minutes=3), program="new", problem="no bucket"), "back"),
        (host(told=came(minutes=1), program="new", writes=False), "proved"),
        (host(told=told(), alive=False), "left"),
        (host(told=told("proved"), program="new"), None),
        (host(told=told("proved"), program="new", alive=False), "left"),
        (host(told=told("proved"), program="old"), "back"),
        (host(told=told("proved"), program="new", trouble="did-not-start"), "back"),
        (host(told=told("back")), "returned"),
        (host(told=told("back", heard_at=None)), None),
        (host(told=told("back"), ready=False), None),
        (host(told=told("back"), program="new"), None),
        (host(told=told("back", since=ago(minutes=15)), program="new"), "stuck"),
        (host(told=told("back"), alive=False), "left"),
        (host(told=told("returned")), None),
        (host(told=told("stuck")), None),
        (host(told=told("left"), alive=False), None),
    ],
)
def test_each_host_is_judged_by_what_it_says(one, outcome) -> None:
    """What becomes of a host follows from its row, its last report and the time."""
    found = next_of(one, state="paused")
    marks = [mark for mark in found if isinstance(mark, MarkHost)]
    assert [mark.outcome for mark in marks] == ([] if outcome is None else [outcome])


def test_a_client_decides_of_a_canary() -> None:
    """A canary is proved when a client succeeded; one that fails is tried again while
    the host may settle.
    """
    early, late = (
        host(told=came(minutes=minutes), program="new") for minutes in (1, 3)
    )
    assert next_of(early) == (TryClient("su1", 1),)
    assert next_of(early, tried={"su1": None}) == (MarkHost("su1", 1, "proved"),)
    assert next_of(early, tried={"su1": "no"}) == ()
    assert next_of(late, tried={"su1": "no"})[0] == MarkHost("su1", 1, "back", "no")


def test_a_client_tries_at_some_of_each_step() -> None:
    """Of a later step a client tries at a few; the others are proved by their word."""
    row = came(minutes=1)
    step = [
        host(f"su{number}", program="new", told=evolve(row, step=2))
        for number in range(10, 18)
    ]
    found = next_of(proved("su1"), *step)
    assert sum(isinstance(one, TryClient) for one in found) == BOUNDS.clients
    assert sum(isinstance(one, MarkHost) for one in found) == 8 - BOUNDS.clients


def failed(name: str, step: int) -> HostSeen:
    return host(name, told=told("returned", step=step, what="it did not start"))


def test_one_canary_is_enough_and_later_one_in_fifty() -> None:
    """A canary that failed takes all back; of later hosts one in fifty may fail."""
    well = [proved(f"su{number}", 1) for number in range(10, 59)]
    (back,) = next_of(failed("su1", 0), *well)
    assert isinstance(back, MoveRollout)
    assert (back.state, back.why) == ("going-back", "the canary su1: it did not start")
    assert next_of(proved("su0"), failed("su1", 1), *well) != (back,)
    (back,) = next_of(proved("su0"), failed("su1", 1), *well[:40])
    assert back.why == "1 of 42 hosts failed, su1: it did not start"


@pytest.mark.parametrize(("ill_of_others", "state"), [(0, "going-back"), (10, None)])
def test_illness_is_compared_with_the_others(ill_of_others, state) -> None:
    """Hosts with the program that are ill take it back if the others are well; if they
    are ill too, the rollout waits.
    """
    ill = [proved(f"su{number}", 1, problem="ill") for number in range(5)]
    ill += [proved(f"su{number}", 1) for number in range(5, 10)]
    fleet = [*ill, *others(20 - ill_of_others)]
    fleet += others(ill_of_others, first=50, problem="ill")
    found = next_of(*fleet)
    assert [one.state for one in found] == ([] if state is None else [state])


def test_what_was_not_heard_while_the_daemon_was_away_counts_for_nobody() -> None:
    """Silence and patience count from the daemon's start at the earliest."""
    silent = proved("su1", heard=ago(hours=5))
    waiting = host("su2", told=told(since=ago(hours=5)), heard=ago(hours=5))
    looked = seen(silent, waiting, *others(5, heard=ago(hours=5)))
    assert decide(evolve(looked, up=ago(minutes=1)), {}, BOUNDS) == ()
    assert decide(looked, {}, BOUNDS) != ()


def test_it_ends() -> None:
    """It is finished when no host is left that can be told it; and gone back when none
    is waited for.
    """
    away = host("su9", heard=ago(hours=1))
    (finished,) = next_of(proved("su1"), away, host("su8", program=""))
    assert (finished.state, finished.why) == ("finished", "1 hosts run it")
    (nothing,) = next_of(away)
    assert nothing.state == "going-back"
    found = next_of(host(told=told("back")), state="going-back")
    assert [type(one) for one in found] == [MarkHost, MoveRollout]
    assert next_of(proved("su1"), state="paused") == ()
    for state in ("finished", "gone-back"):
        assert next_of(host(told=told()), state=state) == ()


HOSTS = st.builds(
    host,
    st.sampled_from([f"su{number}" for number in range(8)]),
    zone=st.sampled_from("ab"),
    alive=st.booleans(),
    wanted=st.booleans(),
    writes=st.booleans(),
    program=st.sampled_from(["", "old", "new"]),
    ready=st.booleans(),
    problem=st.sampled_from([None, "ill"]),
    trouble=st.sampled_from(["", *states.TROUBLES]),
    heard=st.sampled_from([None, NOW, ago(hours=1)]),
    told=st.none()
    | st.builds(
        ToldHost,
        st.integers(0, 3),
        st.sampled_from(get_args(states.HostOutcome)),
        st.just("old"),
        st.sampled_from([NOW, ago(minutes=10), ago(hours=2)]),
        st.sampled_from([None, ago(minutes=9)]),
        st.sampled_from([None, ago(minutes=8)]),
        st.sampled_from([None, "it failed"]),
    ),
)


@given(
    st.lists(HOSTS, max_size=8, unique_by=lambda one: one.signup_id),
    st.sampled_from(get_args(states.State)),
)
def test_whatever_is_seen_is_decided(hosts, state) -> None:
    """Anything that is seen has an answer, with words for operators; a host that is told
    the program serves well, runs a known one, and is told it once.
    """
    looked = seen(*hosts, state=state)
    assert isinstance(what_it_waits_for(looked, BOUNDS), str)
    actions = decide(looked, {}, BOUNDS)
    by_id = {one.signup_id: one for one in hosts}
    tells = [one for one in actions if isinstance(one, TellHost)]
    assert len({one.signup_id for one in tells}) == len(tells)
    assert len({by_id[one.signup_id].zone for one in tells}) <= 1
    assert not tells or len(tells) == len(actions)
    for one in tells:
        target = by_id[one.signup_id]
        assert state == "going"
        assert target.told is None
        assert target.ready
        assert target.problem is None
        assert target.program == one.before == "old"
