"""What the journal knows of a signup, read whole, and what it shows of each step."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
from attrs import evolve

from lae_flapp.grid import record as records
from lae_flapp.grid.limits import Limits
from lae_flapp.grid.record import Record, read, sights_of
from lae_flapp.grid.sights import (
    Absent,
    Awaited,
    Broken,
    Glance,
    Present,
    There,
    Unlooked,
)
from lae_flapp.grid.steps import MADE, StepName
from lae_flapp.journal import (
    effects,
    events,
    hosts,
    identities,
    lifecycles,
    sessions,
    signups,
    switches,
)
from lae_flapp.journal.effects import NO_HOST, EffectKey
from lae_flapp.journal.sessions import Payment
from lae_protocol.ids import Generation, signup_id_of_form
from tests.journal.conftest import Desk
from tests.twins.cloud import moment

LIMITS = Limits(self_test=600.0)
NAME = signup_id_of_form(b"form")
RECORD = Record(
    signup=SimpleNamespace(signup_id=NAME, state="paid", payment=None),
    generation=Generation(3),
    host=None,
    identity=None,
    effects=(),
    sessions=(),
    lifecycle=SimpleNamespace(wish="stay", told="stay", kept_until=None),
    proved_at=None,
    launches_paused=None,
    deletions_paused=None,
)


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    desk = Desk(tmp_path / "desk")
    yield desk
    desk.close()


def paid(name: str, at) -> Payment:
    return Payment(name, "cus_1", "sub_1", "in_1", "pi_1", at)


def lose_host(tx, name) -> None:
    row = hosts.begin(tx, name)
    hosts.move(tx, name, row.generation, {row.state}, "gone")


def test_a_record_is_all_that_the_journal_knows(desk) -> None:
    """Each part of it is what the journal says of this signup, and of no other."""
    other, signup_id = desk.put_in("other", "paid"), desk.put_in("a", "paying")

    def happen(tx, name) -> None:
        lose_host(tx, name)
        hosts.begin(tx, name)
        identities.put(tx, name, Generation(1), b"x", key_id="k", vault_key="v")
        key = EffectKey(name, "role", "make-role", NO_HOST)
        effects.begin(tx, effects.upcoming(tx, key), b"", sealed=False)
        session = f"cs_{name}"
        sessions.opened(tx, name, session, "", tx.now + timedelta(days=1))
        sessions.paid(tx, name, "paying", paid(session, tx.now))
        lifecycles.change(tx, name, wish="leave")
        events.tell(tx, name, "self-test-passed", "host")

    for name in (signup_id, other):
        desk.write(happen, name)
        desk.clock.advance(60)
    desk.write(switches.pause, "launches", "ann", "a bad image")
    desk.write(switches.pause, "deletions", "ann", "a dispute")

    def expected(tx) -> Record:
        return Record(
            signup=signups.get(tx, signup_id),
            generation=Generation(2),
            host=hosts.get(tx, signup_id, Generation(2)),
            identity=identities.get(tx, signup_id, Generation(1)),
            effects=effects.of(tx, signup_id),
            sessions=sessions.of(tx, signup_id),
            lifecycle=lifecycles.get(tx, signup_id),
            proved_at=moment(1_800_000_000.0),
            launches_paused="a bad image",
            deletions_paused="a dispute",
        )

    known = desk.read(read, signup_id)
    assert known == desk.read(expected)
    assert len(known.effects) == len(known.sessions) == 1


def test_a_record_of_what_has_just_begun(desk) -> None:
    """Without a host the generation is the next one's, and nothing is paused."""
    known = desk.read(read, desk.put_in("a", "paid"))
    assert (known.generation, known.host, known.identity) == (1, None, None)
    assert (known.launches_paused, known.deletions_paused) == (None, None)
    desk.write(lose_host, known.signup.signup_id)
    known = desk.read(read, known.signup.signup_id)
    assert (known.generation, known.host) == (2, None)


@pytest.mark.parametrize("step", StepName)
def test_the_effects_of_a_host_are_of_its_generation(step) -> None:
    """A host and its address are made anew for the next one; all else is the grid's."""
    own = step in {StepName.HOST, StepName.ADDRESS}
    name = step.value
    assert RECORD.key(step, "make") == EffectKey(
        NAME, name, f"make-{name}", Generation(3) if own else NO_HOST
    )


