"""What the daemon does for its backup from time to time: :meth:`BackupCare.look`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path

from attrs import define, field
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from lae_flapp.backup.backup_bucket import IBackupBucket
from lae_flapp.backup.continuous import BackupSeen, Continuous
from lae_flapp.backup.keepsakes import KeptFile, seal_keepsakes
from lae_flapp.backup.layout import About, Life, NotOurBackup, about_key, keepsakes_key
from lae_flapp.backup.litestream_run import Run
from lae_flapp.backup.witnessed import (
    SOUND,
    Drill,
    Reached,
    drills_prefix,
    reached_key,
)
from lae_flapp.journal import events
from lae_flapp.journal.journal import Journal
from lae_provision.errors import ProvisionError

#: The journal's log may grow to this; then what it has is moved into the file, whether
#: or not Litestream runs.
LOG_AT_MOST = 64 << 20  # bytes
#: How often the bucket is told up to which event it has the journal.
TELL_EVERY = 60.0  # s
#: How often what lies beside the journal is written again, and drills are read.
DAILY = 86_400.0  # s
HOURLY = 3600.0  # s
#: Of the newest drills.
_DRILLS = 20


@define(eq=False)
class BackupCare:
    """*about* tells of a life that began then; *read_run* and *read_files* read this
    machine's files, off the reactor.
    """

    clock: IReactorTime
    journal: Journal
    continuous: Continuous
    bucket: IBackupBucket
    deployment: str
    recipients: tuple[str, ...]
    about: Callable[[datetime], Awaitable[About]]
    read_run: Callable[[], Awaitable[Run | None]]
    read_files: Callable[[Path], Awaitable[tuple[KeptFile, ...]]]
    #: Which life is written of, and when.
    _told: Life | None = field(init=False, default=None)
    _told_at: float = field(init=False, default=float("-inf"))
    _reached_at: float = field(init=False, default=float("-inf"))
    _drills_at: float = field(init=False, default=float("-inf"))
    #: When a drill was last sound, by the wall's clock.
    _sound_at: datetime | None = field(init=False, default=None)

    _log = Logger()

    async def look(self) -> None:
        """1. keep the journal's log in bounds; 2. see that the bucket has all that is
        committed; 3. write what a restore needs beside it, once in a life and each day;
        4. note up to which event it has it; 5. read when a drill was last sound.
        """
        await self.journal.keep_log_below(LOG_AT_MOST)
        last = await self.journal.read(events.last_number, None)
        if not await self.continuous.reach():
            return
        try:
            run = await self.read_run()
            if run is not None:
                await self._tell(run)
                await self._note(run.life, last)
            await self._read_drills()
        except (ProvisionError, NotOurBackup, OSError) as e:
            self._log.warn(
                "what belongs to the backup is not in the bucket: {problem}",
                problem=str(e),
            )

    def seen(self) -> BackupSeen:
        """How the backup is now."""
        tested = None if self._drills_at == float("-inf") else float("inf")
        if self._sound_at is not None:
            tested = (self._now() - self._sound_at).total_seconds()
        return BackupSeen(self.continuous.age, tested, self.continuous.away)

    async def _tell(self, run: Run) -> None:
        now = self.clock.seconds()
        if run.life == self._told and now - self._told_at < DAILY:
            return
        sealed = seal_keepsakes(await self.read_files(run.settings), self.recipients)
        # First: a life that says what it is can be restored.
        await self.bucket.write(keepsakes_key(self.deployment, run.life), sealed)
        about = await self.about(run.began)
        await self.bucket.write(about_key(self.deployment, run.life), about.to_json())
        if run.life != self._told:
            self._log.info("the backup is whole: life {life}", life=str(run.life))
        self._told, self._told_at = run.life, now

    async def _note(self, life: Life, last: int) -> None:
        now = self.clock.seconds()
        if now - self._reached_at < TELL_EVERY:
            return
        said = Reached(last, self._now()).to_json()
        await self.bucket.write(reached_key(self.deployment, life), said)
        self._reached_at = now

    async def _read_drills(self) -> None:
        now = self.clock.seconds()
        if now - self._drills_at < HOURLY:
            return
        names = await self.bucket.names(drills_prefix(self.deployment))
        for name in reversed(names[-_DRILLS:]):
            body = await self.bucket.read(name)
            drill = None if body is None else Drill.from_json(body)
            if drill is not None and drill.outcome == SOUND:
                self._sound_at = drill.at
                break
        self._drills_at = now

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self.clock.seconds(), UTC)
