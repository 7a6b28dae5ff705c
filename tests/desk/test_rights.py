"""A stolen furl: what it may do where operators have a second one, or may only look."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from attrs import evolve

from lae_flapp.desk.operators.facet import ANSWERS
from lae_flapp.desk.operators.rights import LOOKING, OPEN_FOR, Rights
from lae_flapp.journal import events, operators, signups
from lae_flapp.journal.secrets import hash_of
from lae_flapp.settings import OperatorRights, SecondFurl
from lae_protocol.looking_messages import AskHealth, ListSignups
from lae_protocol.messages import Done, Refused
from lae_protocol.operator_messages import Cancel, DeleteData, RetrySignup
from lae_protocol.people_messages import AddOperator, Opened, ShowSecondFurl
from lae_protocol.recovery_messages import AskSealedIdentity
from lae_protocol.refund_messages import AskLastPayment, RefundPayment
from lae_protocol.secret import Secret

sys.path.insert(0, str(Path(__file__).parent))
try:
    from operator_daemon import _force, id_of
    from test_operator import ANN, Edge, edge  # noqa: F401  (a fixture)
finally:
    sys.path.pop(0)

ACTIVE, STUCK, LAST = id_of(0), id_of(1), id_of(11)
SECOND = Secret("s" + "q" * 52)
BOB = Secret("o" + "b" * 52)


def give(edge, **rights) -> None:
    """The daemon starts with these settings."""
    given = OperatorRights(**rights)
    edge.desk = evolve(edge.desk, rights=Rights(given, edge.clock))


def kinds(edge) -> list[tuple[str, str]]:
    return [(e.kind, e.who) for e in edge.read(events.since, None, 0)]


def test_a_stolen_furl_deletes_and_refunds_nothing(edge) -> None:
    """Where a second furl is configured the first alone deletes no data and gives no
    money back, by whatever way; it is opened for ten minutes, to that person, logged.
    """
    edge.write(operators.add, "bob", BOB, "test")
    edge.write(_force, LAST, "ended")
    give(edge, second_furls=(SecondFurl("ann", hash_of(SECOND)),))
    losing = (
        DeleteData(LAST, "ended", "w"),
        Cancel(STUCK, "paid", "w"),
        RefundPayment(ACTIVE, 1, edge.ask(AskLastPayment(ACTIVE)), "w"),
    )
    for asked in losing:
        assert edge.ask(asked).code == "not-now"
    for who, wrong in ((ANN, Secret("s" + "z" * 52)), (BOB, SECOND), (ANN, ANN)):
        assert edge.ask(ShowSecondFurl(wrong), who).code == "not-now"
    assert kinds(edge)[-3:] == [
        ("second-furl-refused", "operator ann"),
        ("second-furl-refused", "operator bob"),
        ("second-furl-refused", "operator ann"),
    ]
    assert edge.ask(losing[0]).code == "not-now"
    assert edge.ask(ShowSecondFurl(SECOND)) == Opened(600)
    assert kinds(edge)[-1] == ("second-furl-shown", "operator ann")
    assert edge.ask(losing[0], BOB).code == "not-now"
    edge.clock.advance(OPEN_FOR)
    assert edge.ask(losing[0]).code == "not-now"
    edge.ask(ShowSecondFurl(SECOND))
    edge.clock.advance(OPEN_FOR - 1)
    for asked in losing:
        assert isinstance(edge.ask(asked), Done)


def test_everything_else_goes_on_without_the_second(edge) -> None:
    """Who helps a customer at night needs no second furl; nor does anybody where none
    is configured.
    """
    give(edge, second_furls=(SecondFurl("ann", hash_of(SECOND)),))
    assert isinstance(edge.ask(RetrySignup(STUCK)), Done)
    assert isinstance(edge.ask(Cancel(id_of(4), "registered", "w")), Done)
    give(edge)
    assert isinstance(edge.ask(Cancel(STUCK, "paid", "w")), Done)


def test_a_read_only_furl_changes_nothing(edge) -> None:
    """Of a read-only furl every question that changes something is refused."""
    give(edge, read_only=("ann",))
    before = edge.read(events.last_number, None)
    for asked in (
        RetrySignup(STUCK),
        AddOperator("mallory"),
        ShowSecondFurl(SECOND),
        Cancel(STUCK, "paid", "w"),
    ):
        told = edge.ask(asked)
        assert isinstance(told, Refused)
        assert "read-only" in told.message
    assert edge.read(events.last_number, None) == before
    assert edge.read(signups.get, STUCK).state == "paid"
    assert edge.ask(ListSignups()).rows
    assert edge.ask(AskHealth())


@pytest.mark.parametrize("kind", sorted(ANSWERS, key=lambda k: k.__name__))
def test_what_looks_is_named_so(kind) -> None:
    """Every question is one that looks, or one that a read-only furl is refused: a new
    one is refused until somebody says that it looks.  An identity, though sealed, is
    more than a look.
    """
    looks = kind.__name__.startswith(("List", "Ask", "Show", "EventsSince"))
    assert (kind in LOOKING) == (
        looks and kind not in {ShowSecondFurl, AskSealedIdentity}
    )
