"""No worker ends for ever while its customer waits."""

from __future__ import annotations

import pytest
from twisted.logger import globalLogPublisher

from lae_flapp.grid import record
from lae_flapp.grid.worker import Worker
from lae_flapp.journal import signups, switches
from lae_flapp.journal.errors import JournalDamaged
from lae_flapp.life import ending
from tests.grid.world import always, check_served
from tests.twins.weather import Fault


@pytest.fixture
def failures():
    """The failures that are logged, so that a test can see them."""
    seen = []

    def observe(event):
        if "log_failure" in event:
            seen.append(event["log_failure"].type)

    globalLogPublisher.addObserver(observe)
    yield seen
    globalLogPublisher.removeObserver(observe)


def _fails_once(monkeypatch, error):
    read, left = record.read, [error]

    def once(tx, signup_id):
        if left:
            raise left.pop()
        return read(tx, signup_id)

    monkeypatch.setattr(record, "read", once)


@pytest.mark.parametrize(
    "error",
    [JournalDamaged("an I/O error"), RuntimeError("a bug")],
    ids=["disk", "bug"],
)
def test_a_hiccup_strands_nobody(world, monkeypatch, failures, error):
    """A paid signup is served after one failure of the journal, or of our own code."""
    world.weather = always("roles.make", Fault.THROTTLED)
    signup_id = world.paid()
    world.advance(5)
    _fails_once(monkeypatch, error)
    world.crew.hear(signup_id)
    world.weather = always("nothing", Fault.NONE)
    world.advance(200)
    check_served(world, signup_id)
    if isinstance(error, RuntimeError):
        assert RuntimeError in failures
        assert "troubled" in world.mails(signup_id)


def test_a_stopped_crew_begins_nothing_again(world, monkeypatch, failures):
    """What died is not begun again by a crew that was told to stop."""
    world.weather = always("roles.make", Fault.THROTTLED)
    signup_id = world.paid()
    world.advance(5)
    _fails_once(monkeypatch, RuntimeError("a bug"))
    world.crew.hear(signup_id)
    world.advance(3)
    crew = world.crew
    world.stop()
    world.advance(200)
    assert RuntimeError in failures
    assert not crew.busy()


def test_news_for_a_dying_worker_leaves_one_timer(world, monkeypatch, failures):
    """However often a worker dies, it is begun again by one timer, which a stopped crew
    ends; and one that recovered meanwhile is not begun again.
    """
    signup_id = world.paid()
    world.advance(60)
    check_served(world, signup_id)
    before = len(world.clock.getDelayedCalls())
    with monkeypatch.context() as broken:

        def die(tx, signup_id):
            raise RuntimeError("a bug")

        broken.setattr(record, "read", die)
        for _ in range(10):
            world.crew.hear(signup_id)
        assert failures.count(RuntimeError) == 10
        assert len(world.clock.getDelayedCalls()) == before + 1
        world.advance(300)
        assert failures.count(RuntimeError) == 15
    world.crew.hear(signup_id)
    assert len(world.clock.getDelayedCalls()) == before
    world.advance(300)
    assert failures.count(RuntimeError) == 15
    assert not world.crew.busy()


def test_stopping_a_crew_ends_the_timer_of_a_dying_worker(
    world, monkeypatch, failures
) -> None:
    """No timer outlives the crew."""
    signup_id = world.paid()
    world.advance(60)

    def die(tx, signup_id):
        raise RuntimeError("a bug")

    before = len(world.clock.getDelayedCalls())
    monkeypatch.setattr(record, "read", die)
    for _ in range(3):
        world.crew.hear(signup_id)
    world.stop()
    assert failures.count(RuntimeError) == 3
    assert len(world.clock.getDelayedCalls()) == before


def test_a_worker_does_not_wake_itself(world, monkeypatch):
    """From payment to mail one worker runs, which looks once after its last write."""
    begun, reads = [], []
    run, read = Worker.run, record.read

    def counted(tx, signup_id):
        reads.append(signups.get(tx, signup_id).state)
        return read(tx, signup_id)

    monkeypatch.setattr(Worker, "run", lambda self: begun.append(self) or run(self))
    monkeypatch.setattr(record, "read", counted)
    signup_id = world.paid()
    world.advance(30)
    check_served(world, signup_id)
    assert len(begun) == 1
    assert reads.count("active") == 1


def test_what_a_worker_writes_of_a_refusal_does_not_wake_it(world):
    """A door that refuses is asked again in an hour, though the refusal is journaled."""
    asked = []

    def met(call):
        asked.append(call)
        return Fault.REFUSED if call == "roles.make" else Fault.NONE

    world.weather = met
    signup_id = world.paid()
    world.advance(600, step=10)
    assert "troubled" in world.mails(signup_id)
    assert asked.count("roles.make") == 1


def test_what_a_worker_writes_before_a_call_does_not_cut_its_pause_short(world):
    """A service that throttles us is asked again after a pause, though the worker wrote
    a new host, or that nobody can be sure what Stripe knows, just before it asked.
    """
    asked = []

    def met(call):
        asked.append(call)
        throttled = call in {"hosts.make", "payments.set_end"} and len(asked) < 200
        return Fault.THROTTLED if throttled else Fault.NONE

    world.weather = met
    signup_id = world.paid()
    while "hosts.make" not in asked:
        world.advance(1)
    assert asked.count("hosts.make") == 1
    world.weather = always("nothing", Fault.NONE)
    world.advance(90)
    check_served(world, signup_id)
    asked.clear()
    world.weather = met
    world.write(ending.cancel, signup_id, "op", "asked", at_once=False)
    assert asked.count("payments.set_end") == 1
    world.advance(60)
    assert 2 <= asked.count("payments.set_end") <= 12


def test_what_others_commit_wakes_the_worker_at_once(world):
    """A refund that is decided while a door refuses does not wait for the hour."""
    world.weather = always("roles.make", Fault.REFUSED)
    signup_id = world.paid()
    world.advance(20)
    world.weather = always("nothing", Fault.NONE)
    world.give_up(signup_id)
    world.advance(90)
    assert world.state(signup_id) == "refunded"


def test_what_is_resumed_is_taken_up(world):
    """The end of a pause has all that waited tried at once."""
    world.write(switches.pause, "launches", "op", "the cloud is full")
    signup_id = world.paid()
    world.advance(300, step=10)
    assert world.cloud.launches == 0
    world.write(switches.resume, "launches", "op")
    world.advance(10)
    check_served(world, signup_id)
