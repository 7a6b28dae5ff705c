"""No worker ends for ever while its customer waits."""

from __future__ import annotations

import pytest
from twisted.logger import globalLogPublisher

from lae_flapp.grid import record
from lae_flapp.journal.errors import JournalDamaged
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
    world.crew.nudge(signup_id)
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
    world.crew.nudge(signup_id)
    world.advance(3)
    crew = world.crew
    world.stop()
    world.advance(200)
    assert RuntimeError in failures
    assert not crew.busy()
