"""The inbox: an event that cannot be settled waits, and holds up no other."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from lae_flapp.journal import inbox
from lae_flapp.journal.errors import JournalClosed
from lae_flapp.money.inbox.working_off import (
    EVENTS_AT_ONCE,
    FETCHES_AT_ONCE,
    RETRY_AT_MOST,
    UNKNOWN_AGAIN,
    InboxWork,
)
from lae_flapp.money.stripe.threads import THREADS
from lae_flapp.queue import Queue
from lae_protocol.stripe_hints import StripeHint
from lae_provision.errors import Refused, TryLater
from tests.twins.journal import answer, open_journal

COMPLETED = "checkout.session.completed"


class Settling:
    """What becomes of each session, by its id: an outcome, an error, or what takes
    time.
    """

    def __init__(self) -> None:
        self.becomes: dict[str, Any] = {}
        self.asked: list[str] = []

    async def settle(self, session_id: str, why: str) -> Any:
        assert why == "webhook"
        self.asked.append(session_id)
        becomes = self.becomes.get(session_id, "kept")
        if isinstance(becomes, Exception):
            raise becomes
        return await becomes if isinstance(becomes, Deferred) else becomes


class Box:
    def __init__(self, folder: Path, at_once: int = 2) -> None:
        self.at_once = at_once
        self.clock = Clock()
        self.clock.advance(1_795_000_000)
        self.settling = Settling()
        self.journal = open_journal(folder, self.clock)
        self.queue = Queue(
            "inbox",
            self.clock,
            self.journal,
            due=inbox.due,
            next_due_at=inbox.next_due_at,
            number_of=lambda event: event.event_id,
            work=InboxWork(self.journal, self.settling, None, Random(1)),
            at_once=self.at_once,
        )
        self.queue.startService()

    def take(self, number: int, session: str | None, kind: str = COMPLETED) -> None:
        hint = StripeHint(f"evt_{number:03}", kind, session)
        answer(self.journal.write(inbox.take, hint, "rq"))

    def state(self, number: int) -> str:
        return answer(self.journal.read(inbox.find, f"evt_{number:03}")).state

    def pass_time(self, seconds: float) -> None:
        for _ in range(int(seconds)):
            self.clock.advance(1)


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Box]:
    made = Box(tmp_path / "journal")
    yield made
    made.queue.stopService()
    answer(Deferred.fromCoroutine(made.journal.close()))


@pytest.fixture
def wide_box(tmp_path: Path) -> Iterator[Box]:
    """Works on as many events at once as the daemon does."""
    made = Box(tmp_path / "journal", EVENTS_AT_ONCE)
    yield made
    made.queue.stopService()
    answer(Deferred.fromCoroutine(made.journal.close()))


def test_events_of_one_object_are_one_fetch(wide_box) -> None:
    """A flood of events of one session fetches it once more for all that came while it
    was fetched, since that fetch may not have seen what they tell.
    """
    first, second = Deferred(), Deferred()
    wide_box.settling.becomes["cs_1"] = first
    for number in range(EVENTS_AT_ONCE):
        wide_box.take(number, "cs_1")
    assert wide_box.settling.asked == ["cs_1"]
    wide_box.settling.becomes["cs_1"] = second
    first.callback("unpaid")
    assert wide_box.settling.asked == ["cs_1"] * 2
    wide_box.pass_time(1)
    assert wide_box.state(0) == "done"
    assert wide_box.state(1) == "waiting"
    second.callback("kept")
    wide_box.pass_time(1)
    states = {wide_box.state(number) for number in range(EVENTS_AT_ONCE)}
    assert states == {"done"}
    assert wide_box.settling.asked == ["cs_1"] * 2


def test_events_leave_stripes_threads_to_customers(wide_box) -> None:
    """However many objects events name, a few are fetched at once; one that fails makes
    room for the next, and is tried again.
    """
    for number in range(EVENTS_AT_ONCE):
        wide_box.settling.becomes[f"cs_{number}"] = Deferred()
        wide_box.take(number, f"cs_{number}")
    asked = wide_box.settling.asked
    assert asked == [f"cs_{number}" for number in range(FETCHES_AT_ONCE)]
    assert len(asked) <= THREADS // 2
    wide_box.settling.becomes["cs_0"].errback(TryLater("busy", ""))
    assert asked[FETCHES_AT_ONCE:] == [f"cs_{FETCHES_AT_ONCE}"]
    assert wide_box.state(0) == "waiting"
    wide_box.settling.becomes["cs_0"] = "kept"
    for number in range(1, EVENTS_AT_ONCE):
        wide_box.settling.becomes[f"cs_{number}"].callback("kept")
    wide_box.pass_time(10)
    assert wide_box.state(0) == "done"


@pytest.mark.parametrize("outcome", ["kept", "unpaid", "expired", "surplus"])
def test_settled(box, outcome) -> None:
    """Whatever the session turns out to be, its event is worked off, once."""
    box.settling.becomes["cs_1"] = outcome
    box.take(1, "cs_1")
    box.pass_time(120)
    assert box.state(1) == "done"
    assert box.settling.asked == ["cs_1"]


@pytest.mark.parametrize(
    "error",
    [
        TryLater("Throttling", "slow"),
        Refused("AccessDenied", "no"),
        RuntimeError("a bug"),
    ],
)
def test_put_off(box, error) -> None:
    """An event that cannot be settled now is tried again, later and later."""
    box.settling.becomes["cs_1"] = error
    box.take(1, "cs_1")
    box.pass_time(3600)
    assert box.state(1) == "waiting"
    assert 3600 / RETRY_AT_MOST < len(box.settling.asked) < 80
    del box.settling.becomes["cs_1"]
    box.pass_time(RETRY_AT_MOST + 1)
    assert box.state(1) == "done"


def test_holds_up_no_other(box) -> None:
    """Events that always fail do not delay those of other customers."""
    for number in range(1, 120):
        box.settling.becomes[f"cs_{number}"] = RuntimeError("a bug")
        box.take(number, f"cs_{number}")
    box.take(500, "cs_good")
    box.pass_time(2)
    assert box.state(500) == "done"


def test_events_of_no_session(box) -> None:
    """Events from which nothing follows are ignored, with their kind."""
    box.take(1, "cs_1", "payout.paid")
    assert box.state(1) == "ignored"
    assert box.settling.asked == []


def test_foreign(box) -> None:
    """An event of another deployment is ignored."""
    box.settling.becomes["cs_1"] = "foreign"
    box.take(1, "cs_1")
    assert box.state(1) == "ignored"


def test_unknown(box) -> None:
    """An event of a signup that the journal does not know waits for its adoption by
    another event, soon, and then for a person.
    """
    box.settling.becomes["cs_1"] = "unknown"
    box.take(1, "cs_1")
    for number, seconds in enumerate([*UNKNOWN_AGAIN, UNKNOWN_AGAIN[-1]], 1):
        assert len(box.settling.asked) == number
        box.pass_time(seconds - 2)
        assert len(box.settling.asked) == number
        assert box.state(1) == "waiting"
        box.pass_time(2)


def test_closing_journal(box) -> None:
    """A journal that closes under the work leaves the event as it was."""
    box.settling.becomes["cs_1"] = JournalClosed("closed")
    box.take(1, "cs_1")
    event = answer(box.journal.read(inbox.find, "evt_001"))
    assert (event.state, event.attempts) == ("waiting", 0)


def test_an_event_that_names_no_object(box) -> None:
    """Of an event that says not what it is about, nothing follows."""
    box.take(1, None)
    assert box.state(1) == "ignored"
    assert box.settling.asked == []
