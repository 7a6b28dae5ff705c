"""Waiting that can be cut short."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime


class Bell:
    """Wakes the one who waits; a ring while nobody waits cuts the next wait short."""

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self.rung = False
        self._waiting: Deferred[None] | None = None

    def ring(self) -> None:
        """Something changed: look."""
        waiting, self._waiting = self._waiting, None
        if waiting is None:
            self.rung = True
        else:
            waiting.callback(None)

    async def wait(self, seconds: float) -> None:
        """Wait so long, or until the bell rings."""
        if self.rung:
            self.rung = False
            return
        waiting = self._waiting = Deferred()
        timer = self._clock.callLater(max(0.0, seconds), self.ring)
        try:
            await waiting
        finally:
            self._waiting = None
            if timer.active():
                timer.cancel()
