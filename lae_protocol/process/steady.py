"""A process' time goes on steadily, whatever is done to the machine's clock.

Twisted's timers hang on ``time.time``: when somebody sets the clock back an hour, each
timer fires an hour late, and when it is set forward a day, everything that waits has
waited a day.  So the reactor's time is made of what really passes (Linux' boot time,
which counts a suspended machine's sleep, too), and drawn to the machine's clock so
slowly that no timer notices.  It never goes back.

Who must know the true time all the same (signatures, another's expiry) asks the
machine.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

#: A second lasts between 1 - SLEW and 1 + SLEW while the clock is caught up with: an
#: hour in four.
SLEW = 0.25
#: What was written so far ahead was written with a clock that was wrong.
FARTHEST = 26 * 3600.0


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
        self._at, self._seconds = passed(), wall()

    def seconds(self) -> float:
        """Now, in seconds since 1970; later than whenever it was asked before."""
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
            if moment - self._now() > FARTHEST:
                return False
            self._seconds = max(self._seconds, moment)
            return True

    def _now(self) -> float:
        at = self._passed()
        since, self._at = max(0.0, at - self._at), at
        expected = self._seconds + since
        ahead = self._wall() - expected
        self._seconds = expected + max(-SLEW * since, min(SLEW * since, ahead))
        return self._seconds


def install(reactor: Any, clock: SteadyClock) -> None:
    """Have the reactor's timers, and whoever asks it for the time, go by *clock*.

    Before anything is scheduled: what is waits by the time that it was told.
    """
    reactor.seconds = clock.seconds
