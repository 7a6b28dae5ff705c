"""Is anything closed, and how is the daemon?  Asked now and then, not at every page."""

from __future__ import annotations

from collections.abc import Callable

from attrs import define, field
from twisted.internet.defer import DeferredLock

from lae_protocol.messages import AskDoors, AskPulse, Doors, Pulse
from lae_site.front_desk import DeskAway, FrontDesk

#: Seconds for which an answer, or that there was none, is taken for the present.
_FRESH = 3.0


@define
class Opening:
    """What the daemon last said of its doors and of itself, and when."""

    desk: FrontDesk
    seconds: Callable[[], float]
    _doors: Doors | None = None
    _pulse: Pulse | None = None
    _asked_at: float = float("-inf")
    _felt_at: float = float("-inf")
    _answered_at: float | None = None
    _asking: DeferredLock = field(factory=DeferredLock)

    async def now(self) -> Doors | None:
        """The doors, or None when the daemon does not answer."""
        await self._asking.acquire()
        try:
            return await self._now()
        finally:
            self._asking.release()

    async def pulse(self) -> Pulse | None:
        """How the daemon is; None when it does not answer, or is too old to say."""
        await self._asking.acquire()
        try:
            if await self._now() is None:
                return None
            if self.seconds() - self._felt_at > _FRESH:
                await self._feel()
            return self._pulse
        finally:
            self._asking.release()

    async def _now(self) -> Doors | None:
        if self.seconds() - self._asked_at > _FRESH:
            await self._ask()
        return self._doors

    async def _ask(self) -> None:
        try:
            answer = await self.desk.ask(AskDoors())
        except DeskAway:
            self._doors = None
        else:
            self._answered_at = self.seconds()
            self._doors = answer if isinstance(answer, Doors) else None
        self._asked_at = self.seconds()

    async def _feel(self) -> None:
        try:
            answer = await self.desk.ask(AskPulse())
        except DeskAway:
            self._pulse = None
        else:
            self._pulse = answer if isinstance(answer, Pulse) else None
        self._felt_at = self.seconds()

    @property
    def age(self) -> float | None:
        """Seconds since the daemon last answered; None when it never has."""
        return None if self._answered_at is None else self.seconds() - self._answered_at
