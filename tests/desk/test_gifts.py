"""Subscriptions free of charge: who is given one, how, and what is refused."""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from attrs import evolve
from twisted.internet.defer import Deferred

from lae_flapp.desk.operators.cancelling import Cancelling
from lae_flapp.journal import capacity, contacts, events, gifts, signups
from lae_protocol.messages import Done, Refused
from lae_protocol.operator_messages import GiveFree
from tests.twins.journal import answer

sys.path.insert(0, str(Path(__file__).parent))
try:
    from an_operator_desk import CELL, PLAN
    from operator_daemon import EMAILS, id_of
    from test_operator import Edge, edge  # noqa: F401  (a fixture)
finally:
    sys.path.pop(0)

ACTIVE = id_of(0)


def last_event(edge, signup_id):
    return edge.read(events.since, signup_id, 0)[-1]


def test_a_gift(edge) -> None:
    """A subscription free of charge stands as paid, with its price, its giver and its
    end; the same message again is the same subscription.
    """
    end = datetime.fromtimestamp(edge.clock.seconds(), UTC) + timedelta(days=30)
    given = GiveFree(id_of(50), "friend@example.org", "basic-250", "a friend", end)
    told = edge.ask(given)
    assert (told.view.state, told.view.plan.price) == ("paid", 0)
    assert edge.ask(given) == told
    gift = edge.read(gifts.find, id_of(50))
    assert (gift.who, gift.ends_at) == ("operator ann", end)
    row = edge.read(signups.get, id_of(50))
    assert (row.payment, row.agreement.plan.quota) == (None, 250 * 10**9)
    assert edge.read(capacity.held, id_of(50))["instances"] == 1
    event = last_event(edge, id_of(50))
    assert (event.kind, event.who, event.why) == ("paid", "operator ann", "a friend")
    assert edge.woken == [id_of(50)]
    assert edge.read(gifts.ended) == ()
    edge.clock.advance(31 * 86_400)
    assert edge.read(gifts.ended) == (gift,)


def test_a_gift_ends(edge) -> None:
    """What was given until a time is ended then, whether it is served or not."""
    end = datetime.fromtimestamp(edge.clock.seconds(), UTC) + timedelta(days=30)
    for number in (50, 51):
        given = GiveFree(id_of(number), "a@b.org", "basic-250", "a friend", end)
        assert isinstance(edge.ask(given), Done)

    def served(tx):
        signups.move(tx, id_of(51), {"paid"}, "active", kind="ready", who="test")

    edge.write(served)
    cancelling = Cancelling(edge.journal, None)
    answer(Deferred.fromCoroutine(cancelling.end_gifts()))
    assert edge.read(signups.get, id_of(50)).state == "paid"
    edge.clock.advance(31 * 86_400)
    answer(Deferred.fromCoroutine(cancelling.end_gifts()))
    assert edge.read(signups.get, id_of(50)).state == "refunding"
    assert last_event(edge, id_of(50)).why == "the gift's time is over"
    assert edge.read(signups.get, id_of(51)).state == "ending"


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"email": "none"}, "bad-address"),
        ({"plan_id": "gold"}, "unknown-plan"),
        ({"signup_id": "x"}, "malformed"),
        ({"signup_id": ACTIVE}, "changed"),
        ({"until": datetime(2020, 1, 1, tzinfo=UTC)}, "malformed"),
    ],
)
def test_gifts_that_cannot_be(edge, change, code) -> None:
    """A gift without an address, a plan or a future is refused, and leaves no row."""
    good = {"signup_id": id_of(50), "email": "a@b.org", "plan_id": "basic-250"}
    told = edge.ask(GiveFree(**good | change, why="w"))
    assert told.code == code
    assert edge.read(signups.find, id_of(50)) is None


def test_a_gift_without_room(tmp_path) -> None:
    """Where the cell is full nothing is given, and nothing is left of it."""
    edge = Edge(tmp_path / "journal", room=0)
    edge.start()
    given = GiveFree(id_of(50), "a@b.org", "basic-250", "w")
    assert edge.ask(given) == Refused("full", "There is no room for more instances.")
    assert edge.read(signups.find, id_of(50)) is None
    edge.stop()


def test_a_gift_is_a_signup_as_any_other(edge) -> None:
    """It stands in our cell with the plan's terms, agreed to now, for an address that
    is shown as it was typed and mailed as SMTP takes it; its owner is nobody.
    """
    for number in (50, 51):
        edge.ask(GiveFree(id_of(number), "Ann@exämple.org", "basic-250", "a friend"))
    row, other = (edge.read(signups.get, id_of(number)) for number in (50, 51))
    now = datetime.fromtimestamp(edge.clock.seconds(), UTC)
    agreed = signups.Agreement(evolve(PLAN, price=0), now, "en")
    assert (row.agreement, row.cell) == (agreed, CELL)
    contact = edge.read(contacts.current, id_of(50))
    assert (contact.typed, contact.smtp) == (
        "Ann@exämple.org",
        "Ann@xn--exmple-cua.org",
    )
    told = [(e.kind, e.who) for e in edge.read(events.since, id_of(50), 0)]
    assert told == [("registered", "operator ann"), ("paid", "operator ann")]
    assert row.grid_label != other.grid_label
    assert row.owner_hash != other.owner_hash


def test_an_id_that_is_taken_is_given_to_nobody_else(edge) -> None:
    """The same id for another address changes nothing, nor does that of a customer who
    pays, whatever the address.
    """
    given = GiveFree(id_of(50), "a@b.org", "basic-250", "a friend")
    edge.ask(given)
    says = Refused("changed", "Nothing changed: this id is taken.")
    assert edge.ask(evolve(given, email="c@d.org")) == says
    assert edge.ask(GiveFree(ACTIVE, EMAILS[0], "basic-250", "a friend")) == says
    assert edge.read(contacts.current, id_of(50)).typed == "a@b.org"


def test_a_gift_cannot_end_now(edge) -> None:
    """A gift lasts for some time: one that would end at this moment is refused."""
    now = datetime.fromtimestamp(edge.clock.seconds(), UTC)
    given = GiveFree(id_of(50), "a@b.org", "basic-250", "a friend", now)
    assert edge.ask(given) == Refused("malformed", "The end is in the past.")
    assert isinstance(edge.ask(evolve(given, until=now + timedelta(seconds=1))), Done)


def test_the_plans_that_can_be_given_are_named(edge) -> None:
    """Who asks for a plan that there is not hears which there are, in order."""
    plans = (PLAN, evolve(PLAN, plan_id="basic-100"))
    edge.desk = evolve(edge.desk, selling=evolve(edge.desk.selling, plans=plans))
    told = edge.ask(GiveFree(id_of(50), "a@b.org", "gold", "a friend"))
    says = "There is no such plan; there are: basic-100, basic-250."
    assert told == Refused("unknown-plan", says)
