"""The daemon dies at each named point, and the next one finishes its work."""

from __future__ import annotations

import pytest

import lae_flapp.service  # noqa: F401  (declares all points)
from lae_protocol.process.crash import declared, on_crash_point
from tests.crash.scenarios import STORIES, Moved, story_of
from tests.grid.world import Crashed, World

POINTS = sorted(
    name for name in declared() if name.startswith(("signup.", "lifecycle."))
)


class Deadly:
    """Kills the daemon at one point, the first so many times it comes there."""

    def __init__(self, point, times):
        self.point, self.left = point, times
        self.world = None
        self.struck = 0

    def __call__(self, name):
        if name == self.point and self.left:
            self.left -= 1
            self.struck += 1
            self.world.perish()
            raise Crashed(name)


def live(world, story):
    """Tell the story to its end; a dead daemon is started again after a second."""
    turns = 0
    while turns < story.seconds():
        turns += 5
        try:
            if not world.up:
                world.start()
            if world.up:
                story.turn(world)
            if world.up:
                world.advance(5)
        except Crashed:
            pass
        if world.perished:
            world.kill()
        story.check_meanwhile(world)


@pytest.fixture
def world(tmp_path):
    made = World(tmp_path / "state")
    made.start()
    yield made
    on_crash_point(None)
    made.kill()


@pytest.mark.parametrize("times", [1, 2], ids=["once", "twice"])
@pytest.mark.parametrize("point", POINTS)
def test_killed_at(world, point, times):
    """Killed at this point, once or at the second try too, all ends as it should."""
    story = STORIES[story_of(point)]()
    story.begin(world)
    deadly = Deadly(point, times)
    deadly.world = world
    on_crash_point(deadly)
    live(world, story)
    assert deadly.struck, "the story never came to the point"
    story.check(world)


@pytest.mark.parametrize("number", [2, 3], ids=["taken", "given back"])
@pytest.mark.parametrize(
    "point", [p for p in POINTS if p.startswith("signup.role.") and "unma" not in p]
)
def test_killed_while_a_right_changes(world, point, number):
    """Killed while the role loses its right to write, or gets it back, the next daemon
    goes on: it is as the signup's state says.
    """
    story = STORIES["unpaid"]()
    story.begin(world)
    deadly = Deadly(point, 1)
    deadly.world = world
    came = []

    def strike(name):
        came.append(name)
        # The first time is the making of the role.
        if came.count(point) == number:
            deadly(name)

    on_crash_point(strike)
    live(world, story)
    assert deadly.struck == 1
    story.check(world)


@pytest.mark.parametrize("times", [1, 2], ids=["once", "twice"])
@pytest.mark.parametrize(
    "point",
    [p for p in POINTS if p.startswith(("signup.address.", "signup.host."))],
)
def test_killed_while_a_host_is_replaced(world, point, times):
    """Killed while the first host goes and the second comes: at no time leads the name
    to the address of a host that is gone.
    """
    story = STORIES["replaced"]()
    story.begin(world)
    deadly = Deadly(point, times)
    deadly.world = world
    on_crash_point(deadly)
    live(world, story)
    assert deadly.struck
    story.check(world)


@pytest.mark.parametrize("number", [2, 3], ids=["second", "third"])
@pytest.mark.parametrize("point", [p for p in POINTS if ".address." in p])
def test_killed_while_a_name_is_led_anew(world, point, number):
    """Killed while the name follows a host that was stopped and started at the console,
    the next daemon leads it to where the host is.
    """
    story = Moved()
    story.begin(world)
    deadly = Deadly(point, 1)
    deadly.world = world
    came = []

    def strike(name):
        came.append(name)
        # The first time the record is made.
        if came.count(point) == number - ("unma" in point):
            deadly(name)

    on_crash_point(strike)
    live(world, story)
    assert deadly.struck == 1
    story.check(world)


@pytest.mark.parametrize("name", STORIES)
def test_stories_end_well_undisturbed(world, name):
    """Without a crash the stories end as they must with one."""
    story = STORIES[name]()
    story.begin(world)
    live(world, story)
    story.check(world)
