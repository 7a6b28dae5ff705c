"""The parts of the journal's continuous backup, where one is configured."""

from __future__ import annotations

from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from attrs import define
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThread
from twisted.logger import Logger

from lae_flapp.backup.backup_bucket import IBackupBucket
from lae_flapp.backup.care import BackupCare
from lae_flapp.backup.continuous import BackupSeen, Continuous, IBackup, Unbacked
from lae_flapp.backup.keepsakes import KeptFile
from lae_flapp.backup.kept_files import kept_files
from lae_flapp.backup.layout import About
from lae_flapp.backup.litestream import Litestream
from lae_flapp.backup.litestream_run import Run, read_run, socket_of
from lae_flapp.journal import opening
from lae_flapp.journal.journal import Journal
from lae_flapp.journal.meta import home_of
from lae_flapp.settings import DaemonSettings

#: How long the daemon's start waits for Litestream's; then it starts without it.
FOR_LITESTREAM = 10.0  # s
_BETWEEN = 0.1  # s

_log = Logger()


@define(frozen=True)
class BackingUp:
    """*door* is what waits for the backup, *care* None where there is none."""

    door: IBackup
    care: BackupCare | None

    def seen(self) -> BackupSeen | None:
        """How the backup is now."""
        return None if self.care is None else self.care.seen()


def build_backup(
    reactor: Any,
    settings: DaemonSettings,
    journal: Journal,
    bucket: IBackupBucket | None,
) -> BackingUp:
    """Build them; nothing is asked yet."""
    if bucket is None:
        return BackingUp(Unbacked(), None)
    litestream = Litestream(reactor, socket_of(settings), settings.journal)
    door = Continuous(reactor, litestream.sync)
    home = home_of(settings)

    async def about(began: datetime) -> About:
        return About(
            environment=home.environment,
            deployment=home.deployment,
            account=home.aws_account,
            stripe_mode=home.stripe_mode,
            revision=await journal.read(opening.revision_of),
            release=version("s4"),
            began=began,
        )

    async def run() -> Run | None:
        found: Run | None = await deferToThread(read_run, settings)
        return found

    async def files(file: Path) -> tuple[KeptFile, ...]:
        found: tuple[KeptFile, ...] = await deferToThread(kept_files, settings, file)
        return found

    care = BackupCare(
        clock=reactor,
        journal=journal,
        continuous=door,
        bucket=bucket,
        deployment=settings.deployment,
        recipients=settings.sealing.recovery_recipients,
        about=about,
        read_run=run,
        read_files=files,
    )
    return BackingUp(door, care)


async def await_litestream(reactor: Any, settings: DaemonSettings) -> None:
    """Wait until Litestream runs, before anything is written; not for ever."""
    socket = socket_of(settings)
    give_up = reactor.seconds() + FOR_LITESTREAM
    while not socket.exists():
        if reactor.seconds() >= give_up:
            _log.critical(
                "a backup is configured and Litestream does not run (`lae backup run`):"
                " the daemon starts without it"
            )
            return
        await deferLater(reactor, _BETWEEN)
