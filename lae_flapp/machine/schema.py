"""``lae schema``: what a deployment asks of a release's own code, on the host.

It works beside a running daemon, whose lock it does not take: SQLite's own lock keeps
the upgrade's one transaction apart from the daemon's.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
from sqlalchemy import Engine

from lae_flapp.journal import opening, sqlite
from lae_flapp.journal.errors import JournalError
from lae_flapp.settings import DaemonSettings
from lae_protocol.process.settings import SettingsError, load

VERSION = 1


@click.group()
def schema() -> None:
    """Look at the journal's schema, and expand it."""


def _config_option(command: Callable[..., Any]) -> Callable[..., Any]:
    return click.option(
        "--config",
        type=click.Path(path_type=Path),
        required=True,
        help="The daemon's settings.",
    )(command)


def _journal(config: Path) -> Path:
    try:
        settings = load(config.resolve(), DaemonSettings)
    except SettingsError as e:
        raise click.ClickException(str(e)) from None
    return settings.journal


@contextmanager
def _engine(path: Path, *, writes: bool) -> Iterator[Engine]:
    engine = sqlite.engine(path, writes=writes, connections=1, backed_up=True)
    try:
        with sqlite.meanings():
            yield engine
    except JournalError as e:
        raise click.ClickException(f"{path}: {e}") from None
    finally:
        engine.dispose()


@schema.command()
@_config_option
def show(config: Path) -> None:
    """Print, as JSON, how the journal and this release stand to each other.

    "runs_from" is the oldest revision whose release can run on the journal once this
    release expanded it.
    """
    path = _journal(config)
    if not path.exists():
        told: dict[str, Any] = {"present": None, "fits": True, "behind": False}
        told |= opening.knows()
    else:
        with _engine(path, writes=False) as engine:
            standing = opening.look(path, engine)
        told = {
            "present": standing.present,
            "fits": standing.fits,
            "behind": standing.behind,
            "newest": standing.newest,
            "runs_from": standing.runs_from,
        }
    click.echo(json.dumps({"version": VERSION, **told}))


@schema.command()
@_config_option
def upgrade(config: Path) -> None:
    """Bring the journal to this release's schema, in one transaction."""
    path = _journal(config)
    if not path.exists():
        click.echo(f"{path}: there is none yet; the daemon makes it")
        return
    with _engine(path, writes=True) as engine:
        opening.upgrade(path, engine, datetime.now(UTC))
        click.echo(f"{path}: revision {opening.look(path, engine).present}")
