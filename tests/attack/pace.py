"""Attackers held to a part of a processor, so that what a customer feels is the attack
and not a machine that is too small for both.
"""

from __future__ import annotations

import time
from collections import Counter
from threading import Lock

from attrs import Factory, define


@define
class Pace:
    """This process' time: at most *share* of one core, for *seconds*."""

    share: float
    seconds: float
    _began: float = Factory(time.monotonic)
    _used: float = Factory(time.process_time)

    @property
    def over(self) -> bool:
        return not self.left

    @property
    def left(self) -> float:
        """Seconds until it is over."""
        return max(0.0, self.seconds - (time.monotonic() - self._began))

    def owed(self) -> float:
        """Seconds to rest now."""
        passed = time.monotonic() - self._began
        return max(0.0, (time.process_time() - self._used) / self.share - passed)


@define
class Tally:
    """What was answered, how often."""

    counts: Counter[str] = Factory(Counter)
    _lock: Lock = Factory(Lock)

    def note(self, what: object) -> None:
        with self._lock:
            self.counts[str(what)] += 1
