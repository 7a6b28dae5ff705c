"""Whoever has the webhook's secret sends what they like, and cannot fill the journal."""

from __future__ import annotations

import pytest
from sqlalchemy import func, select

from lae_flapp.journal import inbox
from lae_protocol.messages import Registered, StripeEvent, Taken, Watch
from lae_protocol.stripe_hints import SUBJECTS, StripeHint

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
