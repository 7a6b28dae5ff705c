"""What an operator may give back of a payment, and of which."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from attrs import evolve

from lae_flapp.effects.payments import GiveBack
from lae_flapp.journal import effects, events
from lae_protocol import wire
from lae_protocol.messages import Done
from lae_protocol.refund_messages import AskLastPayment, PaymentView, RefundPayment
from tests.twins.payments import PAID_AT

sys.path.insert(0, str(Path(__file__).parent))
try:
    from operator_daemon import _force, id_of
    from test_operator import edge  # noqa: F401  (a fixture)
finally:
    sys.path.pop(0)

ACTIVE, STUCK = id_of(0), id_of(1)
STATES = ("active", "past-due", "suspended", "stopped", "ending", "ended")


@pytest.fixture
def seen(edge):
    """What an operator is shown first."""
    return edge.ask(AskLastPayment(ACTIVE))


def begun(edge):
    return [e for e in edge.read(effects.of, ACTIVE) if e.key.step == "payment"]


def test_what_can_be_given_back(edge, seen) -> None:
    """What Stripe shows of the last payment is told, less what went back."""
    assert seen == PaymentView(900, 0, "usd", PAID_AT)
    edge.account.refund("sub_1", 300)
    assert edge.ask(AskLastPayment(ACTIVE)) == evolve(seen, given_back=300)


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("amount", [1, 900])
def test_it_is_journaled_for_the_worker(edge, seen, state, amount) -> None:
    """Whoever was served can be given back from the first cent to the whole; it is one
    commit that the worker hears of, under the operator's name.
    """
    edge.write(_force, ACTIVE, state)
    edge.woken.clear()
    told = edge.ask(RefundPayment(ACTIVE, amount, seen, "the  outage"))
    assert isinstance(told, Done)
    assert told.view.state == state
    (effect,) = begun(edge)
    assert effect.state == "begun"
    request = wire.decode(GiveBack, effect.request)
    names = (ACTIVE, "goodwill", 1, "cs_1", "sub_1", "pi_1")
    assert request == GiveBack(*names, amount)
    event = edge.read(events.since, ACTIVE, 0)[-1]
    why = f"USD {amount // 100}.{amount % 100:02}: the outage"
    assert (event.kind, event.who, event.why) == ("refund-wished", "operator ann", why)
    assert not event.public
    assert edge.woken == [ACTIVE]


def refuse(edge, asked, code: str, *words: str) -> None:
    before = edge.read(events.last_number, None)
    edge.woken.clear()
    told = edge.ask(asked)
    assert told.code == code, told
    for word in words:
        assert word in told.message
    assert edge.read(events.last_number, None) == before
    assert edge.woken == []


@pytest.mark.parametrize("amount", [-1, 0, 601, 900])
def test_never_more_than_is_left(edge, amount) -> None:
    """More than was paid and did not go back, nothing, and less than that are refused."""
    edge.account.refund("sub_1", 300)
    seen = edge.ask(AskLastPayment(ACTIVE))
    refuse(edge, RefundPayment(ACTIVE, amount, seen, "w"), "malformed", "USD 6.00")
    assert begun(edge) == []


def test_who_saw_something_else(edge, seen) -> None:
    """Where more went back, or another payment came, since it was shown, nothing
    changes: the same question twice gives back once.
    """
    asked = RefundPayment(ACTIVE, 300, seen, "w")
    edge.account.refund("sub_1", 300)
    refuse(edge, asked, "changed")
    edge.account.charged["sub_1"] = 1800
    refuse(edge, evolve(asked, seen=evolve(seen, given_back=300)), "changed")
    assert begun(edge) == []


def test_one_at_a_time(edge, seen) -> None:
    """While a refund is on its way another is refused, also by who saw the same."""
    assert isinstance(edge.ask(RefundPayment(ACTIVE, 300, seen, "w")), Done)
    refuse(edge, RefundPayment(ACTIVE, 300, seen, "w"), "not-now", "on its way")
    refuse(edge, AskLastPayment(ACTIVE), "not-now", "on its way")
    assert len(begun(edge)) == 1


@pytest.mark.parametrize(
    ("signup", "state", "words"),
    [
        (STUCK, "paid", "It was never charged."),
        (ACTIVE, "paid", "Cancel it"),
        (ACTIVE, "refunding", "only who was served"),
        (ACTIVE, "deleting", "only who was served"),
    ],
)
def test_who_is_not_served(edge, seen, signup, state, words) -> None:
    """Who never paid, or is not served yet, is refunded in no such way."""
    edge.write(_force, signup, state)
    refuse(edge, AskLastPayment(signup), "not-now", words)
    refuse(edge, RefundPayment(signup, 1, seen, "w"), "not-now", words)


def test_what_stripe_does_not_show(edge, seen) -> None:
    """A subscription that was never charged, and a payment in another currency than
    was agreed, are told; so is a Stripe that does not answer.
    """
    edge.account.currencies["sub_1"] = "eur"
    refuse(edge, AskLastPayment(ACTIVE), "not-now", "charged in EUR, and agreed in USD")
    edge.account.charged.clear()
    refuse(edge, AskLastPayment(ACTIVE), "not-now", "never charged")
    refuse(edge, RefundPayment(ACTIVE, 1, seen, "w"), "not-now", "never charged")


def test_a_reason_is_needed(edge, seen) -> None:
    """Without one nothing is given back."""
    refuse(edge, RefundPayment(ACTIVE, 1, seen, " "), "malformed", "reason")
