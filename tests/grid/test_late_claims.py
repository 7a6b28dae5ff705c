"""A host that does not claim its identity is told, with what its console says."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred

from lae_flapp.grid.late_claims import (
    AT_ONCE,
    LATE,
    MOST_LINES,
    MOST_OF_A_LINE,
    LateClaims,
    last_lines,
    late,
)
from lae_flapp.journal import events, hosts
from lae_flapp.journal.hosts import HostRow
from lae_protocol.ids import Generation, SignupId
from lae_provision.errors import Refused
from tests.grid.world import always
from tests.twins.journal import answer
from tests.twins.weather import Fault

NOW = datetime(2026, 11, 30, tzinfo=UTC)
SPAN = timedelta(minutes=5)
ROW = HostRow(
    signup_id=SignupId("su" + "a" * 20),
    generation=Generation(1),
    state="launched",
    wanted_at=NOW,
    changed_at=NOW - SPAN,
    instance_id="i-1",
    address=None,
    launch_time=NOW,
    reported_at=None,
    report=None,
    bootstrap_hash=None,
    bootstrap_until=None,
    public_key=None,
    furl_hash=None,
    furl_sealed=None,
    image=None,
)
REJECTED = (
    "s4-node[146]: Error: Source image rejected: A signature was required, but no"
    " signature exists"
)
FURL = f"pb://{'a' * 32}@daemon.example:7777/{'b' * 32}"


@pytest.mark.parametrize(
    ("row", "is_late"),
    [
        (ROW, True),
        (evolve(ROW, changed_at=NOW - SPAN + timedelta(seconds=1)), False),
        *((evolve(ROW, state=s), False) for s in ("wanted", "claimed", "ready")),
        *((evolve(ROW, state=s), False) for s in ("quarantined", "retiring", "gone")),
    ],
)
def test_a_host_is_late_from_its_bound_on(row: HostRow, is_late) -> None:
    """A host that was launched so long ago is late, until it claims or is to go."""
    assert bool(late((row,), NOW, SPAN)) == is_late


@given(st.text(max_size=4000))
def test_what_a_console_says_is_bounded_and_harmless(text) -> None:
    """Whatever a host writes, a few lines of letters are told."""
    lines = last_lines(text)
    assert len(lines) <= MOST_LINES
    for line in lines:
        assert 0 < len(line) <= MOST_OF_A_LINE
        assert line.isprintable()


def test_the_last_lines_are_told_and_no_secret() -> None:
    """The end counts; a furl in it is replaced, and colours are left out."""
    text = "".join(f"line {n}\r\n\r\n" for n in range(100))
    lines = last_lines(f"{text}\x1b[0;31mred\x1b[0m {FURL}\n")
    assert lines[-2:] == ("line 99", "red pb://[redacted]")
    assert len(lines) == MOST_LINES


def test_a_long_line_is_cut() -> None:
    """A host that writes without end fills no mail."""
    (line,) = last_lines("x" * (MOST_OF_A_LINE + 1))
    assert line == "x" * MOST_OF_A_LINE


def look(looking: LateClaims) -> None:
    answer(Deferred.fromCoroutine(looking.look()))


@pytest.fixture
def waiting(world):
    """A paid signup whose host boots and does not come up."""
    world.hosts_work = False
    signup_id = world.paid()
    world.advance(30)
    assert world.read(hosts.live, signup_id).state == "launched"
    (instance,) = world.cloud.live()
    instance.console = f"booting\n{REJECTED}\n"
    return signup_id


def test_operators_read_why_minutes_after_the_launch(world, waiting) -> None:
    """After five minutes, and long before the launch is given up, the signup's events
    have the console's last words; nothing is told before.
    """
    looking = LateClaims(world.crew.shop)
    look(looking)
    assert looking.words() == {}
    world.advance(300)
    look(looking)
    what = looking.words()[waiting]
    (instance,) = world.cloud.live()
    assert what.startswith(
        f"host {instance.instance_id} has not claimed its identity 5 minutes"
        " after its launch\n"
    )
    assert what.endswith(f"its console ends with:\nbooting\n{REJECTED}")
    (event,) = noted(world, waiting)
    assert not event.public
    assert event.why == what.replace("\n", " | ")
    assert world.read(hosts.live, waiting).generation == 1


def noted(world, signup_id):
    found = world.read(events.since, signup_id, 0)
    return [event for event in found if event.kind == LATE]


def test_one_late_host_is_told_once(world, waiting) -> None:
    """Neither another look nor another daemon notes it again."""
    world.advance(300)
    looking = LateClaims(world.crew.shop)
    look(looking)
    (instance,) = world.cloud.live()
    instance.console = "other words\n"
    look(looking)
    assert REJECTED in looking.words()[waiting]
    another = LateClaims(world.crew.shop)
    look(another)
    assert "other words" in another.words()[waiting]
    assert len(noted(world, waiting)) == 1


def test_a_host_that_claims_is_late_no_more(world, waiting) -> None:
    """When the host comes up after all, nothing is left to tell."""
    looking = LateClaims(world.crew.shop)
    world.advance(300)
    look(looking)
    assert looking.words()
    world.hosts_work = True
    world.advance(120)
    assert world.state(waiting) == "active"
    look(looking)
    assert looking.words() == {}


def test_the_next_host_is_another_one(world, waiting) -> None:
    """A launch that is given up and repeated is told again when it is late, too."""
    looking = LateClaims(world.crew.shop)
    world.advance(300)
    look(looking)
    world.advance(1800)
    assert world.read(hosts.live, waiting).generation == 2
    look(looking)
    world.advance(300)
    look(looking)
    assert len(noted(world, waiting)) == 2


@pytest.mark.parametrize(
    ("weather", "console", "said"),
    [
        (
            always("hosts.console", Fault.REFUSED),
            "",
            "the cloud does not tell its console",
        ),
        (None, "", "its console is empty"),
        (None, " \r\n\x00\n", "its console is empty"),
    ],
)
def test_without_a_console_it_is_told_all_the_same(
    world, waiting, weather, console, said
) -> None:
    """That the host is late does not wait for the words of its console."""
    (instance,) = world.cloud.live()
    instance.console = console
    world.advance(300)
    if weather is not None:
        world.weather = weather
    looking = LateClaims(world.crew.shop)
    done = Deferred.fromCoroutine(looking.look())
    world.advance(120)
    answer(done)
    assert said in looking.words()[waiting]


def test_what_the_cloud_answers_is_told_without_secrets(world, waiting) -> None:
    """The cloud's own words of a failure are quoted, but for furls in them."""

    async def refuse(instance_id):
        raise Refused("AccessDenied", f"{instance_id} may not see {FURL}")

    world.advance(300)
    shop = evolve(world.crew.shop, hosts=SimpleNamespace(console=refuse))
    looking = LateClaims(shop)
    look(looking)
    what = looking.words()[waiting]
    assert "AccessDenied" in what
    assert "pb://[redacted]" in what
    assert FURL not in what


def test_many_late_hosts_do_not_flood_the_cloud(world) -> None:
    """One look reads a few consoles; the next ones read the rest."""
    world.hosts_work = False
    for number in range(AT_ONCE + 1):
        world.paid(bytes([number]))
    world.advance(400)
    looking = LateClaims(world.crew.shop)
    look(looking)
    assert len(looking.words()) == AT_ONCE
    look(looking)
    assert len(looking.words()) == AT_ONCE + 1
