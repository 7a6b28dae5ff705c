"""Capacity and ports: never more given than there is."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import get_args

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy.event import listen, remove

from lae_flapp.journal import capacity, ports
from lae_flapp.journal.errors import HeldByOthers, NoPortLeft, NoRoom
from lae_protocol.messages import SignupState

NAMES = ("a", "b", "c", "d")
STATES = get_args(SignupState)
NOBODY = {"cancelled", "refunded", "deleted"}
UNPAID = {"registered", "paying", "expired"}
#: Whose bucket alone is left.
FORMER = {"ended", "deleting"}


def hold(desk, name, minutes, limits):
    now = datetime.fromtimestamp(desk.clock.seconds(), UTC)
    until = now + timedelta(minutes=minutes)
    desk.write(capacity.hold, desk.id(name), limits=limits, until=until)


def is_refused(desk, name, minutes, limits) -> bool:
    try:
        hold(desk, name, minutes, limits)
    except NoRoom as refused:
        assert refused.quota == "instances"
        return True
    return False


def taken(state, *, held):
    """What a signup takes, said another way than the code does."""
    whole = held if state in UNPAID | {"ended"} else state not in NOBODY | FORMER
    return {
        quota: 1
        for quota in get_args(capacity.Quota)
        if whole or (quota == "buckets" and state in FORMER)
    }


@settings(
    max_examples=40,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("hold"), st.sampled_from(NAMES), st.integers(1, 40)),
            st.tuples(st.just("release"), st.sampled_from(NAMES), st.none()),
            st.tuples(st.just("move"), st.sampled_from(NAMES), st.sampled_from(STATES)),
            st.tuples(st.just("wait"), st.none(), st.integers(1, 40)),
        ),
        max_size=20,
    )
)
def test_a_cell_is_never_overfull(make_desk, story) -> None:
    """Whatever is held, released, lapses and changes its state, a hold is refused
    exactly when two others have their place, and what is taken agrees with a model.
    """
    desk, limits = make_desk(), {"instances": 2}
    for name in NAMES:
        desk.register(name)
    states, ends, now = dict.fromkeys(NAMES, "registered"), dict.fromkeys(NAMES, 0), 0

    def model(*names) -> Counter:
        total = Counter()
        for name in names:
            total.update(taken(states[name], held=ends[name] > now))
        return total

    for kind, name, what in story:
        if kind == "wait":
            desk.clock.advance(what * 60)
            now += what
        elif kind == "release":
            desk.write(capacity.release, desk.id(name))
            ends[name] = 0
        elif kind == "move":
            desk.move_to(name, what)
            states[name] = what
        else:
            full = model(*(set(NAMES) - {name}))["instances"] >= 2
            assert is_refused(desk, name, what, limits) == full
            ends[name] = ends[name] if full else now + what
        assert desk.read(capacity.used, desk.cell.name) == model(*NAMES)
        for one in NAMES:
            assert desk.read(capacity.held, desk.id(one)) == model(one)


@pytest.mark.parametrize("state", STATES)
def test_every_state_takes_its_share(desk, state) -> None:
    """A signup takes what its state says, and more while its place is held where it
    may still be paid for; the very second the hold ends it counts no more.
    """
    a = desk.put_in("a", state)
    assert desk.read(capacity.used, desk.cell.name) == taken(state, held=False)
    hold(desk, "a", 30, {})
    assert desk.read(capacity.used, desk.cell.name) == taken(state, held=True)
    desk.clock.advance(30 * 60 - 1)
    assert desk.read(capacity.held, a) == taken(state, held=True)
    desk.clock.advance(1)
    assert desk.read(capacity.used, desk.cell.name) == taken(state, held=False)
    assert desk.read(capacity.held, a) == taken(state, held=False)


def test_a_refused_hold_leaves_the_old_one(desk) -> None:
    """Who cannot hold what it needs now keeps what it held."""
    desk.register("a")
    hold(desk, "a", 30, {})
    with pytest.raises(NoRoom, match="roles"):
        hold(desk, "a", 30, {"roles": 0})
    assert desk.read(capacity.held, desk.id("a")) == dict.fromkeys(capacity.WHOLE, 1)


def test_cells_are_counted_apart(desk) -> None:
    """A place in one cell takes no room in another."""
    desk.register("a")
    hold(desk, "a", 30, {"instances": 1})
    assert desk.read(capacity.used, "another") == {}


def test_capacity_is_counted_in_an_index(desk) -> None:
    """Every count looks at an index alone, at no row of a signup."""
    asked: list[tuple[str, object]] = []

    def count(tx) -> None:
        def note(_, __, statement, values, *___) -> None:
            asked.append((statement, values))

        listen(tx.connection, "before_cursor_execute", note)
        capacity.used(tx, desk.cell.name)
        remove(tx.connection, "before_cursor_execute", note)
        for statement, values in asked:
            plan = tx.connection.exec_driver_sql(
                f"EXPLAIN QUERY PLAN {statement}", values
            )
            steps = [row.detail for row in plan if "signups" in row.detail]
            assert steps
            assert all("COVERING INDEX" in step for step in steps), steps

    desk.read(count)
    assert asked


def test_ports_are_allotted_for_life(desk) -> None:
    """A signup's ports are its own, the same at each asking, until they are freed."""
    a, b = desk.register("a").signup_id, desk.register("b").signup_id
    both = ("introducer", "storage")

    def allot(who):
        return desk.write(ports.allot, who, desk.cell.name, range(7000, 7003), both)

    first = allot(a)
    assert first == {"introducer": 7000, "storage": 7001}
    assert allot(a) == first
    with pytest.raises(NoPortLeft, match="7000 to 7002"):
        allot(b)
    assert desk.read(ports.of, b) == {}
    desk.write(ports.free, a)
    assert allot(b) == first


def test_holds_share_what_is_free(desk) -> None:
    """Holds have their share of what nobody has paid for; what is paid counts apart."""
    limits = {"instances": 10}
    for number in range(6):
        desk.put_in(f"paid{number}", "active")
    for name in ("a", "b", "c"):
        desk.register(name)

    def hold_half(name) -> None:
        until = datetime.fromtimestamp(desk.clock.seconds() + 60, UTC)
        desk.write(capacity.hold, desk.id(name), limits=limits, until=until, share=0.5)

    hold_half("a")
    hold_half("b")
    with pytest.raises(HeldByOthers):
        hold_half("c")
    hold_half("b")
    hold(desk, "c", 1, limits)
