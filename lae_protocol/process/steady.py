"""A process' time goes on steadily, whatever is done to the machine's clock.

Twisted's timers hang on ``time.time``: when somebody sets the clock back an hour, each
timer fires an hour late, and when it is set forward a day, everything that waits has
waited a day.  So the reactor's time is the machine's clock at the start plus what has
really passed since (Linux' boot time, which counts a suspended machine's sleep, too).
The units start after ``time-sync.target``, so that the clock is right by then; a clock
that is set later is an operator's to look at, who is told of the difference.

Who must know the true time all the same (signatures, another's expiry) asks the
machine.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

#: What was written so far ahead was written with a clock that was wrong.
FARTHEST = 26 * 3600.0  # s


def elapsed() -> float:
    """Seconds since some moment, which nobody can set."""
    return time.clock_gettime(
        getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)  # not on every system
    )


class SteadyClock:
    """See the module.  Asked from any thread.

    *wall* is the machine's clock, *passed* what really passes.
    """

    def __init__(
        self,
        wall: Callable[[], float] = time.time,
        passed: Callable[[], float] = elapsed,
    ) -> None:
        self._wall, self._passed = wall, passed
        self._lock = threading.Lock()
        self._began, self._wall_then = passed(), wall()

    def seconds(self) -> float:
        """Now, in seconds since 1970; never earlier than it was told before."""
        with self._lock:
            return self._now()

    def offset(self) -> float:
        """How far the machine's clock is ahead of this one."""
        with self._lock:
            return self._wall() - self._now()

    def at_least(self, moment: float) -> bool:
        """Go on from *moment*, where that was somebody's time before us.

        False, and nothing changes, where it is so far ahead that it cannot have been
        right.
        """
        with self._lock:
            ahead = moment - self._now()
            if ahead > FARTHEST:
                return False
            self._wall_then += max(0.0, ahead)
            return True

    def _now(self) -> float:
        return self._wall_then + (self._passed() - self._began)


def install(reactor: Any, clock: SteadyClock) -> None:
    """Have the reactor's timers, and whoever asks it for the time, go by *clock*.

    Before anything is scheduled: what is waits by the time that it was told.
    """
    reactor.seconds = clock.seconds
