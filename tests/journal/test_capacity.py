"""Capacity and ports: never more given than there is."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lae_flapp.journal import capacity, ports
from lae_flapp.journal.errors import NoPortLeft, NoRoom

NAMES = ("a", "b", "c", "d")
MINUTES = st.sampled_from([1, 30, None])


def hold(desk, name, minutes, limits):
    now = datetime.fromtimestamp(desk.clock.seconds(), UTC)
    until = None if minutes is None else now + timedelta(minutes=minutes)
    desk.write(capacity.hold, desk.id(name), desk.cell.name, limits=limits, until=until)


@settings(
    max_examples=40,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("hold"), st.sampled_from(NAMES), MINUTES),
            st.tuples(st.just("release"), st.sampled_from(NAMES), st.none()),
            st.tuples(st.just("wait"), st.none(), st.integers(1, 40)),
            st.tuples(st.just("sweep"), st.none(), st.none()),
        ),
        max_size=20,
    )
)
def test_a_cell_is_never_overfull(make_desk, story) -> None:
    """Whatever is held, kept, lapsed and released, a cell for two holds two at most,
    says no only when two others have it, and agrees with a model.
    """
    desk, limits = make_desk(), {"instances": 2, "buckets": 3}
    for name in NAMES:
        desk.register(name)
    model, now = {}, 0
    for kind, name, minutes in story:
        alive = {one for one, end in model.items() if end is None or end > now}
        if kind == "wait":
            desk.clock.advance(minutes * 60)
            now += minutes
        elif kind == "sweep":
            desk.write(capacity.release_lapsed)
        elif kind == "release":
            desk.write(capacity.release, desk.id(name))
            model.pop(name, None)
        else:
            try:
                hold(desk, name, minutes, limits)
            except NoRoom as refused:
                assert refused.quota == "instances"
                assert len(alive - {name}) == 2
            else:
                assert len(alive - {name}) < 2
                model[name] = None if minutes is None else now + minutes
        alive = {one for one, end in model.items() if end is None or end > now}
        used = desk.read(capacity.used, desk.cell.name)
        assert used == ({q: len(alive) for q in capacity.ONE_SIGNUP} if alive else {})


def test_a_refused_hold_leaves_the_old_one(desk) -> None:
    """Who cannot hold what it needs now keeps what it held."""
    desk.register("a")
    hold(desk, "a", 30, {})
    with pytest.raises(NoRoom, match="roles"):
        hold(desk, "a", 30, {"roles": 0})
    assert desk.read(capacity.held, desk.id("a")) == capacity.ONE_SIGNUP


def test_cells_are_counted_apart(desk) -> None:
    """A holding in one cell takes no room in another."""
    desk.register("a")
    hold(desk, "a", None, {"instances": 1})
    assert desk.read(capacity.used, "another") == {}


def test_sweeping_tells_how_many_lapsed(desk) -> None:
    """Removing what lapsed leaves what is kept."""
    desk.register("a")
    desk.register("b")
    hold(desk, "a", 1, {})
    hold(desk, "b", None, {})
    desk.clock.advance(61)
    assert desk.write(capacity.release_lapsed) == len(capacity.ONE_SIGNUP)
    assert desk.read(capacity.held, desk.id("b")) == capacity.ONE_SIGNUP


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
