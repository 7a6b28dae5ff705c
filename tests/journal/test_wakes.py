"""A commit wakes whom it concerns, and nobody else."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import copy_context
from datetime import UTC, datetime, timedelta
from typing import get_args

import pytest
from attrs import Factory, define

from lae_flapp.journal import (
    causes,
    effects,
    hosts,
    inbox,
    lifecycles,
    outbox,
    sessions,
    signups,
    switches,
)
from lae_flapp.journal.effects import EffectKey
from lae_flapp.journal.errors import JournalClosed
from lae_flapp.journal.signups import Payment
from lae_flapp.journal.transaction import Noun, WriteTx
from lae_flapp.journal.watchers import WRITES_FOR
from lae_protocol.ids import Generation
from lae_protocol.stripe_hints import StripeHint
from tests.journal.conftest import Desk

ONE = Generation(1)
LATER = datetime(2027, 2, 1, tzinfo=UTC)


@define
class Woken:
    """What was heard of since it was looked at last."""

    heard: list[str] = Factory(list)

    def listen(self, desk: Desk) -> None:
        for noun in get_args(Noun):
            desk.journal.hear_of(noun, lambda noun=noun: self.heard.append(noun))
        desk.journal.hear_of_signups(
            lambda signup_id, again: self.heard.append("again " * again + signup_id)
        )

    def now(self) -> set[str]:
        heard, self.heard = self.heard, []
        return set(heard)


@pytest.fixture
def woken(desk: Desk) -> Woken:
    made = Woken()
    made.listen(desk)
    return made


def take(tx: WriteTx) -> None:
    inbox.take(tx, StripeHint("evt", "kind", "cs_1"), "rq")


def move(desk: Desk, frm: str, to: str, kind: str) -> Callable[[WriteTx], object]:
    a = desk.id("a")
    return lambda tx: signups.move(tx, a, {frm}, to, kind=kind, who="test")


def pay(desk: Desk, session: str) -> Callable[[WriteTx], object]:
    def paid(tx: WriteTx) -> None:
        sessions.opened(tx, desk.id("a"), session, "", LATER)
        payment = Payment(session, "cus", "sub", "in", "pi", tx.now)
        state = signups.get(tx, desk.id("a")).state
        sessions.paid(tx, desk.id("a"), state, payment)

    return paid


def test_an_event_of_stripe_wakes_the_inbox(desk, woken) -> None:
    """A new event and one that an operator hurries do, a known or settled one does not."""
    desk.write(take)
    assert woken.now() == {"inbox"}
    desk.write(take)
    desk.write(inbox.put_off, "evt", "away", LATER)
    desk.write(inbox.ignore, "evt", "not ours")
    assert woken.now() == set()
    desk.write(inbox.hurry, "evt")
    assert woken.now() == {"inbox"}
    desk.write(inbox.done, "evt")
    assert woken.now() == set()


def test_a_mail_wakes_the_outbox(desk, woken) -> None:
    """A new mail and those that are hurried do, a known or settled one does not."""
    signup_id = desk.register("a").signup_id
    mail = desk.write(outbox.put, signup_id, "troubled")
    assert woken.now() == {"outbox"}
    desk.write(outbox.put, signup_id, "troubled")
    desk.write(outbox.put_off, mail.number, "away", LATER)
    assert woken.now() == set()
    desk.write(outbox.hurry, mail.number)
    assert woken.now() == {"outbox"}
    desk.write(outbox.hurry_all)
    assert woken.now() == {"outbox"}
    desk.write(outbox.refused, mail.number, 1, "no such address")
    assert woken.now() == set()


def test_a_cause_wakes_who_tells_operators(desk, woken) -> None:
    """Its beginning and its end do; that it is still there, or was told, does not."""
    begin = ("disk", "", "it is full")
    desk.write(causes.begin, *begin)
    assert woken.now() == {"causes"}
    desk.write(causes.begin, *begin)
    desk.write(causes.put_off, 1, LATER)
    desk.write(causes.told, 1)
    assert woken.now() == set()
    desk.write(causes.end, "disk", "")
    assert woken.now() == {"causes"}
    desk.write(causes.end, "disk", "")
    assert woken.now() == set()


def test_the_end_of_a_pause_wakes_all(desk, woken) -> None:
    """What was paused and goes on concerns everybody; a pause, or no pause, nobody."""
    desk.write(switches.pause, "launches", "op", "the cloud is full")
    assert woken.now() == set()
    desk.write(switches.resume, "launches", "op")
    assert woken.now() == {"switches"}
    desk.write(switches.resume, "launches", "op")
    assert woken.now() == set()


def test_a_signups_turn_wakes_its_worker(desk, woken) -> None:
    """A paid signup's turns wake its own worker; one that has paid nothing has none."""
    a = desk.register("a").signup_id
    desk.register("b")
    desk.write(move(desk, "registered", "paying", "checkout-opened"))
    assert woken.now() == set()
    desk.write(move(desk, "paying", "paid", "paid"))
    assert woken.now() == {a}
    desk.write(signups.set_problem, a, "it waits")
    assert woken.now() == set()


