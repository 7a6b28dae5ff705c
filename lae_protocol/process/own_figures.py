"""What every process tells of itself: memory, files, and how late its reactor is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from prometheus_client import CollectorRegistry, Gauge, Info
from prometheus_client.process_collector import ProcessCollector
from twisted.application.service import Service
from twisted.internet.task import LoopingCall

#: Seconds between two looks at the clock.
PERIOD = 1.0
#: The worst lateness of so many looks is shown, so that a scrape each 15 s misses none.
REMEMBERED = 30


class OwnFigures(Service):
    """A timer of the reactor's that should fire each second, and how late it fires.

    Lateness is what everybody waits for when something blocks the reactor.  *ahead* is
    how far the machine's clock is ahead of the reactor's, in seconds.
    """

    def __init__(
        self,
        reactor: Any,
        registry: CollectorRegistry,
        process: str,
        release: str,
        ahead: Callable[[], float],
    ) -> None:
        self._reactor = reactor
        self._late = [0.0]
        ProcessCollector(registry=registry)
        Info(
            "s4_process", "Which process this is, and its release.", registry=registry
        ).info({"process": process, "release": release})
        Gauge(
            "s4_reactor_lag_seconds",
            "How late a timer fired, at worst within the last half minute.",
            registry=registry,
        ).set_function(lambda: max(self._late))
        Gauge(
            "s4_clock_offset_seconds",
            "How far the machine's clock is ahead of the process' time.",
            registry=registry,
        ).set_function(ahead)
        self._loop = LoopingCall.withCount(self._look)
        self._loop.clock = reactor
        self._expected = 0.0

    def startService(self) -> None:
        """Begin to look."""
        super().startService()  # type: ignore[no-untyped-call]
        self._expected = self._reactor.seconds() + PERIOD
        self._loop.start(PERIOD, now=False)

    def stopService(self) -> None:
        """Look no more."""
        super().stopService()  # type: ignore[no-untyped-call]
        if self._loop.running:
            self._loop.stop()

    def _look(self, _: int) -> None:
        now = self._reactor.seconds()
        self._late = [*self._late[1 - REMEMBERED :], max(0.0, now - self._expected)]
        # The loop keeps to its rhythm: the next beat is the next whole period.
        missed = max(0, int((now - self._expected) // PERIOD))
        self._expected += (missed + 1) * PERIOD
