"""Asking the daemon how it is, now and then, whether or not anybody looks.

So that its silence is known from its beginning, and not from when somebody asked.
"""

from __future__ import annotations

from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from lae_site.opening import Opening

#: Seconds between two questions.
PERIOD = 10.0


class Asking(Service):
    """Asks from its start to its end."""

    _log = Logger()

    def __init__(self, reactor: Any, opening: Opening) -> None:
        self._opening = opening
        self._loop = LoopingCall(self._ask)
        self._loop.clock = reactor

    def startService(self) -> None:
        """Begin to ask."""
        super().startService()  # type: ignore[no-untyped-call]
        self._loop.start(PERIOD)

    def stopService(self) -> None:
        """Ask no more."""
        super().stopService()  # type: ignore[no-untyped-call]
        if self._loop.running:
            self._loop.stop()

    def _ask(self) -> None:
        # Not waited for: a question ends by its own deadline, before the next one.
        asked = Deferred.fromCoroutine(self._opening.pulse())
        asked.addErrback(lambda f: self._log.failure("the daemon cannot be asked", f))
