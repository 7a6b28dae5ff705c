"""Signups: registered once, changed by compare-and-set, known to their owner."""

from __future__ import annotations

from itertools import product

import pytest
from attrs import evolve
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lae_flapp.journal import cells, events, signups
from lae_flapp.journal.errors import (
    CellChanged,
    ForbiddenMove,
    NotOwner,
    StateChanged,
    Unknown,
)
from lae_flapp.journal.events import PUBLIC_KINDS
from lae_flapp.journal.signups import MOVES
from lae_protocol.ids import OwnerSecret, new_grid_label

STATES = sorted(MOVES)
ONE_DESK = [HealthCheck.function_scoped_fixture]


def move(desk, name, frm, to):
    return desk.write(
        signups.move, desk.id(name), frm, to, kind="delayed", who="test", why="because"
    )


def test_a_doubled_form_is_one_signup(desk) -> None:
    """The same form sent twice finds its row, label and event of the first time."""
    first, second = desk.register("a"), desk.register("a")
    assert first == second
    assert [one.kind for one in desk.read(events.since, first.signup_id, 0)] == [
        "registered"
    ]


def test_what_was_agreed_stays(desk) -> None:
    """A form sent again with another plan changes nothing of what was agreed."""
    first = desk.register("a")
    dearer = evolve(first.agreement, plan=evolve(first.agreement.plan, price=99_999))
    again, new = desk.write(
        signups.register,
        desk.id("a"),
        desk.secret("a"),
        grid_label=new_grid_label(),
        cell=desk.cell,
        agreement=dearer,
    )
    assert not new
    assert again.agreement == first.agreement
    assert first.agreement.plan.price == 500


def test_an_id_is_not_taken_over_with_another_secret(desk) -> None:
    """Registering a known id under another secret is refused and changes nothing."""
    first = desk.register("a")
    with pytest.raises(NotOwner):
        desk.write(
            signups.register,
            first.signup_id,
            OwnerSecret("of somebody else"),
            grid_label=new_grid_label(),
            cell=desk.cell,
            agreement=first.agreement,
        )
    assert desk.read(signups.owned, first.signup_id, desk.secret("a")) == first


def test_unknown_and_not_yours_are_one_answer(desk) -> None:
    """A wrong secret and an unknown id get the same answer; the owner gets the row."""
    mine = desk.register("a")
    desk.register("b")
    assert desk.read(signups.owned, mine.signup_id, desk.secret("a")) == mine
    assert desk.read(signups.owned, mine.signup_id, desk.secret("b")) is None
    assert desk.read(signups.owned, desk.id("nobody"), desk.secret("a")) is None


def test_the_owner_secret_is_not_in_the_file(desk) -> None:
    """The journal's files hold the hash of a secret, never the secret."""
    desk.register("a")
    desk.close()
    text = b"".join(one.read_bytes() for one in desk.folder.iterdir())
    assert desk.secret("a").reveal().encode() not in text
    assert desk.secret("a").hashed().encode() in text


@pytest.mark.parametrize(("frm", "to"), list(product(STATES, STATES)))
def test_every_pair_of_states(desk, frm, to) -> None:
    """A signup goes exactly the ways of the table, with one event each time; any
    other way is refused and leaves no trace.
    """
    a = desk.put_in("a", frm)
    if to in MOVES[frm]:
        assert move(desk, "a", {frm}, to).state == to
        last = desk.read(events.since, a, 0)[-1]
        assert (last.kind, last.who, last.why) == ("delayed", "test", "because")
    else:
        with pytest.raises(ForbiddenMove):
            move(desk, "a", {frm}, to)
        assert desk.read(signups.get, a).state == frm
        assert desk.read(events.last_number, None) == 1


def reached_from(state: str) -> set[str]:
    """Every state that some chain of moves leads to."""
    reached, new = set(), {state}
    while new:
        reached |= new
        new = {to for frm in new for to in MOVES[frm]} - reached
    return reached


