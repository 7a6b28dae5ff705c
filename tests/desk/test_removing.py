"""A flood is over: operators remove what it has left, and nothing that may be paid."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve
from twisted.internet.defer import Deferred

from lae_flapp.desk.operators.facet import operator_facet
from lae_flapp.desk.operators.removing import PAGES_AT_ONCE
from lae_flapp.journal import (
    capacity,
    events,
    inbox,
    operators,
    retention,
    signups,
    switches,
)
from lae_protocol.messages import ReturnedFromCheckout, StripeEvent
from lae_protocol.removal_messages import Removed, RemoveHints, RemoveUnpaid
from lae_protocol.secret import Secret
from lae_protocol.stripe_hints import StripeHint
from tests.twins.asking import ask
from tests.twins.weather import Fault

sys.path.insert(0, str(Path(__file__).parent))
try:
    from an_operator_desk import CELL, make_desk
    from test_commands import Daemon, own  # noqa: F401  (a fixture)
finally:
    sys.path.pop(0)

ANN = Secret("o" + "a" * 52)
HOUR = 3600  # s


@pytest.fixture
def operate(desk, tmp_path):
    """Ask as an operator of the daemon whose site is flooded."""
    desk.write(operators.add, "ann", ANN, "test")
    made = make_desk(
        desk.journal,
        desk.clock,
        new_furl=lambda: None,
        woken=[],
        started_at=datetime.now(UTC),
        folder=tmp_path,
    )
    made = evolve(made, expire_sessions=desk.checkout.expire_sessions)

    def asked(question: Any) -> Any:
        return ask(operator_facet(made, ANN), question)

    return asked


def flood(desk, a_form, many: int, first: int = 0) -> list[str]:
    """So many register; nobody pays."""
    owners = []
    for number in range(first, first + many):
        register, owner = a_form(number)
        desk.ask(register)
        owners.append(owner.signup_id)
    return owners


def held(desk) -> int:
    return desk.read(capacity.used, CELL.name).get("instances", 0)


def every(operate, question) -> int:
    """Ask until nothing more goes; how many went."""
    gone = 0
    while True:
        told = operate(question)
        gone += told.removed
        if not (told.removed and told.left):
            return gone


def test_registrations_that_nobody_paid_go(desk, a_form, operate) -> None:
    """All that were registered before then go, however many payment pages are open:
    each page is ended at Stripe first; what came since, and who has paid, stay.
    """
    many = 2 * PAGES_AT_ONCE + 1
    flood(desk, a_form, many)
    (paid,) = flood(desk, a_form, 1, first=many)
    desk.account.pay(f"cs_{many + 1}")
    desk.clock.advance(HOUR // 4)
    (fresh,) = flood(desk, a_form, 1, first=many + 1)
    question = RemoveUnpaid(HOUR // 4, "the flood of today")
    assert operate(evolve(question, only_count=True)) == Removed(0, many + 1)
    assert held(desk) == many + 2
    first = operate(question)
    assert first == Removed(PAGES_AT_ONCE, many + 1 - PAGES_AT_ONCE)
    assert every(operate, question) == many - PAGES_AT_ONCE
    left = {
        s.signup_id: s.state for s in desk.read(signups.in_states, set(signups.MOVES))
    }
    assert left == {paid: "paid", fresh: "paying"}
    open_ones = [s for s in desk.account.sessions.values() if s.status == "open"]
    assert [s.signup_id for s in open_ones] == [fresh]
    assert held(desk) == 2
    told = [e for e in desk.read(events.since, None, 0) if e.kind == "purged"]
    assert {(e.who, e.why) for e in told} == {("operator ann", "the flood of today")}
    assert len(told) == many


def test_stripe_away(desk, a_form, operate) -> None:
    """What could still be paid is not removed where Stripe does not say that it cannot."""
    (flooded,) = flood(desk, a_form, 1)
    desk.clock.advance(60)
    desk.faults["payments.expire_session"] = [Fault.THROTTLED]
    assert operate(RemoveUnpaid(60, "w")).code == "no-answer"
    assert desk.read(signups.get, flooded).state == "paying"
    assert operate(RemoveUnpaid(60, "w")) == Removed(1, 0)


def test_whose_page_is_not_known_stays(desk, a_form, operate) -> None:
    """A registration of which the journal does not know whether Stripe has opened a
    page stays until Stripe was asked.
    """
    desk.faults["payments.open_checkout"] = [Fault.LATE]
    register, owner = a_form(1)
    asking = Deferred.fromCoroutine(desk.checkout.register(register))
    desk.clock.advance(5)
    assert desk.read(signups.get, owner.signup_id).state == "registered"
    assert operate(RemoveUnpaid(0, "w")) == Removed(0, 1)
    asking.addErrback(lambda _: None)
    desk.clock.pump([5] * 12)


def test_deletions_are_paused(desk, a_form, operate) -> None:
    """While an operator has paused deletions no registration goes and no page ends."""
    flood(desk, a_form, 1)
    desk.write(switches.pause, "deletions", "operator bob", "I look at them")
    told = operate(RemoveUnpaid(0, "w"))
    assert (told.code, "operator bob" in told.message) == ("not-now", True)
    assert desk.account.sessions["cs_1"].status == "open"


@pytest.mark.parametrize("seconds", [-1, 10**10])
def test_impossible_ages(operate, seconds) -> None:
    """An age that no time has is refused."""
    for question in (RemoveUnpaid(seconds, "w"), RemoveHints("done", seconds)):
        assert operate(question).code == "malformed"


def test_a_batch_at_a_time(desk, a_form, operate, monkeypatch) -> None:
    """One question removes so many, whose rows are written over in one transaction."""
    monkeypatch.setattr(retention, "_ERASED_AT_ONCE", 2)
    flood(desk, a_form, 3)
    assert operate(RemoveUnpaid(0, "w")) == Removed(2, 1)
    assert operate(RemoveUnpaid(0, "w")) == Removed(1, 0)


def hints(desk) -> dict[str, str]:
    rows, _ = desk.read(inbox.page)
    return {row.event_id: row.state for row in rows}


def test_hints_go_by_what_became_of_them(desk, a_form, operate) -> None:
    """Those that are none of ours, those worked off and those of unknown signups go,
    each by itself, if they came before then; what still waits for Stripe stays.
    """
    register, owner = a_form(1)
    desk.ask(register)
    desk.account.pay("cs_1")
    lost = evolve(desk.account.sessions["cs_1"], signup_id="su" + "a" * 20)
    desk.account.sessions["cs_lost"] = evolve(lost, session_id="cs_lost")
    desk.ask(ReturnedFromCheckout(owner))

    def hint(number: int, name: str, kind: str = "checkout.session.completed") -> None:
        desk.ask(StripeEvent(StripeHint(f"evt_{number}", kind, name)))

    hint(1, "cs_none")
    hint(2, "cs_1")
    hint(3, "cs_lost")
    desk.clock.advance(1)
    desk.faults["payments.fetch_subscription"] = [Fault.THROTTLED] * 99
    hint(4, "sub_none", "customer.subscription.updated")
    desk.clock.advance(HOUR)
    states = {"evt_1": "ignored", "evt_2": "done", "evt_3": "waiting"}
    assert hints(desk) == {**states, "evt_4": "waiting"}
    for state, gone in (("ignored", 1), ("done", 2), ("unknown", 3)):
        assert operate(RemoveHints(state, HOUR + 2, only_count=True)) == Removed(0, 0)
        assert operate(RemoveHints(state, HOUR, only_count=True)) == Removed(0, 1)
        assert f"evt_{gone}" in hints(desk)
        assert operate(RemoveHints(state, HOUR)) == Removed(1, 0)
        assert f"evt_{gone}" not in hints(desk)
        assert operate(RemoveHints(state, HOUR)) == Removed(0, 0)
    assert hints(desk) == {"evt_4": "waiting"}
    told = [e for e in desk.read(events.since, None, 0) if e.kind == "inbox-removed"]
    assert [(e.who, e.why) for e in told] == [
        ("operator ann", f"1 {state} events of Stripe's")
        for state in ("ignored", "done", "unknown")
    ]


def test_a_removed_hint_that_comes_again_is_looked_into_again(desk, operate) -> None:
    """Nothing is lost by its removal: Stripe is asked once more."""
    hint = StripeHint("evt_1", "checkout.session.completed", "cs_none")
    desk.ask(StripeEvent(hint))
    desk.clock.advance(1)
    assert operate(RemoveHints("ignored", 0)).removed == 1
    desk.ask(StripeEvent(hint))
    desk.clock.advance(1)
    assert hints(desk) == {"evt_1": "ignored"}


def test_the_commands(own: Daemon) -> None:
    """Each counts, asks once, removes all, and says how many are gone."""
    unpaid = ("subscriptions", "remove-unpaid", "--reason", "w", "--older-than", "0d")
    what = "registrations older than 0 seconds that nobody paid"
    dry, unsure, done, again = own.all(
        [*unpaid, "--dry-run"],
        unpaid,
        [*unpaid, "--yes"],
        [*unpaid, "--yes"],
        at_once=1,
    )
    assert (dry.code, dry.out) == (0, f"Would remove 10 {what}.\n")
    assert (unsure.code, unsure.out) == (2, "")
    assert f"Remove 10 {what}? Say --yes" in " ".join(unsure.err.split())
    assert (done.code, done.out) == (0, f"Removed 10 {what}.\n")
    assert (again.code, again.out) == (0, f"Removed 0 {what}.\n")
    states = [row["state"] for row in own.json("subscriptions", "list")["signups"]]
    assert sorted(states) == ["active", "paid"]
    told = own.json("inbox", "remove", "--state", "done", "--older-than", "7d", "--yes")
    assert told == {"removed": 0, "left": 0, "done": True}
