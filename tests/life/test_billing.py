"""What Stripe shows is journaled: who told it, why, and one mail for each change."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from attrs import evolve

from lae_flapp.effects.payments import Subscription
from lae_flapp.journal import events, lifecycles, outbox, signups
from lae_flapp.life.billing import announce, learn
from tests.journal.conftest import Desk

UNTIL, LEAVES = datetime(2027, 3, 1, tzinfo=UTC), datetime(2027, 2, 1, tzinfo=UTC)


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    desk = Desk(tmp_path / "desk")
    yield desk
    desk.close()


def seen(status: str, ends_at: datetime | None = None) -> Subscription:
    return Subscription(
        "sub_1", status, None, None, livemode=False, paid_until=UNTIL, ends_at=ends_at
    )


def told(desk: Desk, signup_id: str) -> tuple[list[object], list[object]]:
    """The events after the registration, and the mails that go with them."""
    _, *later = desk.read(events.since, signup_id, 0)
    mails = desk.read(outbox.of, signup_id)
    numbers = {str(e.number): e.kind for e in later}
    return (
        [(e.kind, e.who, e.why) for e in later],
        [(m.kind, numbers[m.occasion]) for m in mails],
    )


OVER = "the subscription is over at Stripe"
NEVER = "the subscription was over before it was served"


@pytest.mark.parametrize(
    ("state", "status", "verdict", "event", "mail"),
    [
        ("active", "active", "same", None, None),
        ("active", "past_due", "failed", ("past-due", "a payment failed"), "past-due"),
        ("stopped", "active", "recovered", ("recovered", "paid again"), "recovered"),
        ("active", "canceled", "over", ("ending", OVER), "ended"),
        ("paid", "canceled", "never-served", ("refunding", NEVER), None),
    ],
)
def test_what_follows_is_journaled(desk, state, status, verdict, event, mail) -> None:
    """The event says who told it and why; the times are kept as Stripe says them."""
    signup_id = desk.put_in("a", state)
    signup = desk.read(signups.get, signup_id)
    assert desk.write(learn, seen(status), signup, "webhook") == verdict
    kind, why = event or (None, None)
    expected = [] if event is None else [(kind, "webhook", why)]
    assert told(desk, signup_id) == (expected, [] if mail is None else [(mail, kind)])
    life = desk.read(lifecycles.get, signup_id)
    assert (life.paid_until, life.ends_at) == (UNTIL, None)


@pytest.mark.parametrize("state", ["active", "past-due"])
@pytest.mark.parametrize(
    ("wish", "known", "ends_at", "then"),
    [
        ("stay", "stay", LEAVES, "leave"),
        ("leave", "leave", None, "stay"),
        ("stay", "stay", None, None),
        ("leave", "leave", LEAVES, None),
        ("stay", "leave", LEAVES, None),
        ("leave", "unsure", None, None),
        ("end", "end", None, None),
        ("end", "end", LEAVES, None),
    ],
)
def test_what_was_changed_at_stripe_is_adopted(
    desk, state, wish, known, ends_at, then
) -> None:
    """The customer's wish is what Stripe shows, unless ours is on its way there, or all
    is over; it is announced once.
    """
    signup_id = desk.put_in("a", state)
    desk.write(lifecycles.change, signup_id, wish=wish, told=known)
    signup = desk.read(signups.get, signup_id)
    status = {"active": "active", "past-due": "past_due"}[state]
    for _ in range(2):
        assert desk.write(learn, seen(status, ends_at), signup, "webhook") == "same"
    life = desk.read(lifecycles.get, signup_id)
    assert (life.wish, life.told) == ((then, then) if then else (wish, known))
    assert life.ends_at == ends_at
    kind = {"leave": "leaving", "stay": "staying"}.get(then)
    expected = ([(kind, "webhook", None)], [(kind, kind)]) if kind else ([], [])
    assert told(desk, signup_id) == expected


def test_what_is_over_or_unclear_is_no_wish(desk) -> None:
    """A subscription that is over tells nothing of what its customer wants."""
    signup_id = desk.put_in("a", "active")
    signup = desk.read(signups.get, signup_id)
    for status in ("incomplete", "canceled"):
        desk.write(learn, seen(status, LEAVES), signup, "webhook")
    assert desk.read(lifecycles.get, signup_id).wish == "end"
    kinds, _ = told(desk, signup_id)
    assert kinds == [("ending", "webhook", OVER)]


@pytest.mark.parametrize(
    ("wish", "kind", "mails"),
    [
        ("leave", "leaving", [("leaving", "leaving")]),
        ("stay", "staying", [("staying", "staying")]),
        ("end", "billing-over", []),
    ],
)
def test_what_stripe_knows_is_announced(desk, wish, kind, mails) -> None:
    """That it ends or goes on is mailed; of its end another mail has told already."""
    signup_id = desk.put_in("a", "active")
    signup = desk.read(signups.get, signup_id)
    desk.write(announce, seen("active"), signup, wish, "daemon")
    assert told(desk, signup_id) == ([(kind, "daemon", None)], mails)


def test_each_cancellation_is_mailed_once(desk) -> None:
    """Cancelled, taken back and cancelled again are three mails; Stripe's news of the
    same cancellation, told anew, is none.
    """
    signup_id = desk.put_in("a", "active")
    for wish, at in (("leave", 1), ("stay", 0), ("leave", 2), ("leave", 2)):
        news = evolve(seen("active"), cancelled_at=UNTIL + timedelta(hours=at))
        signup = desk.read(signups.get, signup_id)
        desk.write(announce, news, signup, wish, "daemon")
    mails = [m.kind for m in desk.read(outbox.of, signup_id)]
    assert mails == ["leaving", "staying", "leaving"]


def test_what_stripe_does_not_date_is_mailed_each_time(desk) -> None:
    """Without Stripe's word when it was cancelled, each time is a mail of its own."""
    signup_id = desk.put_in("a", "active")
    dated = evolve(seen("active"), cancelled_at=UNTIL)
    for wish, news in (
        ("leave", dated),
        ("stay", seen("active")),
        ("leave", seen("active")),
        ("stay", seen("active")),
        ("stay", seen("active")),
    ):
        signup = desk.read(signups.get, signup_id)
        desk.write(announce, news, signup, wish, "daemon")
    assert len(desk.read(outbox.of, signup_id)) == 5