def test_refunding_is_one_way() -> None:
    """From refunding nothing is served without another payment: it ends as refunded,
    or, where a former customer's data is kept, as ended.
    """
    assert MOVES["refunding"] == {"refunded", "ended"}
    assert MOVES["ended"] == {"paid", "deleting"}
    assert MOVES["refunded"] == frozenset()


def test_deleting_is_one_way() -> None:
    """From deleting no chain of moves leads anywhere but to deleted."""
    assert reached_from("deleting") == {"deleting", "deleted"}


def test_a_late_ready_is_turned_away(desk) -> None:
    """What would make a refunding signup active finds another state and changes
    nothing.
    """
    a = desk.put_in("a", "refunding")
    with pytest.raises(StateChanged) as refused:
        move(desk, "a", {"paid"}, "active")
    assert refused.value.actual == "refunding"
    assert desk.read(signups.get, a).state == "refunding"


def test_nobody_moves_what_is_not_there(desk) -> None:
    """Moving or asking for an unknown signup says so."""
    with pytest.raises(Unknown):
        move(desk, "nobody", {"registered"}, "paying")
    with pytest.raises(Unknown):
        desk.read(signups.get, desk.id("nobody"))
    assert desk.read(signups.find, desk.id("nobody")) is None


@settings(max_examples=40, suppress_health_check=ONE_DESK)
@given(
    st.lists(
        st.tuples(
            st.sets(st.sampled_from(STATES), min_size=1), st.sampled_from(STATES)
        ),
        max_size=12,
    )
)
def test_compare_and_set_is_a_model_of_one_variable(make_desk, attempts) -> None:
    """However moves are tried, the row is what a plain variable would be, and each
    move that happened has one event.
    """
    desk = make_desk()
    a = desk.register("a").signup_id
    state, happened = "registered", 0
    for frm, to in attempts:
        allowed = all(to in MOVES[one] for one in frm)
        try:
            moved = move(desk, "a", frm, to)
        except ForbiddenMove:
            assert not allowed
        except StateChanged as refused:
            assert allowed
            assert state not in frm
            assert refused.actual == state
        else:
            assert allowed
            assert state in frm
            assert moved.state == to
            state, happened = to, happened + 1
        assert desk.read(signups.get, a).state == state
    assert len(desk.read(events.since, a, 0)) == 1 + happened


def test_the_worker_finds_its_work(desk) -> None:
    """Signups in the states asked for come oldest first, and no others."""
    for name, state in [("a", "paid"), ("b", "active"), ("c", "refunding")]:
        desk.put_in(name, state)
    found = desk.read(signups.in_states, {"paid", "refunding"})
    assert [one.signup_id for one in found] == [desk.id("a"), desk.id("c")]


def test_a_problem_keeps_its_beginning(desk) -> None:
    """Why a signup waits may change; since when it waits does not, until it ends."""
    a = desk.register("a").signup_id
    desk.write(signups.set_problem, a, "no room")
    since = desk.read(signups.get, a).problem_at
    desk.clock.advance(60)
    desk.write(signups.set_problem, a, "still no room")
    assert desk.read(signups.get, a).problem_at == since
    desk.write(signups.set_problem, a, None)
    assert desk.read(signups.get, a).problem is None
    assert desk.read(signups.get, a).problem_at is None


def test_a_cell_is_what_it_was(desk) -> None:
    """A cell's name never means another account, region, zone or domain."""
    signup = desk.register("a")
    assert signup.cell == desk.cell
    assert desk.read(cells.every) == (desk.cell,)
    with pytest.raises(CellChanged):
        desk.write(cells.put, evolve(desk.cell, region="elsewhere"))


def test_private_notes_have_no_public_kind(desk) -> None:
    """What customers may see is never noted as if they did not."""
    for kind in sorted(PUBLIC_KINDS):
        with pytest.raises(AssertionError):
            desk.write(events.note, None, kind, "test")
