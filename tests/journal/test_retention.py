"""What goes, and when; and what must stay."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import get_args

import pytest

from lae_flapp.journal import (
    contacts,
    effects,
    events,
    hosts,
    inbox,
    outbox,
    ports,
    retention,
    schema,
    sessions,
    signups,
    switches,
)
from lae_flapp.journal.effects import EffectKey
from lae_flapp.journal.sessions import Payment
from lae_protocol.messages import SignupState
from lae_protocol.stripe_hints import StripeHint

DAY = 86_400
#: No state follows these.
TERMINAL = [one for one in get_args(SignupState) if not signups.MOVES[one]]
UNPAID = ["registered", "expired", "cancelled"]
GOING_ON = [one for one in get_args(SignupState) if one not in [*TERMINAL, *UNPAID]]


def now(desk) -> datetime:
    return datetime.fromtimestamp(desk.clock.seconds(), UTC)


def full(desk, name="a"):
    """A signup that was never paid, with something in many tables."""
    a = desk.register(name, f"private-{name}@example.org").signup_id
    desk.write(contacts.correct, a, f"private2-{name}@example.org", "private2@x")
    desk.write(sessions.opened, a, f"cs_{name}", "https://pay/", now(desk))
    desk.write(sessions.expired, f"cs_{name}")
    key = EffectKey(a, "payment", "checkout")
    ticket = desk.read(effects.upcoming, key)
    made = desk.write(effects.begin, ticket, b"private rendered request")
    desk.write(effects.finish, made.number, f"cs_{name}")
    desk.write(outbox.put, a, "reminder")
    desk.write(ports.allot, a, "one", range(1, 99), ["storage"])
    desk.write(hosts.begin, a)
    desk.write(hosts.move, a, 1, {"wanted"}, "gone")
    return a


def test_unpaid_registrations_go_after_thirty_days(desk) -> None:
    """After 30 days, and not a second earlier, nothing of an unpaid registration is
    left but the event log, which names nobody.
    """
    a = full(desk)
    desk.clock.advance(30 * DAY - 1)
    assert desk.write(retention.purge) == ()
    desk.clock.advance(1)
    assert desk.write(retention.purge) == (a,)
    left = {one.name for one in schema.TABLES if desk.rows(one.name)}
    assert left == {"meta", "epoch", "cells", "events"}
    assert desk.read(events.since, a, 0)[-1].kind == "purged"
    desk.close()
    text = b"".join(one.read_bytes() for one in desk.folder.iterdir())
    assert b"private" not in text, "not in free pages either"


@pytest.mark.parametrize("state", GOING_ON)
def test_who_may_have_paid_stays(desk, state) -> None:
    """A signup that goes on, with money that may have moved, is never purged."""
    desk.put_in("a", state)
    desk.clock.advance(400 * DAY)
    assert desk.write(retention.purge) == ()


@pytest.mark.parametrize("state", TERMINAL)
def test_who_is_over_goes_thirty_days_later(desk, state) -> None:
    """A signup in a state that no other follows is erased 30 days after it came to
    it, however old the form is, and not before its last mail is sent.
    """
    a = desk.register().signup_id
    desk.clock.advance(400 * DAY)
    desk.move_to("a", state)
    mail = desk.write(outbox.put, a, state)
    desk.clock.advance(30 * DAY - 1)
    assert desk.write(retention.purge) == ()
    desk.clock.advance(1)
    assert desk.write(retention.purge) == (), "its last mail waits"
    contact = desk.read(contacts.current, a)
    desk.write(outbox.accepted, mail.number, contact.number)
    assert desk.write(retention.purge) == (a,)
    left = {one.name for one in schema.TABLES if desk.rows(one.name)}
    assert left == {"meta", "epoch", "cells", "events"}


@pytest.mark.parametrize("state", TERMINAL)
def test_who_is_over_stays_while_something_is_owed(desk, state) -> None:
    """A second payment that has not gone back yet keeps a signup that is over."""
    desk.put_in("a", state)
    desk.write(sessions.opened, desk.id("a"), "cs_a", "https://pay/", now(desk))
    late = Payment("cs_a", None, None, None, None, now(desk))
    assert desk.pay(desk.id("a"), late) == "surplus"
    desk.clock.advance(31 * DAY)
    assert desk.write(retention.purge) == ()
    desk.write(sessions.refunded, "cs_a")
    assert desk.write(retention.purge) == (desk.id("a"),)


def test_what_is_behind_a_registration_keeps_it(desk) -> None:
    """An open or surplus session, a live host or an unfinished effect forbids the
    purge; its neighbour is purged all the same.
    """
    for name in ("open", "surplus", "host", "effect", "nothing"):
        full(desk, name)
    desk.write(sessions.opened, desk.id("open"), "cs_x", "https://pay/", now(desk))
    desk.put_in("surplus", "cancelled")
    paid = Payment("cs_surplus", None, None, None, None, now(desk))
    assert desk.pay(desk.id("surplus"), paid) == "surplus"
    desk.write(hosts.begin, desk.id("host"))
    key = EffectKey(desk.id("effect"), "payment", "expire")
    desk.write(effects.begin, desk.read(effects.upcoming, key), b"x")
    desk.clock.advance(31 * DAY)
    assert desk.write(retention.purge) == (desk.id("nothing"),)


def test_requests_go_a_month_after_they_were_settled(desk) -> None:
    """Requests are dropped when they are old and settled; that they were, and what came
    of them, stays; what is open stays whole.
    """
    a = desk.put_in("a", "active")
    numbers = []
    for purpose in ("launch", "record"):
        ticket = desk.read(effects.upcoming, EffectKey(a, "host", purpose))
        numbers.append(desk.write(effects.begin, ticket, b"request").number)
    desk.write(effects.finish, numbers[0], "i-1")
    desk.clock.advance(30 * DAY - 1)
    assert desk.write(retention.forget_settled) == 0
    desk.clock.advance(1)
    assert desk.write(retention.forget_settled) == 1
    assert desk.write(retention.forget_settled) == 0
    finished, begun = desk.read(effects.of, a)
    assert (finished.request, finished.outcome) == (None, "i-1")
    assert begun.request == b"request"


def test_hints_go_a_month_after_they_were_settled(desk) -> None:
    """What a flood of events has left goes by itself; what waits is kept."""
    for number, settle in enumerate((inbox.done, None, inbox.ignore)):
        hint = StripeHint(f"evt_{number}", "invoice.paid", "sub_1")
        desk.write(inbox.take, hint, "rq")
        if settle is not None:
            why = () if settle is inbox.done else ("of another deployment",)
            desk.write(settle, hint.event_id, *why)

    def left() -> list[str]:
        return sorted(event.event_id for event in desk.read(inbox.page)[0])

    desk.clock.advance(30 * DAY - 1)
    desk.write(retention.sweep)
    assert left() == ["evt_0", "evt_1", "evt_2"]
    desk.clock.advance(1)
    desk.write(retention.sweep)
    assert left() == ["evt_1"]


def test_a_sweep_does_all_of_it(desk) -> None:
    """One sweep purges and forgets; while deletions are paused, nobody's row goes."""
    a = full(desk)
    desk.put_in("b", "paid")
    desk.clock.advance(30 * DAY)
    desk.write(switches.pause, "deletions", "ann", "an incident")
    desk.write(retention.sweep)
    assert desk.read(signups.find, a) is not None, "deletions are paused"
    desk.write(switches.resume, "deletions", "ann")
    desk.write(retention.sweep)
    assert desk.read(signups.find, a) is None
