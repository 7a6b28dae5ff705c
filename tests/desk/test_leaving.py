"""What operators do for who leaves or comes back, and the words that say so."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import get_args

import pytest

from lae_flapp.journal import events, gifts, lifecycles, outbox, signups
from lae_flapp.laptop.meanings import CANCELLING, DELETING, REACTIVATING
from lae_protocol.messages import Done, Refused, SignupState
from lae_protocol.operator_messages import Cancel, DeleteData, Reactivate

sys.path.insert(0, str(Path(__file__).parent))
try:
    from operator_daemon import id_of
    from test_operator import edge  # noqa: F401  (a fixture)
finally:
    sys.path.pop(0)

ACTIVE = id_of(0)


def last_event(edge):
    return edge.read(events.since, ACTIVE, 0)[-1]


def force(edge, signup_id, state):
    row = signups.SIGNUPS.c.signup_id == signup_id
    edge.write(
        lambda tx: tx.run(signups.SIGNUPS.update().where(row).values(state=state))
    )


def test_a_cancellation_taken_back(edge) -> None:
    """What goes on until its period ends is cancelled once and reactivated once; the
    worker that tells Stripe is woken.
    """
    edge.write(lifecycles.begin, ACTIVE, "sub_1")
    asked = Cancel(ACTIVE, "active", "a wish")
    assert isinstance(edge.ask(asked), Done)
    again = edge.ask(asked)
    assert (again.code, "with the paid period" in again.message) == ("not-now", True)
    edge.woken.clear()
    asked = Reactivate(ACTIVE, "active", "they stay")
    assert edge.ask(asked).view.state == "active"
    assert edge.read(lifecycles.get, ACTIVE).wish == "stay"
    event = last_event(edge)
    assert (event.who, event.why) == ("operator ann", "they stay")
    assert edge.woken == [ACTIVE]
    again = edge.ask(asked)
    assert (again.code, "is not cancelled" in again.message) == ("not-now", True)


def test_an_ended_one_is_invited_and_deleted(edge) -> None:
    """Its owner is mailed the way back each time that it is asked for; its data is
    deleted once, and who saw another state changes nothing.
    """
    force(edge, ACTIVE, "ended")
    asked = Reactivate(ACTIVE, "ended", "they wrote")
    for _ in range(2):
        assert edge.ask(asked).view.state == "ended"
    assert [m.kind for m in edge.read(outbox.of, ACTIVE)] == ["ended", "ended"]
    seen = DeleteData(ACTIVE, "active", "they wrote")
    assert edge.ask(seen).code == "changed"
    edge.woken.clear()
    asked = DeleteData(ACTIVE, "ended", "they wrote")
    assert edge.ask(asked).view.state == "deleting"
    event = last_event(edge)
    assert (event.kind, event.who, event.why) == (
        "deleting",
        "operator ann",
        "they wrote",
    )
    assert edge.woken == [ACTIVE]
    assert edge.ask(asked).code == "changed"


def test_what_was_given_is_not_sold(edge) -> None:
    """A gift that has ended cannot be paid for, so its owner is not invited to."""
    edge.write(gifts.put, ACTIVE, "operator ann", None)
    force(edge, ACTIVE, "ended")
    told = edge.ask(Reactivate(ACTIVE, "ended", "w"))
    assert (told.code, "was given" in told.message) == ("not-now", True)
    assert edge.read(outbox.of, ACTIVE) == ()


def test_too_late_to_come_back(edge) -> None:
    """After the time of the data nobody is invited to pay for it."""
    force(edge, ACTIVE, "ended")
    now = datetime.fromtimestamp(edge.clock.seconds(), UTC)
    edge.write(lifecycles.change, ACTIVE, kept_until=now)
    told = edge.ask(Reactivate(ACTIVE, "ended", "w"))
    assert (told.code, "is over" in told.message) == ("not-now", True)


@pytest.mark.parametrize(
    ("message", "means"),
    [
        (Cancel, CANCELLING),
        (Reactivate, REACTIVATING),
        (DeleteData, DELETING),
    ],
)
def test_what_a_command_says_is_what_it_does(edge, message, means) -> None:
    """Every state has its words, and where they say that nothing changes the daemon
    refuses and nothing does.
    """
    assert set(means) == set(get_args(SignupState))
    for state, meaning in means.items():
        assert meaning.words.endswith(".")
        force(edge, ACTIVE, state)
        # Stripe knows of it, and it is cancelled where that can be taken back.
        wish = "leave" if message is Reactivate else "stay"
        edge.write(lifecycles.change, ACTIVE, subscription="sub_1", wish=wish)
        before = edge.read(events.last_number, None)
        told = edge.ask(message(ACTIVE, state, "w"))
        # A page at Stripe is closed outside, which nobody does here.
        refused = isinstance(told, Refused) and told.code != "changed"
        assert refused is not meaning.changes, state
        changed = edge.read(events.last_number, None) > before
        assert changed is (meaning.changes and state != "paying"), state
