"""``lae journal``: check it, copy it, put a copy in its place."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from datetime import UTC, datetime
from functools import wraps
from pathlib import Path
from typing import Any

import click

from lae_flapp.backup.litestream_run import is_running
from lae_flapp.journal import checking, restoring
from lae_flapp.journal.copies import (
    Copies,
    copies_of,
    files_of,
    name_of_copy,
    put_back,
)
from lae_flapp.journal.errors import JournalError
from lae_flapp.journal.meta import home_of
from lae_flapp.laptop import tables
from lae_flapp.laptop.line import Line, run
from lae_flapp.laptop.options import (
    INTERRUPTED,
    WRONG,
    asks_daemon,
    changes,
    confirm,
    gives_json,
    loses,
)
from lae_flapp.laptop.settings import Where
from lae_flapp.machine.progress import progress
from lae_flapp.settings import DaemonSettings
from lae_protocol.operator_messages import BackUp
from lae_protocol.plan_words import size_in_words
from lae_protocol.process.settings import SettingsError, load

_FILE = click.Path(path_type=Path)
#: What follows where a file of the daemon's folder is lost: it makes a new one.
_WITHOUT = {
    "private.pem": "every site and every operator will need a new furl",
    "hosts.pem": "every customer's host must be replaced",
    "front-desk.furl": "every site will need a new furl",
    "operator.furl": "the first operator will need a new furl",
}
#: Between two questions how far the daemon is.
ASK_EVERY = 0.2  # s


@click.group()
def journal() -> None:
    """Check the journal, copy it, and put a copy in its place."""


def on_the_machine(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give the command ``settings``: the daemon's, on this machine."""

    @wraps(command)
    def working(*, daemon: Path | None, **rest: Any) -> Any:
        try:
            settings = load(daemon or Where().daemon_file(), DaemonSettings)
            return command(settings=settings, **rest)
        except (SettingsError, JournalError) as e:
            raise click.ClickException(str(e)) from None
        except OSError as e:
            raise click.ClickException(f"{e.filename}: {e.strerror}") from None
        except KeyboardInterrupt:
            click.echo("Stopped; nothing is changed.", err=True)
            raise click.exceptions.Exit(INTERRUPTED) from None

    return click.option(
        "--daemon", type=_FILE, help="The daemon's settings [/etc/s4/daemon.yaml]."
    )(working)


@journal.command()
@on_the_machine
@gives_json
@click.argument("file", type=_FILE, required=False)
def check(settings: DaemonSettings, as_json: bool, file: Path | None) -> None:
    """Check the journal, or FILE (a backup): its pages, and what must always hold.

    It reads alone, and may be run beside the daemon.  The exit status is 4 when
    something is wrong.
    """
    path = file or settings.journal
    with progress("checking") as told:
        found = checking.check(path, home_of(settings), told)
    if as_json:
        tables.print_json(
            file=str(path),
            size=found.size,
            revision=found.revision,
            signups=found.signups,
            events=found.events,
            problems=found.problems,
        )
    else:
        size = size_in_words(found.size)
        click.echo(
            f"{path}: {size}, revision {found.revision}, {found.signups} signups,"
            f" {found.events} events"
        )
        for one in found.problems:
            click.secho(f"PROBLEM: {one}", fg="red", bold=True)
        if not found.problems:
            click.echo("It is sound.")
    if found.problems:
        raise click.exceptions.Exit(WRONG)


@journal.command()
@asks_daemon
@gives_json
@changes
@click.option("--daemon", type=_FILE, help="Copy on this machine, by these settings.")
@click.option(
    "--keep",
    type=click.IntRange(1),
    help="Copy on this machine, and leave so many copies in backups/.",
)
@click.argument("target", type=_FILE, required=False)
def backup(
    *,
    where: Where,
    as_json: bool,
    dry_run: bool,
    daemon: Path | None,
    keep: int | None,
    target: Path | None,
) -> None:
    """Copy the journal, of one moment, while the daemon works or while it does not.

    Beside the copy COPY the folder COPY.files gets the certificates and furls of the
    daemon's folder, which a restore on another machine needs: keep both.

    The daemon is asked to copy it into its own folder, backups/.  With --daemon, --keep
    or a TARGET it is copied here, whether a daemon runs or not; each release does so.
    """
    if keep is not None and target is not None:
        raise click.UsageError("--keep is of the copies in backups/, not of a TARGET")
    if daemon is not None or target is not None or keep is not None:
        _back_up_here(
            daemon=daemon, target=target, keep=keep, as_json=as_json, dry_run=dry_run
        )
        return
    if dry_run:
        click.echo(
            "Would ask the daemon to copy its journal into its folder, backups/."
        )
        return
    name = name_of_copy(datetime.now(UTC))

    async def work(line: Line) -> Any:
        with progress("copying") as told:
            while True:
                state = await line.ask(BackUp(name))
                told(state.pages, state.of_pages or 1)
                if state.done:
                    return state
                await line.pause(ASK_EVERY)

    state = run(where, work)
    _told(
        Path(state.path), state.size, as_json=as_json, place="on the daemon's machine"
    )


