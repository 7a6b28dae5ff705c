"""A process' time, whatever is done to the machine's clock."""

from __future__ import annotations

import subprocess
import sys

import pytest
from attrs import define
from hypothesis import given
from hypothesis import strategies as st

from lae_protocol.process.steady import FARTHEST, SteadyClock

HOUR, DAY = 3600.0, 86_400.0
START = 1_795_000_000.0


@define
class Machine:
    """A clock that can be set, and time that passes."""

    passed: float = 1000.0
    set_by: float = 0.0

    def wall(self) -> float:
        return START + self.passed - 1000.0 + self.set_by

    def clock(self) -> SteadyClock:
        return SteadyClock(self.wall, lambda: self.passed)


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("passes"), st.floats(0, 10_000)),
        st.tuples(st.just("set"), st.floats(-10 * DAY, 10 * DAY)),
    ),
    max_size=40,
)


@given(STEPS)
def test_time_goes_on_as_it_passes(steps) -> None:
    """However often the clock is set: a second is a second, and the clock's difference
    is told.
    """
    machine = Machine()
    clock = machine.clock()
    for what, value in steps:
        if what == "set":
            machine.set_by += value
        else:
            machine.passed += value
        assert clock.seconds() == pytest.approx(START + machine.passed - 1000.0)
        assert clock.offset() == pytest.approx(machine.set_by, abs=1e-3)


def test_what_was_written_before_us_is_not_to_come() -> None:
    """With a clock set back an hour between two daemons, the second goes on from where
    the first was, second for second; a time that cannot have been right is not believed.
    """
    machine = Machine()
    clock = machine.clock()
    assert clock.at_least(START + HOUR)
    assert clock.seconds() == START + HOUR
    machine.passed += 100
    assert clock.seconds() == pytest.approx(START + HOUR + 100)
    assert clock.offset() == pytest.approx(-HOUR)
    assert clock.at_least(START)
    assert clock.seconds() == pytest.approx(START + HOUR + 100)
    assert clock.at_least(clock.seconds() + FARTHEST - 1)
    assert not clock.at_least(clock.seconds() + FARTHEST + 1)


#: The clock is set back an hour, then forward a day, between a timer's start and end.
PROGRAM = """
import sys, time
from twisted.internet import reactor
from lae_protocol.process.steady import SteadyClock, install

step = float(sys.argv[1])
def wall():
    return time.time() + (step if was_set else 0.0)
was_set = False
install(reactor, SteadyClock(wall))
fired = []
def set_it():
    global was_set
    was_set = True
began = time.monotonic()
def fire(name):
    fired.append(name)
    if len(fired) == 2:
        reactor.stop()
reactor.callLater(0.3, fire, "soon")
reactor.callLater(1000, fire, "much later")
reactor.callLater(0.1, set_it)
reactor.callLater(0.6, fire, "then")
reactor.run()
print(fired, time.monotonic() - began < 30)
"""


@pytest.mark.parametrize("step", [-3600.0, 86_400.0])
def test_timers_of_the_real_reactor(step) -> None:
    """Set the clock while timers wait: each fires when its time has passed, none an hour
    late, and none a day early.
    """
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(step)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stdout.strip() == "['soon', 'then'] True", done.stderr
