"""Whoever has the webhook's secret sends what they like, and cannot fill the journal."""

from __future__ import annotations

from contextvars import copy_context
from functools import partial

import pytest
from sqlalchemy import func, select
from twisted.logger import globalLogPublisher

from lae_flapp.journal import inbox
from lae_protocol import wire
from lae_protocol.messages import Registered, StripeEvent, Taken, Watch
from lae_protocol.process.peer import ASKED_FROM, Peer
from lae_protocol.process.token_bucket import Rate
from lae_protocol.stripe_hints import SUBJECTS, StripeHint
from tests.twins.asking import begin
from tests.twins.journal import answer

SIGNED = "checkout.session.completed"


def event(number: int, kind: str = SIGNED, thing: str | None = "cs_none"):
    """A signed event, of the longest words that there are."""
    return StripeEvent(StripeHint(f"evt_{number:0>251}", kind, thing))


def rows(desk) -> int:
    return desk.read(
        lambda tx: tx.scalar(select(func.count()).select_from(inbox.INBOX))
    )


@pytest.mark.parametrize(
    ("kind", "thing"),
    [
        ("payment_intent.created", "pi_1"),
        ("x" * 255, "y" * 255),
        ("customer.subscription.trial_will_end", "sub_1"),
        *((kind, None) for kind in SUBJECTS),
    ],
)
def test_an_event_from_which_nothing_follows_leaves_no_row(desk, kind, thing) -> None:
    """However many come of a kind that nobody follows, or of no object: each is
    answered, and none is written or counted.
    """
    desk.an_hour = 3
    desk.restart()
    for number in range(20):
        assert isinstance(desk.ask(event(number, kind, thing)), Taken)
    assert rows(desk) == 0
    assert desk.hinting.refused == 0


def test_events_are_bounded(desk, a_form) -> None:
    """Six hundred events at once, as long as can be, make a hundred rows, and as many an
    hour later; Stripe is told to send the others again, and customers go on.
    """
    desk.an_hour = 100
    desk.restart()
    size = desk.journal._path.stat().st_size
    told = [desk.ask(event(n, SIGNED, "c" * 255)) for n in range(600)]
    assert sum(isinstance(one, Taken) for one in told) == rows(desk) == 100
    assert {one.code for one in told[100:]} == {"try-later"}
    desk.clock.advance(3600)
    for number in range(1000, 1600):
        desk.ask(event(number, SIGNED, "c" * 255))
    assert rows(desk) == 200
    register, _ = a_form()
    assert isinstance(desk.ask(register), Registered)
    desk.stop()
    assert desk.journal._path.stat().st_size - size < 200 * 2048 + 100_000
    desk.start()


def test_each_address_has_its_own_pace(desk, a_form) -> None:
    """Who has stolen the site's furl registers at the pace of one copy of the site, and
    hears refusals late; that is all that the others feel.  Events likewise, but those
    are refused at once.
    """
    desk.pace = Rate(1, 3)
    desk.restart()

    def begin_from(address: str, question):
        def begun():
            ASKED_FROM.set(Peer(address, lambda _: None))
            told = begin(desk.front.facet(), question)
            return told.addCallback(partial(wire.decode_answer, type(question)))

        return copy_context().run(begun)

    def ask_from(address: str, question):
        return answer(begin_from(address, question))

    thief, site = "203.0.113.9", "192.0.2.1"
    told = []
    for number in range(20):
        begin_from(thief, a_form(number)[0]).addCallback(told.append)
    assert [type(one) for one in told] == [Registered] * 3
    assert isinstance(ask_from(site, a_form(98)[0]), Registered)
    desk.clock.pump([1, 1])
    assert [type(one) for one in told] == [Registered] * 5
    lines: list[str] = []
    observer = lambda event: lines.append(event.get("furl"))  # noqa: E731
    globalLogPublisher.addObserver(observer)
    desk.clock.pump([1] * 3)
    globalLogPublisher.removeObserver(observer)
    assert thief in lines
    assert [type(one) for one in told[:7]] == [Registered] * 7
    assert [one.code for one in told[7:]] == ["full"] * 13
    assert desk.registering.refused == 13
    taken = [ask_from(thief, event(n)) for n in range(5)]
    assert [isinstance(one, Taken) for one in taken] == [True] * 3 + [False] * 2
    assert isinstance(ask_from(site, event(9)), Taken)
    desk.clock.advance(6)
    assert isinstance(ask_from(thief, a_form(99)[0]), Registered)
    assert isinstance(ask_from(thief, event(10)), Taken)


def test_a_refused_event_is_not_lost(desk, a_form) -> None:
    """A payment whose event was refused in a flood is taken when it is sent again."""
    desk.an_hour = 10
    desk.restart()
    register, owner = a_form()
    desk.ask(register)
    for number in range(10):
        desk.ask(event(number))
    desk.account.pay("cs_1")
    ours = event(99, SIGNED, "cs_1")
    assert desk.ask(ours).code == "try-later"
    desk.clock.advance(3600)
    assert isinstance(desk.ask(ours), Taken)
    assert desk.ask(Watch(owner, 0, 0)).state == "paid"


def test_the_reserve_is_not_for_events(desk) -> None:
    """While only the reserve of the disk is left no event is written."""
    desk.short = True
    assert desk.ask(event(1)).code == "try-later"
    assert rows(desk) == 0
    desk.short = False
    assert isinstance(desk.ask(event(1)), Taken)


@pytest.mark.parametrize("word", ["evt\n2026", "evt\u2028", "x" * 256, ""])
def test_a_hint_of_a_stolen_furl(desk, word) -> None:
    """Words that are no names of Stripe's are neither kept nor logged."""
    assert desk.ask(StripeEvent(StripeHint(word, SIGNED, "cs_1"))).code == "malformed"
    assert rows(desk) == 0