@on_the_machine
def _back_up_here(
    *,
    settings: DaemonSettings,
    target: Path | None,
    keep: int | None,
    as_json: bool,
    dry_run: bool,
) -> None:
    copies, name = copies_of(settings), name_of_copy(datetime.now(UTC))
    if target is not None:
        folder, name = (
            (target, name) if target.is_dir() else (target.parent, target.name)
        )
        copies = Copies(copies.journal, copies.state, folder)
    made = copies.folder / name
    if made.exists():
        raise click.ClickException(f"{made} is there already: name another file.")
    if not copies.journal.is_file():
        # Before the daemon's first start a release copies nothing.
        click.echo(f"There is no journal {copies.journal} yet.", err=True)
        if as_json:
            tables.print_json(file=None, size=0)
        return
    if dry_run:
        click.echo(f"Would copy {copies.journal} to {made}.")
        return
    with progress("copying") as told:
        copies.make(name, told)
    if keep is not None:
        copies.delete_all_but(keep)
    _told(made, made.stat().st_size, as_json=as_json, place="here")


def _told(path: Path, size: int, *, as_json: bool, place: str) -> None:
    if as_json:
        tables.print_json(file=str(path), size=size)
    else:
        click.echo(f"The journal is copied to {path} ({size_in_words(size)}), {place}.")
        click.echo(f"{files_of(path)} belongs to it: certificates and furls.")


@journal.command()
@on_the_machine
@gives_json
@changes
@loses
@click.argument("file", type=_FILE)
def restore(
    settings: DaemonSettings, as_json: bool, dry_run: bool, yes: bool, file: Path
) -> None:
    """Put the backup FILE in the journal's place; no daemon may run.

    The journal that is there now is kept beside it.  Certificates and furls that the
    daemon's folder lacks are taken from FILE.files.  What happened since the backup
    is not in it: at its start the daemon reads Stripe and the cloud, and shows what it
    does not know.
    """
    path = settings.journal
    home = home_of(settings)
    if is_running(settings):
        raise click.ClickException(
            "Litestream still writes this journal to its backup: stop the daemon and"
            " it first (systemctl stop s4-daemon s4-backup)."
        )
    # On a machine where the journal never was, no daemon can be on it.
    with restoring.alone(path) if path.parent.is_dir() else nullcontext():
        revision = restoring.check_backup(file, home)
    if dry_run:
        click.echo(f"Would put {file} (revision {revision}) in the place of {path}.")
        return
    if path.exists() and not yes:
        confirm(
            f"Put {file} in the place of {path}? The present one is kept beside it."
        )
    settings.state.mkdir(mode=0o700, parents=True, exist_ok=True)
    # First: a daemon that starts without them makes new ones, which nobody knows.
    found, missing = put_back(file, settings.state)
    with progress("restoring") as told:
        done = restoring.restore(path, file, home, now=datetime.now(UTC), progress=told)
    if as_json:
        kept = None if done.kept is None else str(done.kept)
        tables.print_json(
            file=str(path),
            revision=done.revision,
            kept=kept,
            put_back=found,
            missing=missing,
        )
        return
    click.echo(f"{path} is what {file} was.")
    if found:
        click.echo(f"Put back into {settings.state}: {', '.join(found)}")
    for name in missing:
        click.secho(
            f"MISSING: {settings.state / name}: {_WITHOUT[name]}", fg="red", bold=True
        )
    if done.kept is not None:
        click.echo(f"What it was before is kept as {done.kept}.")
    click.echo("Start the daemon, and look at: lae health; lae events")