def test_the_newest_attempt_is_the_last() -> None:
    """Of the same step, verb and generation, and of no other."""
    key = RECORD.key(StepName.HOST, "make")
    old = evolve(key, generation=Generation(2))
    rows = [(key, 1), (key, 2), (RECORD.key(StepName.HOST, "unmake"), 3), (old, 4)]
    done = tuple(SimpleNamespace(key=k, number=n) for k, n in rows)
    record = evolve(RECORD, effects=done)
    assert record.last(StepName.HOST, "make").number == 2
    assert record.last(StepName.ROLE, "make") is None


def test_payments_that_are_kept_and_owed() -> None:
    """One payment is kept; the other paid ones go back, and what was never paid or went
    back already does not.
    """
    states = [("cs_1", "paid", False), ("cs_2", "paid", True), ("cs_3", "open", False)]
    states += [("cs_4", "refunded", False), ("cs_5", "paid", False)]
    all_of_them = tuple(
        SimpleNamespace(session_id=name, state=state, kept=kept)
        for name, state, kept in states
    )
    record = evolve(RECORD, sessions=all_of_them)
    assert record.kept() is None
    assert record.owed() == ("cs_1", "cs_5")
    payment = SimpleNamespace(session="cs_2")
    signup = SimpleNamespace(signup_id=NAME, state="paid", payment=payment)
    assert evolve(record, signup=signup).kept() is all_of_them[1]


UNTIL, CLAIMED_AT = moment(5000.0), moment(7000.0)
AWAITED = {"bootstrap_until": UNTIL, "changed_at": CLAIMED_AT}


@pytest.mark.parametrize(
    ("state", "more", "claim", "self_test"),
    [
        (None, {}, Absent(), Absent()),
        ("wanted", {}, Absent(), Absent()),
        ("launched", {}, Awaited(5000.0), Absent()),
        ("launched", {"bootstrap_until": None}, Awaited(0.0), Absent()),
        ("claimed", {}, Present(), Awaited(7600.0)),
        ("ready", {}, Present(), Present()),
    ],
)
def test_what_a_host_has_still_to_do(desk, state, more, claim, self_test) -> None:
    """From its launch its claim is waited for, and from that its self-test."""
    host = None
    if state is not None:
        host = desk.write(hosts.begin, desk.put_in("a", "paid"))
        host = evolve(host, state=state, **(AWAITED | more))
    seen = shown(evolve(RECORD, host=host))
    assert (seen.of(StepName.CLAIMED), seen.of(StepName.SELF_TEST)) == (
        claim,
        self_test,
    )


def shown(record, glances=()):
    sent = dict.fromkeys(StepName, 30.0)
    return sights_of(record, dict(glances), sent, 99.0, LIMITS)


def test_sights_are_of_all_steps() -> None:
    """What is outside is as it was looked at; the mail is missing until it is active."""
    looked = {
        StepName.ROLE: Glance(50.0, There.NO),
        StepName.BUCKET: Glance(50.0, There.YES),
    }
    seen = shown(RECORD, looked)
    assert seen.now == 99.0
    assert [step for step, _ in seen.seen] == list(StepName)
    for step in MADE:
        kinds = {StepName.ROLE: Absent(), StepName.BUCKET: Broken()}
        assert seen.of(step) == kinds.get(step, Unlooked())
    assert seen.of(StepName.MAIL) == Absent()
    signup = SimpleNamespace(signup_id=NAME, state="active", payment=None)
    assert shown(evolve(RECORD, signup=signup)).of(StepName.MAIL) == Present()


def test_what_was_asked_for_counts_from_when_it_was_sent() -> None:
    """A step's own time of sending is its sight's, where that is later."""
    key = RECORD.key(StepName.ROLE, "make")
    row = SimpleNamespace(key=key, number=1, state="begun", changed_at=moment(20.0))
    looked = {StepName.ROLE: Glance(50.0, There.NO)}
    seen = shown(evolve(RECORD, effects=(row,)), looked)
    assert seen.of(StepName.ROLE).since == 30.0


@pytest.mark.parametrize("told", ["stay", "unsure", "leave"])
def test_what_stripe_is_not_told_and_what_is_owed(told) -> None:
    """Both are part of what is seen."""
    life = SimpleNamespace(wish="leave", told=told, kept_until=None)
    owed = SimpleNamespace(session_id="cs_1", state="paid", kept=False)
    seen = shown(evolve(RECORD, lifecycle=life, sessions=(owed,)))
    assert seen.untold == (told != "leave")
    assert seen.owed == ("cs_1",)


def test_the_word_for_launches() -> None:
    """It is the purpose of the effects that make hosts."""
    assert RECORD.key(StepName.HOST, "make").purpose == records.LAUNCH
