"""The backup beside the daemon: is it there, and what must not be lost waits for it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol

from attrs import define, field
from twisted.internet.defer import DeferredLock
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from lae_flapp.backup.litestream import BackupAway

#: How often the daemon looks whether all that is committed is in the bucket.
LOOK_EVERY = 5.0  # s
#: How long what must not be lost waits for it.  A bucket that is away for longer keeps
#: nobody: Stripe and the state bucket remember.
WITHIN = 5.0  # s


class IBackup(Protocol):
    """Where what is committed also goes."""

    async def secure(self) -> bool:
        """Wait until all that is committed now is in the backup; whether it is.

        It never fails and takes :data:`WITHIN` at most; where the backup was away at
        the last look, nobody waits.
        """


@define(frozen=True)
class Unbacked(IBackup):
    """Where none is configured."""

    async def secure(self) -> bool:
        """See :class:`IBackup`: it is not."""
        return False


@define(frozen=True)
class BackupSeen:
    """How the backup is: seconds since all that was committed was in the bucket, and
    since a drill of a restore was sound (infinite for never, None while nobody looked);
    *away* says why the last look failed.
    """

    age: float
    tested: float | None
    away: str = ""


@define(eq=False)
class Continuous(IBackup):
    """Asks Litestream through *sync*, which raises :class:`BackupAway`.

    Whoever asks while a question is on its way shares the next one.
    """

    clock: IReactorTime
    sync: Callable[[float], Awaitable[None]]
    #: When all that was committed then was in the bucket: at first, as if at the start.
    reached_at: float = field(init=False)
    away: str = field(init=False, default="")
    _asked: int = field(init=False, default=0)
    _covered: int = field(init=False, default=0)
    _turn: DeferredLock = field(init=False, factory=DeferredLock)

    _log = Logger()

    def __attrs_post_init__(self) -> None:
        self.reached_at = self.clock.seconds()

    @property
    def age(self) -> float:
        """Seconds since all that was committed was in the bucket."""
        return self.clock.seconds() - self.reached_at

    async def secure(self) -> bool:
        """See :class:`IBackup`."""
        if self.away:
            return False
        return await self.reach()

    async def reach(self) -> bool:
        """Ask Litestream, whatever the last look said; whether all is in the bucket."""
        self._asked += 1
        mine = self._asked
        failed_before = self.away
        await self._turn.acquire()
        try:
            if self._covered >= mine:
                return True
            if self.away and not failed_before:
                # It failed while this one waited for its turn.
                return False
            covers, began = self._asked, self.clock.seconds()
            try:
                await self.sync(WITHIN)
            except BackupAway as e:
                self._failed(str(e))
                return False
            self._covered, self.reached_at = covers, began
            if self.away:
                self.away = ""
                self._log.info("the backup has caught up")
            return True
        finally:
            self._turn.release()

    def _failed(self, why: str) -> None:
        if not self.away:
            self._log.warn("the backup is away: {problem}", problem=why)
        self.away = why