def test_an_operators_retry_says_so(desk, woken) -> None:
    """The worker hears that what was refused is to be tried once more."""
    a = desk.put_in("a", "paid")
    desk.write(signups.try_again, a, "operator ann")
    assert woken.now() == {f"again {a}"}


def test_a_wish_wakes_the_worker(desk, woken) -> None:
    """What is to be told to Stripe wakes the worker that tells it."""
    a = desk.put_in("a", "active")
    desk.write(lifecycles.change, a, wish="leave")
    assert woken.now() == {a}


def test_a_payment_wakes_the_worker(desk, woken) -> None:
    """The first, and one more that goes back; the same again does not."""
    a = desk.register("a").signup_id
    desk.write(pay(desk, "cs_1"))
    assert woken.now() == {a}
    desk.move_to("a", "paid")
    desk.write(pay(desk, "cs_2"))
    assert woken.now() == {a}
    desk.write(pay(desk, "cs_2"))
    assert woken.now() == set()


def test_what_becomes_of_a_host_wakes_the_worker(desk, woken) -> None:
    """Its turns do, and one that only the cloud knew; that it reported does not."""
    a = desk.put_in("a", "paid")
    desk.write(hosts.begin, a)
    desk.write(hosts.launched, a, ONE, "i-1", LATER)
    assert woken.now() == {a}
    desk.write(hosts.reported, a, ONE, "{}")
    assert woken.now() == set()
    desk.write(hosts.move, a, ONE, {"launched"}, "gone")
    woken.now()
    desk.write(hosts.take_in, a, Generation(7), "i-7", LATER)
    assert woken.now() == {a}


def test_a_worker_is_not_woken_by_its_requests(desk, woken) -> None:
    """What a worker writes before and after a call outside wakes nobody."""
    a = desk.put_in("a", "paid")
    upcoming = desk.read(effects.upcoming, EffectKey(a, "bucket", "make"))
    effect = desk.write(effects.begin, upcoming, b"{}")
    desk.write(effects.finish, effect.number, "made")
    assert woken.now() == set()


def test_a_worker_is_not_woken_by_what_it_writes(desk, woken) -> None:
    """What the worker of a signup commits wakes everybody but that worker; what an
    operator wants tried again wakes it whoever writes it.
    """
    a, b = desk.put_in("a", "active"), desk.put_in("b", "active")
    woken.now()
    worker = copy_context()
    worker.run(WRITES_FOR.set, a)
    worker.run(lambda: desk.write(lifecycles.change, a, told="unsure"))
    assert woken.now() == set()
    worker.run(lambda: desk.write(lifecycles.change, b, told="unsure"))
    assert woken.now() == {b}
    worker.run(lambda: desk.write(signups.try_again, a, "op"))
    assert f"again {a}" in woken.now()
    desk.write(lifecycles.change, a, told="unsure")
    assert woken.now() == {a}


def test_what_is_rolled_back_wakes_nobody(desk, woken) -> None:
    """A transaction that fails at its end has told nothing."""
    a = desk.put_in("a", "paid")

    def all_of_it(tx: WriteTx) -> None:
        take(tx)
        signups.try_again(tx, a, "op")
        lifecycles.change(tx, a, wish="leave")
        raise LookupError("at the end")

    with pytest.raises(LookupError):
        desk.write(all_of_it)
    assert woken.now() == set()


def test_one_commit_wakes_each_once(desk, woken) -> None:
    """Several changes of one transaction are one piece of news for each."""
    a = desk.put_in("a", "paid")

    def much(tx: WriteTx) -> None:
        for number in range(3):
            outbox.put(tx, a, "troubled", f"{number}")
        lifecycles.change(tx, a, wish="leave")
        signups.try_again(tx, a, "op")

    desk.write(much)
    assert sorted(woken.heard) == [f"again {a}", "outbox"]


def test_one_who_fails_keeps_nothing_from_the_others(desk) -> None:
    """A listener that raises spoils neither the write nor what the others hear."""

    def fail() -> None:
        raise RuntimeError("a bug")

    woken = Woken()
    desk.journal.hear_of("inbox", fail)
    woken.listen(desk)
    waiting = desk.journal.watch(None, 0)
    desk.write(take)
    assert woken.now() == {"inbox"}
    assert not waiting.called
    # The log keeps the bug, which holds this frame: its wait ends here, not later in
    # another module's test.
    waiting.addErrback(lambda failure: failure.trap(JournalClosed))
    assert desk.read(inbox.waiting) == 1


def test_news_waits_for_the_commit(desk) -> None:
    """Whoever is woken reads what was committed."""
    seen: list[object] = []
    desk.journal.hear_of("inbox", lambda: seen.append(desk.read(inbox.waiting)))
    desk.write(take)
    assert seen == [1]


def test_a_quiet_time_is_looked_after(desk, woken) -> None:
    """A cause that comes back while its end is quiet is no news."""
    begin = ("disk", "", "it is full")
    desk.write(causes.begin, *begin)
    desk.write(causes.end, "disk", "")
    woken.now()
    desk.clock.advance(timedelta(minutes=1).total_seconds())
    desk.write(causes.begin, *begin)
    assert woken.now() == set()
