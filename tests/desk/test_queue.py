"""The queue: rows of a real journal are worked off, whatever becomes of the work."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from attrs import Factory, define
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
)
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock

from lae_flapp.journal import inbox
from lae_flapp.journal.errors import JournalBusy, JournalClosed
from lae_flapp.journal.journal import Journal
from lae_flapp.journal.transaction import Noun
from lae_flapp.queue import AFTER_FAILURE, AT_LEAST, Queue
from lae_protocol.stripe_hints import StripeHint
from tests.twins.ground import START
from tests.twins.journal import answer, open_journal


@define(slots=False)
class Rows:
    """An inbox with a queue; the test ends each piece of work itself."""

    folder: Path
    at_once: int = 2
    clock: Clock = Factory(Clock)
    working: dict[str, Deferred[None]] = Factory(dict)
    begun: list[str] = Factory(list)
    journal: Journal = None
    queue: Queue[Any] = None

    def start(self, work: Any = None) -> None:
        self.clock.advance(START)
        self.journal = open_journal(self.folder, self.clock)
        self.queue = self.make(self.journal, work or self.work)
        self.queue.startService()

    def make(self, journal: Any, work: Any) -> Queue[Any]:
        return Queue(
            "inbox",
            self.clock,
            journal,
            due=inbox.due,
            next_due_at=inbox.next_due_at,
            number_of=lambda event: event.event_id,
            work=work,
            at_once=self.at_once,
        )

    def work(self, event: Any) -> Deferred[None]:
        self.begun.append(event.event_id)
        assert event.event_id not in self.working, "never in work twice"
        doing: Deferred[None] = Deferred()
        self.working[event.event_id] = doing
        doing.addBoth(self._over, event.event_id)
        return doing

    def _over(self, result: Any, name: str) -> Any:
        del self.working[name]
        return result

    def add(self, *names: str) -> None:
        for name in names:
            answer(self.journal.write(inbox.take, StripeHint(name, "kind", None), "rq"))

    def finish(self, name: str) -> None:
        answer(self.journal.write(inbox.done, name))
        self.working[name].callback(None)

    def put_off(self, name: str, seconds: float) -> None:
        until = datetime.fromtimestamp(self.clock.seconds() + seconds, UTC)
        answer(self.journal.write(inbox.put_off, name, "why", until))
        self.working[name].callback(None)

    def stop(self) -> None:
        if self.queue.running:
            self.queue.stopService()
        answer(Deferred.fromCoroutine(self.journal.close()))


@pytest.fixture
def rows(tmp_path: Path) -> Iterator[Rows]:
    made = Rows(tmp_path / "journal")
    made.start()
    yield made
    made.stop()


def test_bounded(rows) -> None:
    """No more rows are in work than are allowed, and each end lets the next begin."""
    rows.add("a", "b", "c", "d")
    assert sorted(rows.working) == ["a", "b"]
    rows.finish("b")
    assert sorted(rows.working) == ["a", "c"]
    rows.finish("a")
    rows.finish("c")
    rows.finish("d")
    assert rows.begun == ["a", "b", "c", "d"]
    assert answer(rows.journal.read(inbox.waiting)) == 0


def test_put_off(rows) -> None:
    """A row that was put off is taken up when it is due, not before."""
    rows.add("a")
    rows.put_off("a", 7)
    rows.clock.advance(6.9)
    assert rows.working == {}
    rows.clock.advance(0.2)
    assert sorted(rows.working) == ["a"]


def test_put_off_beside_slow_work(rows) -> None:
    """A row that becomes due is not held up by another that takes long."""
    rows.add("slow", "a")
    rows.put_off("a", 7)
    for _ in range(10):
        rows.clock.advance(1)
    assert sorted(rows.working) == ["a", "slow"]


def test_far_future(rows) -> None:
    """A row that is due in a day is taken up then, looking now and then meanwhile."""
    rows.add("a")
    rows.put_off("a", 86400)
    for _ in range(86400 // 60):
        assert rows.working == {}
        rows.clock.advance(AT_LEAST)
    assert sorted(rows.working) == ["a"]


def test_failing_rows_take_nobodys_place(rows, logged) -> None:
    """Rows whose work always fails do not starve the ones behind them."""
    rows.add("bad1", "bad2", "bad3", "good")
    for _ in range(3):
        for name in [n for n in rows.working if n.startswith("bad")]:
            rows.working[name].errback(RuntimeError("of this row"))
    assert "good" in rows.working
    rows.finish("good")
    assert rows.begun.count("bad1") == 1
    rows.clock.advance(AFTER_FAILURE)
    assert sorted(rows.working) == ["bad1", "bad2"]
    failures = [e for e in logged if "log_failure" in e]
    assert len(failures) == 3


def test_failing_at_once_is_no_busy_loop(tmp_path, logged) -> None:
    """Work that fails in place is tried again after a pause, however often it looks."""
    tries: list[str] = []

    def failing(event: Any) -> Any:
        tries.append(event.event_id)
        return fail(RuntimeError("always"))

    rows = Rows(tmp_path / "journal")
    rows.start(failing)
    rows.add("a", "b")
    for _ in range(50):
        rows.queue.look()
    assert tries == ["a", "b"]
    for _ in range(60):
        rows.clock.advance(1)
    assert len(tries) <= 2 * (60 / AFTER_FAILURE + 1)
    assert len(tries) > 10
    rows.stop()


def test_unsettled_is_no_busy_loop(tmp_path) -> None:
    """Work that ends and leaves its row due is tried again after a pause."""
    tries: list[str] = []

    def forgetful(event: Any) -> Any:
        tries.append(event.event_id)
        return succeed(None)

    rows = Rows(tmp_path / "journal")
    rows.start(forgetful)
    rows.add("a")
    assert tries == ["a"]
    for _ in range(60):
        rows.clock.advance(1)
    assert 5 < len(tries) <= 60 / AFTER_FAILURE + 1
    rows.stop()


class Slow:
    """A journal whose reads the test answers, in their order."""

    def __init__(self) -> None:
        self.asked: list[tuple[Any, Deferred[Any]]] = []

    def read(self, work: Any) -> Deferred[Any]:
        waiting: Deferred[Any] = Deferred()
        self.asked.append((work, waiting))
        return waiting

    def hear_of(self, noun: Noun, heard: Callable[[], object]) -> None:
        """Nothing is committed here."""

    def answer(self, value: Any) -> None:
        _, waiting = self.asked.pop(0)
        if isinstance(value, Exception):
            waiting.errback(value)
        else:
            waiting.callback(value)


def an_event(name: str) -> Any:
    at = datetime.fromtimestamp(START, UTC)
    return inbox.InboxEvent(name, "k", b"", "r", at, "waiting", 0, at, None, None)


def with_slow_journal(tmp_path: Path) -> tuple[Rows, Slow]:
    rows, slow = Rows(tmp_path), Slow()
    rows.clock.advance(START)
    rows.queue = rows.make(slow, rows.work)
    rows.queue.startService()
    return rows, slow


def test_asked_to_look_while_looking(tmp_path) -> None:
    """What is committed during a look makes for one more look, and only one."""
    rows, slow = with_slow_journal(tmp_path)
    for _ in range(5):
        rows.queue.look()
    assert len(slow.asked) == 1
    slow.answer(())
    slow.answer(None)
    assert len(slow.asked) == 1
    slow.answer((an_event("late"),))
    slow.answer(None)
    assert sorted(rows.working) == ["late"]
    assert slow.asked == []
    rows.queue.stopService()


def test_ended_while_looking(tmp_path) -> None:
    """A row that ends while the journal is asked is not begun anew by the old answer."""
    rows, slow = with_slow_journal(tmp_path)
    slow.answer((an_event("a"),))
    slow.answer(None)
    rows.queue.look()
    # The question is under way, with "a" still waiting in its view, when "a" ends.
    rows.working["a"].callback(None)
    slow.answer((an_event("a"),))
    assert rows.begun == ["a"]
    slow.answer(None)
    # The end made for another look, whose view is newer.
    slow.answer(())
    slow.answer(None)
    assert rows.begun == ["a"]
    rows.queue.stopService()


def test_failing_journal(tmp_path, logged) -> None:
    """A journal that fails is asked again after a pause, and the log says so once."""
    rows, slow = with_slow_journal(tmp_path)
    slow.answer(JournalBusy("1000 transactions wait already"))
    assert slow.asked == []
    rows.clock.advance(AFTER_FAILURE - 0.1)
    assert slow.asked == []
    rows.clock.advance(0.2)
    slow.answer((an_event("a"),))
    slow.answer(RuntimeError("a bug"))
    assert sorted(rows.working) == ["a"]
    rows.clock.advance(AFTER_FAILURE)
    assert len(slow.asked) == 1
    told = [e["log_level"].name for e in logged if e["log_namespace"].endswith("Queue")]
    assert told == ["error", "critical"]
    rows.queue.stopService()


def test_closed_journal(tmp_path, logged) -> None:
    """When the journal is closed the queue ends without a word, and asks no more."""
    rows, slow = with_slow_journal(tmp_path)
    slow.answer(JournalClosed("closed"))
    rows.clock.advance(1000)
    assert slow.asked == []
    assert logged == []
    rows.queue.stopService()


def test_stop(rows, logged) -> None:
    """Stopping cancels what is in work, takes nothing more, and keeps the rows."""
    rows.add("a", "b", "c")
    stopping = rows.queue.stopService()
    assert stopping.called
    assert rows.working == {}
    rows.queue.look()
    rows.clock.advance(3600)
    assert rows.begun == ["a", "b"]
    assert rows.clock.getDelayedCalls() == []
    assert answer(rows.journal.read(inbox.waiting)) == 3
    assert [e for e in logged if "log_failure" in e] == []


def test_stop_waits_for_what_cannot_be_cancelled(tmp_path) -> None:
    """Work that goes on after its cancellation is waited for."""
    ending: Deferred[None] = Deferred()

    async def stubborn(event: Any) -> None:
        try:
            await Deferred()
        except BaseException:  # noqa: BLE001  (it wants to write its last words)
            await ending

    rows = Rows(tmp_path / "journal")
    rows.start(stubborn)
    rows.add("a")
    stopping = rows.queue.stopService()
    assert not stopping.called
    ending.callback(None)
    assert stopping.called
    rows.stop()


def test_stop_while_looking(tmp_path) -> None:
    """What is found after the stop is not begun."""
    rows, slow = with_slow_journal(tmp_path)
    rows.queue.stopService()
    slow.answer((an_event("a"),))
    slow.answer(None)
    assert rows.begun == []
    assert rows.clock.getDelayedCalls() == []


class Counted:
    """A journal that counts how often it is asked."""

    def __init__(self, due_at: datetime | None) -> None:
        self.reads, self.due_at = 0, due_at

    def hear_of(self, noun: Noun, heard: Callable[[], object]) -> None:
        """Nothing is committed here."""

    def read(self, work: Any) -> Deferred[Any]:
        self.reads += 1
        return succeed(() if work is inbox.due else self.due_at)


@pytest.mark.parametrize("seconds", [None, 0.4, 59, 10**6])
def test_idle(tmp_path, seconds) -> None:
    """With nothing due the journal is asked about once a minute, and no more."""
    at = None
    if seconds is not None:
        at = datetime.fromtimestamp(START, UTC) + timedelta(hours=1, seconds=seconds)
    counted = Counted(at)
    rows = Rows(tmp_path)
    rows.clock.advance(START)
    rows.queue = rows.make(counted, rows.work)
    rows.queue.startService()
    for _ in range(3600 * 2 - 2):
        rows.clock.advance(0.5)
    assert counted.reads <= 2 * 62
    rows.queue.stopService()


class AnyOrder(RuleBasedStateMachine):
    """Rows come, end, fail and are put off in any order, with restarts between."""

    @initialize()
    def begin(self) -> None:
        import tempfile  # noqa: PLC0415  (one folder for each example)

        self.folder = tempfile.TemporaryDirectory()
        self.rows = Rows(Path(self.folder.name) / "journal")
        self.rows.start()
        self.count = 0
        self.settled: set[str] = set()

    @rule()
    def come(self) -> None:
        self.count += 1
        self.rows.add(f"e{self.count:03}")

    def some(self, data: Any) -> str | None:
        names = sorted(self.rows.working)
        return data.draw(st.sampled_from(names)) if names else None

    @rule(data=st.data())
    def end(self, data: Any) -> None:
        if name := self.some(data):
            self.rows.finish(name)
            self.settled.add(name)

    @rule(data=st.data(), seconds=st.floats(0.1, 200))
    def later(self, data: Any, seconds: float) -> None:
        if name := self.some(data):
            self.rows.put_off(name, seconds)

    @rule(data=st.data())
    def fails(self, data: Any) -> None:
        if name := self.some(data):
            self.rows.working[name].errback(RuntimeError("of this row"))

    @rule(seconds=st.floats(0.1, 100))
    def time_passes(self, seconds: float) -> None:
        self.rows.clock.advance(seconds)

    @rule()
    def look(self) -> None:
        self.rows.queue.look()

    @rule()
    def restart(self) -> None:
        self.rows.queue.stopService()
        assert self.rows.working == {}
        self.rows.queue = self.rows.make(self.rows.journal, self.rows.work)
        self.rows.queue.startService()

    @invariant()
    def bounded(self) -> None:
        assert len(self.rows.working) <= self.rows.at_once

    @invariant()
    def settled_rows_rest(self) -> None:
        assert not self.settled & set(self.rows.working)

    def teardown(self) -> None:
        if not hasattr(self, "rows"):
            return
        # From here on all goes well: everything is worked off, in bounded time.
        for _ in range(20 + 10 * self.count):
            for name in sorted(self.rows.working):
                self.rows.finish(name)
            self.rows.clock.advance(AFTER_FAILURE)
        for _ in range(5):
            self.rows.clock.advance(AT_LEAST)
            for name in sorted(self.rows.working):
                self.rows.finish(name)
        left = answer(self.rows.journal.read(inbox.waiting))
        self.rows.stop()
        self.folder.cleanup()
        assert left == 0


AnyOrder.TestCase.settings = settings(max_examples=25, stateful_step_count=25)
TestAnyOrder = AnyOrder.TestCase
