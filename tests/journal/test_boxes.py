"""The inbox and the outbox: taken once, tried until settled."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lae_flapp.journal import contacts, inbox, outbox
from lae_flapp.journal.errors import StateChanged, Unknown
from lae_protocol.stripe_hints import StripeHint


def now(desk) -> datetime:
    return datetime.fromtimestamp(desk.clock.seconds(), UTC)


def take(desk, event_id, object_id="cs_1"):
    hint = StripeHint(event_id, "checkout.session.completed", object_id)
    return desk.write(inbox.take, hint, "rq")


def test_an_event_is_taken_once(desk) -> None:
    """A second delivery is known, and the first one's row stays."""
    assert take(desk, "evt_1", "cs_first") is True
    assert take(desk, "evt_1", "cs_second") is False
    assert [one.object_id for one in desk.read(inbox.due)] == ["cs_first"]


def test_a_failed_event_comes_back_when_it_is_due(desk) -> None:
    """What is put off waits for its time, and counts its attempts."""
    take(desk, "evt_1")
    later = now(desk) + timedelta(seconds=30)
    desk.write(inbox.put_off, "evt_1", "Stripe is away", later)
    assert desk.read(inbox.due) == ()
    assert desk.read(inbox.next_due_at) == later
    assert desk.read(inbox.waiting) == 1
    desk.clock.advance(30)
    (again,) = desk.read(inbox.due)
    assert (again.attempts, again.outcome) == (1, "Stripe is away")


def test_a_settled_event_stays_settled(desk) -> None:
    """Late news of a settled event change nothing; of an unknown one are an error."""
    take(desk, "evt_1")
    take(desk, "evt_2")
    desk.write(inbox.done, "evt_1")
    desk.write(inbox.ignore, "evt_2", "another deployment's")
    desk.write(inbox.put_off, "evt_1", "late", now(desk))
    desk.write(inbox.ignore, "evt_1", "late")
    assert desk.read(inbox.find, "evt_1").state == "done"
    assert desk.read(inbox.find, "evt_2").state == "ignored"
    assert desk.read(inbox.next_due_at) is None
    with pytest.raises(Unknown):
        desk.write(inbox.done, "evt_9")


@settings(
    max_examples=30,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["take", "done", "ignore", "put_off"]), st.integers(0, 3)
        ),
        max_size=20,
    )
)
def test_each_event_is_worked_off_once(make_desk, story) -> None:
    """However often events are delivered and settled, each is one row, due until the
    first settlement and never after it.
    """
    desk = make_desk()
    known, settled = set(), set()
    for kind, number in story:
        event_id = f"evt_{number}"
        if kind == "take":
            assert take(desk, event_id) is (event_id not in known)
            known.add(event_id)
        elif event_id in known:
            if kind == "put_off":
                desk.write(inbox.put_off, event_id, "why", now(desk))
            else:
                why = ("why",) if kind == "ignore" else ()
                desk.write(getattr(inbox, kind), event_id, *why)
                settled.add(event_id)
        assert {one.event_id for one in desk.read(inbox.due)} == known - settled
    assert desk.rows("inbox") == len(known)


def test_a_mail_of_a_kind_is_queued_once_per_occasion(desk) -> None:
    """Deciding on a mail twice is one mail with the first Message-ID; another
    occasion is another mail.
    """
    a = desk.register("a").signup_id
    first = desk.write(outbox.put, a, "active")
    assert desk.write(outbox.put, a, "active") == first
    resent = desk.write(outbox.put, a, "active", "resend-1")
    assert desk.read(outbox.of, a) == (first, resent)
    assert first.message_id != resent.message_id
    assert desk.read(outbox.waiting) == 2


def test_a_mail_keeps_its_message_id_through_failures(desk) -> None:
    """A mail that is put off comes back as the same mail when it is due."""
    a = desk.register("a").signup_id
    mail = desk.write(outbox.put, a, "active")
    later = now(desk) + timedelta(seconds=60)
    desk.write(outbox.put_off, mail.number, "421 later", later)
    assert desk.read(outbox.due) == ()
    assert desk.read(outbox.next_due_at) == later
    desk.clock.advance(60)
    (again,) = desk.read(outbox.due)
    assert (again.message_id, again.attempts) == (mail.message_id, 1)


def test_a_mail_is_accepted_once_for_one_address(desk) -> None:
    """Acceptance names the address, may be said twice, and is not undone."""
    a = desk.register("a").signup_id
    contact = desk.read(contacts.current, a).number
    mail = desk.write(outbox.put, a, "active")
    assert desk.write(outbox.accepted, mail.number, contact) is True
    assert desk.write(outbox.accepted, mail.number, contact) is False
    with pytest.raises(StateChanged):
        desk.write(outbox.refused, mail.number, contact, "550 no")
    with pytest.raises(StateChanged):
        desk.write(outbox.put_off, mail.number, "late", now(desk))
    assert desk.read(outbox.get, mail.number).contact == contact
    assert desk.read(outbox.due) == ()
    with pytest.raises(Unknown):
        desk.read(outbox.get, 99)


def test_the_outbox_holds_no_body() -> None:
    """No column of the outbox could hold a rendered mail or an address."""
    names = {one.name for one in outbox.OUTBOX.columns}
    assert not names & {"body", "subject", "recipient", "address", "rendered"}
    assert not any(one.info["personal"] for one in outbox.OUTBOX.columns)
