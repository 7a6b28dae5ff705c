"""What the daemon last said of itself: whether it answers, what is paused, how it is.

The site polls the daemon whether or not anybody visits, so that the time at which the
daemon fell silent is known.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from attrs import define, field
from twisted.application.service import Service
from twisted.internet.defer import Deferred, DeferredLock
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from lae_protocol.messages import AskDoors, AskPulse, Doors, Pulse
from lae_protocol.question import A, Question
from lae_site.front_desk import DeskAway, FrontDesk

#: How long an answer, or its absence, is reused before the daemon is asked again.
FRESH = 3.0  # s
POLL_EVERY = 10.0  # s


@define
class DaemonStatus:
    """Asks the daemon at most once every :data:`FRESH` seconds, however many pages
    need the answer, and anew when it has connected.
    """

    desk: FrontDesk
    seconds: Callable[[], float]
    _doors: Doors | None = None
    _pulse: Pulse | None = None
    _doors_asked_at: float = float("-inf")
    _pulse_asked_at: float = float("-inf")
    _answered_at: float | None = None
    _asking: DeferredLock = field(factory=DeferredLock)

    async def doors(self) -> Doors | None:
        """Whether signups are open; None when the daemon does not answer."""
        await self._asking.acquire()
        try:
            return await self._fresh_doors()
        finally:
            self._asking.release()

    async def pulse(self) -> Pulse | None:
        """How the daemon is; None when it does not answer, or is too old to say."""
        await self._asking.acquire()
        try:
            if await self._fresh_doors() is None:
                return None
            if self.seconds() - self._pulse_asked_at > FRESH:
                answer = await self._ask(AskPulse())
                self._pulse = answer if isinstance(answer, Pulse) else None
                self._pulse_asked_at = self.seconds()
            return self._pulse
        finally:
            self._asking.release()

    def forget(self) -> None:
        """Have the daemon asked anew: another one may run since the last answer."""
        self._doors_asked_at = self._pulse_asked_at = float("-inf")

    async def _fresh_doors(self) -> Doors | None:
        if self.seconds() - self._doors_asked_at > FRESH:
            answer = await self._ask(AskDoors())
            if answer is not None:
                self._answered_at = self.seconds()
            self._doors = answer if isinstance(answer, Doors) else None
            self._doors_asked_at = self.seconds()
        return self._doors

    async def _ask(self, question: Question[A]) -> object | None:
        try:
            return await self.desk.ask(question)
        except DeskAway:
            return None

    @property
    def age(self) -> float | None:
        """Seconds since the daemon last answered; None when it never has."""
        return None if self._answered_at is None else self.seconds() - self._answered_at


class DaemonPoll(Service):
    """Asks the daemon how it is, every :data:`POLL_EVERY` seconds."""

    _log = Logger()

    def __init__(self, reactor: Any, status: DaemonStatus) -> None:
        self._status = status
        self._loop = LoopingCall(self._ask)
        self._loop.clock = reactor

    def startService(self) -> None:
        """Start the poll with a first question."""
        super().startService()  # type: ignore[no-untyped-call]
        self._loop.start(POLL_EVERY)

    def stopService(self) -> None:
        """Stop the poll."""
        super().stopService()  # type: ignore[no-untyped-call]
        if self._loop.running:
            self._loop.stop()

    def _ask(self) -> None:
        # Not waited for: the question's own deadline ends it before the next one.
        asked = Deferred.fromCoroutine(self._status.pulse())
        asked.addErrback(lambda f: self._log.failure("the daemon cannot be polled", f))
