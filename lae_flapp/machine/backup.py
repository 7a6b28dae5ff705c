"""``lae backup``: Litestream's run on the daemon's machine, and how the backup is."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any, NoReturn

import click
from twisted.internet.defer import Deferred
from twisted.internet.task import react

from lae_flapp.backup import litestream_run as running
from lae_flapp.backup.backup_bucket import newest_epoch
from lae_flapp.backup.layout import NotOurBackup
from lae_flapp.backup.litestream import BackupAway, Litestream
from lae_flapp.backup.litestream_run import AlreadyRuns, Run
from lae_flapp.journal.checking import epoch_of_file
from lae_flapp.journal.errors import JournalError
from lae_flapp.laptop import tables
from lae_flapp.laptop.options import WRONG, gives_json
from lae_flapp.laptop.settings import Where
from lae_flapp.machine.journal import on_the_machine
from lae_flapp.settings import BackupSettings, DaemonSettings
from lae_flapp.wiring.doors import open_backup, read_backup_keys
from lae_protocol.process.deadline import with_deadline
from lae_protocol.process.settings import SettingsError, load

#: systemd's word for "not configured": no restart.
NOT_CONFIGURED = 78
#: The start does not wait longer for a bucket that is away.
FOR_THE_BUCKET = 5.0  # s
ASK_WITHIN = 10.0  # s


@click.group()
def backup() -> None:
    """Write the journal to its backup bucket as it changes; see how that goes."""


@backup.command()
@click.option(
    "--daemon",
    type=click.Path(path_type=Path),
    help="The daemon's settings [/etc/s4/daemon.yaml].",
)
def run(daemon: Path | None) -> None:
    """Run Litestream for this daemon's journal; the unit s4-backup does.

    It begins a new life in the bucket, with a whole copy of the journal, and goes on
    until it is stopped.  Start it before the daemon.  Without `backup:` in the settings
    the exit status is 78.
    """
    file = (daemon or Where().daemon_file()).resolve()
    try:
        settings = load(file, DaemonSettings)
        if settings.backup is None:
            click.echo("No backup is configured (backup:); nothing runs.", err=True)
            raise click.exceptions.Exit(NOT_CONFIGURED)
        _become_litestream(settings, settings.backup, file)
    except (SettingsError, JournalError, AlreadyRuns) as e:
        raise click.ClickException(str(e)) from None
    except OSError as e:
        raise click.ClickException(f"{e.filename}: {e.strerror}") from None


def _become_litestream(
    settings: DaemonSettings, wanted: BackupSettings, file: Path
) -> NoReturn:
    """1. nobody else does it; 2. the next life has a name; 3. its configuration is
    written; 4. this process becomes Litestream.
    """
    running.hold(settings)
    given = running.environment(settings, wanted, read_backup_keys(settings))
    journals = epoch_of_file(settings.journal)
    life = running.new_life(_newest(settings, journals), journals)
    begun = Run(life, datetime.now(UTC), file)
    argv = running.begin(settings, wanted, begun)
    click.echo(f"The journal goes to {wanted.bucket}, life {life}.", err=True)
    os.execve(argv[0], argv, given)  # noqa: S606  (our own arguments)


def _newest(settings: DaemonSettings, journals: int) -> int:
    """Ask the bucket for its newest life; the journal's own where it is away."""
    found: list[int] = []
    keys = read_backup_keys(settings)

    async def look(reactor: Any) -> None:
        bucket = open_backup(reactor, Random(), settings, keys)  # noqa: S311  (jitter)
        assert bucket is not None
        asked = newest_epoch(bucket, settings.deployment, journals)
        try:
            waiting = Deferred.fromCoroutine(asked)
            found.append(
                await with_deadline(
                    reactor, FOR_THE_BUCKET, "the backup bucket", waiting
                )
            )
        except Exception as e:  # noqa: BLE001  (whatever it is, the journal is backed up)
            click.echo(
                f"The bucket does not say which life is its newest: {e}", err=True
            )

    _in_a_reactor(look)
    return found[0] if found else journals


@backup.command()
@on_the_machine
@gives_json
def status(settings: DaemonSettings, as_json: bool) -> None:
    """Whether all that is committed is in the backup bucket, and since when it goes.

    The exit status is 4 where it is not.
    """
    if settings.backup is None:
        raise click.ClickException("No backup is configured (backup:).")
    try:
        begun = running.read_run(settings)
    except NotOurBackup as e:
        raise click.ClickException(str(e)) from None
    problem = _problem(settings)
    if as_json:
        tables.print_json(
            bucket=settings.backup.bucket,
            life=None if begun is None else str(begun.life),
            began=None if begun is None else begun.began.isoformat(),
            problem=problem,
        )
    else:
        if begun is not None:
            click.echo(
                f"Life {begun.life} in {settings.backup.bucket}, since"
                f" {begun.began.isoformat(sep=' ', timespec='seconds')}"
            )
        if problem is None:
            click.echo("All that is committed now is in the backup.")
        else:
            click.secho(f"PROBLEM: {problem}", fg="red", bold=True)
    if problem is not None:
        raise click.exceptions.Exit(WRONG)


def _problem(settings: DaemonSettings) -> str | None:
    """Why what is committed is not all in the bucket; None where it is."""
    if not running.is_running(settings):
        return "Litestream does not run: systemctl start s4-backup"
    found: list[str] = []

    async def look(reactor: Any) -> None:
        socket = running.socket_of(settings)
        try:
            await Litestream(reactor, socket, settings.journal).sync(ASK_WITHIN)
        except BackupAway as e:
            found.append(str(e))

    _in_a_reactor(look)
    return found[0] if found else None


def _in_a_reactor(work: Callable[[Any], Awaitable[None]]) -> None:
    """Do *work* with a reactor, and end it; once in a process."""

    async def main(reactor: Any) -> None:
        await work(reactor)

    with suppress(SystemExit):
        react(lambda reactor: Deferred.fromCoroutine(main(reactor)))
