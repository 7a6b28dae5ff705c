"""``lae keys``: each can be changed while everything runs."""

from __future__ import annotations

import base64
import secrets
import sqlite3
import sys
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from functools import wraps
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import click
from attrs import define

from lae_flapp.journal import checking, sqlite
from lae_flapp.journal.errors import JournalError
from lae_flapp.journal.sealed import key_names
from lae_flapp.laptop import tables
from lae_flapp.laptop.columns import Column, columns
from lae_flapp.laptop.line import Line, run
from lae_flapp.laptop.options import asks_daemon, changes, gives_json, loses
from lae_flapp.laptop.options import confirm as ask
from lae_flapp.laptop.settings import Where
from lae_flapp.machine.progress import progress
from lae_flapp.machine.recovering import recover
from lae_flapp.settings import DaemonSettings
from lae_protocol.operator_messages import Reseal
from lae_protocol.process.key_folder import KeyFile, KeyFolder, write_key
from lae_protocol.process.settings import SettingsError, load
from lae_protocol.secret import digest
from lae_provision.aws.key_file import key_name
from lae_provision.identity.journal_sealer import name_of_key

SITE_FILE = Path("/etc/s4/site.yaml")
KEY_BYTES = 32


@define(frozen=True)
class Kind:
    """One kind of key: in the settings of *process*, in the folder *setting*.

    *make* is None for what Stripe makes, whose secrets begin with *prefix*.
    """

    process: str
    setting: str
    make: Callable[[], str] | None
    then: str
    prefix: str = ""


def _make_base64_key() -> str:
    return base64.b64encode(secrets.token_bytes(KEY_BYTES)).decode("ascii")


def _make_cookie_key() -> str:
    return secrets.token_hex(KEY_BYTES)


KINDS = {
    "journal": Kind(
        "daemon",
        "sealing.journal_keys",
        _make_base64_key,
        "Restart the daemon; then: lae keys reseal; then: lae keys retire journal",
    ),
    "identity": Kind(
        "daemon",
        "sealing.identity_keys",
        _make_base64_key,
        "Restart the daemon.  The one before opens what it sealed: keep it.",
    ),
    "stripe": Kind(
        "daemon",
        "stripe.api_keys",
        None,
        "Restart the daemon; when it is open for registrations: lae keys retire stripe;"
        " then revoke the old one in Stripe's dashboard",
        prefix="rk_",
    ),
    "cookie": Kind(
        "site",
        "cookie_keys",
        _make_cookie_key,
        "Restart every copy of the site; after three hours: lae keys retire cookie",
    ),
    "webhook": Kind(
        "site",
        "webhook_secrets",
        None,
        "Restart every copy of the site; when Stripe's old secret has ended:"
        " lae keys retire webhook",
        prefix="whsec_",
    ),
}


@click.group()
def keys() -> None:
    """Change the keys of daemon and site, with no outage: the one before stays good."""


keys.add_command(recover)


def _on_files(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give the command ``files``: the settings of each process on this machine."""

    @wraps(command)
    def working(*, daemon: Path | None, site: Path | None, **rest: Any) -> Any:
        files = {"daemon": daemon or Where().daemon_file(), "site": site or SITE_FILE}
        try:
            return command(files=files, **rest)
        except (SettingsError, JournalError) as e:
            raise click.ClickException(str(e)) from None
        except OSError as e:
            raise click.ClickException(f"{e.filename}: {e.strerror}") from None

    path = click.Path(path_type=Path)
    for option in (
        click.option("--site", type=path, help=f"The site's settings [{SITE_FILE}]."),
        click.option("--daemon", type=path, help="The daemon's [/etc/s4/daemon.yaml]."),
    ):
        working = option(working)
    return working


def _folder_of(kind: Kind, files: dict[str, Path]) -> KeyFolder | None:
    """The folder that the settings name; None where they name none."""
    # By name: what the site's settings are is not the daemon's business.
    (entry,) = entry_points(group="s4.settings", name=kind.process)
    value: Any = load(files[kind.process], entry.load())
    for name in kind.setting.split("."):
        value = getattr(value, name)
    folder: KeyFolder | None = value
    return folder


def _named_folder(kind: Kind, files: dict[str, Path]) -> KeyFolder:
    folder = _folder_of(kind, files)
    if folder is None:
        file = files[kind.process]
        raise click.ClickException(f"{file}: there is no {kind.setting}")
    return folder


@keys.command("list")
@_on_files
@gives_json
def list_(files: dict[str, Path], as_json: bool) -> None:
    """List the keys of this machine, each by a digest."""
    rows = []
    for name, kind in KINDS.items():
        if not files[kind.process].exists():
            continue
        folder = _folder_of(kind, files)
        for number, file in enumerate(() if folder is None else folder.files()):
            place = "current" if number == 0 else "accepted"
            rows.append((name, place, digest(file.read().reveal()), str(file.path)))
    if as_json:
        names = ("kind", "place", "digest", "from")
        tables.print_json(keys=[dict(zip(names, r, strict=True)) for r in rows])
        return
    table = columns(
        *(Column("key"), Column("place"), Column("digest"), tables.text("from"))
    )
    table.page(rows)


@keys.command()
@_on_files
@gives_json
@changes
@click.option(
    "--prepare",
    is_flag=True,
    help="Have it accepted, not used: for a site of several copies, restart all, then"
    " rotate without this.",
)
@click.argument("kind", type=click.Choice(tuple(KINDS)))
def rotate(
    files: dict[str, Path], as_json: bool, dry_run: bool, prepare: bool, kind: str
) -> None:
    """Write a new key into its folder; those before stay accepted.

    A key that was prepared is used from now on.  Of its keys Stripe is the maker: make
    the new one there, and give it on standard input.
    """
    one = KINDS[kind]
    folder = _named_folder(one, files)
    present = folder.listed()
    waiting = [file for file in present if file.waits]
    if waiting and prepare:
        raise click.ClickException(f"{waiting[0].path} is prepared already")
    number = max((file.number for file in present), default=0) + 1
    path = folder.folder / f"{number:04}.{'next' if prepare else 'key'}"
    if waiting:
        path = waiting[0].path.with_suffix(".key")
    used = "accepted" if prepare else "used"
    if dry_run:
        click.echo(f"Would have {path} {used} from the next start on.")
        return
    if waiting:
        # The daemon must start once more before an older key may be retired.
        waiting[0].path.touch()
        waiting[0].path.rename(path)
        sqlite.sync(folder.folder)
    else:
        owner = present[0].path if present else folder.folder
        write_key(path, _secret(one), owner.stat())
    if as_json:
        tables.print_json(kind=kind, file=str(path))
        return
    click.echo(f"{path} is {used} from the next start on.")
    click.echo(
        f"Restart every copy; then: lae keys rotate {kind}" if prepare else one.then
    )


def _secret(one: Kind) -> str:
    if one.make is not None:
        return one.make()
    if sys.stdin.isatty():
        given = click.prompt("The new one, from Stripe", hide_input=True)
    else:
        given = sys.stdin.read()
    secret = str(given).strip()
    if not secret.startswith(one.prefix) or len(secret.split()) != 1:
        raise click.ClickException(f"Stripe's begin with {one.prefix}; this does not")
    return secret


@keys.command()
@asks_daemon
@gives_json
@changes
def reseal(where: Where, as_json: bool, dry_run: bool) -> None:
    """Seal anew what older journal keys sealed, a few hundred rows at a time.

    Ctrl-C stops it between two batches; called again, it goes on with what is left.
    """
    if dry_run:
        click.echo("Would have the daemon seal anew what older keys sealed.")
        return

    async def work(line: Line) -> Any:
        looked = done = 0
        with progress("sealing anew") as told:
            cursor: str | None = None
            while True:
                batch = await line.ask(Reseal(cursor))
                looked, done = looked + batch.looked, done + batch.sealed
                told(looked, max(looked, batch.of_rows))
                cursor = batch.cursor
                if cursor is None:
                    return looked, done

    looked, done = run(where, work)
    if as_json:
        tables.print_json(looked=looked, sealed=done)
    else:
        click.echo(f"Of {looked} sealed rows, {done} are sealed anew.")


@keys.command()
@_on_files
@gives_json
@changes
@loses
@click.argument("kind", type=click.Choice(tuple(KINDS)))
def retire(
    files: dict[str, Path], as_json: bool, dry_run: bool, yes: bool, kind: str
) -> None:
    """Delete the oldest key, once nothing needs it any more.

    What is sealed with it in the journal is counted first, and the daemon must have
    started since the newest key was written.
    """
    present = _named_folder(KINDS[kind], files).files()
    newest, oldest = present[0], present[-1]
    if oldest.waits:
        raise click.ClickException(
            f"{oldest.path} is not used yet: lae keys rotate {kind}"
        )
    if newest == oldest:
        raise click.ClickException(f"there is one {kind} key alone: nothing to retire")
    if kind in {"journal", "identity"}:
        _refuse_what_is_needed(kind, files["daemon"], newest, oldest)
    if dry_run:
        click.echo(f"Would delete {oldest.path}.")
        return
    if not yes:
        ask(f"Delete {oldest.path}?")
    oldest.path.unlink()
    sqlite.sync(oldest.path.parent)
    if as_json:
        tables.print_json(kind=kind, retired=str(oldest.path))
        return
    click.echo(f"{oldest.path} is deleted; no process knows it from its next start on.")


def _refuse_what_is_needed(
    kind: str, daemon: Path, newest: KeyFile, oldest: KeyFile
) -> None:
    """Raise while the journal has what only *oldest* opens, or may still get it."""
    path = load(daemon, DaemonSettings).journal
    if not path.exists():
        return
    with checking.reading(path) as db:
        started = db.execute("SELECT taken_at FROM epoch").fetchone()
        if started is not None:
            written = datetime.fromtimestamp(newest.path.stat().st_mtime, UTC)
            if datetime.fromisoformat(started[0]) < written:
                raise click.ClickException(
                    f"the daemon has not started since {newest.path} was written:"
                    " restart it first"
                )
        needed = _count_sealed(db, kind, oldest.read().reveal())
    if needed:
        raise click.ClickException(
            f"{needed} of the journal's rows are sealed with {oldest.path}:"
            + (" lae keys reseal" if kind == "journal" else " it must stay")
        )


#: A sealed identity says itself under which key it is.
_IDENTITIES = """
    SELECT count(*) FROM identities WHERE recovered IS NULL AND CASE
    WHEN json_valid(CAST(sealed AS TEXT))
    THEN json_extract(CAST(sealed AS TEXT), '$.key_id') END = ?
"""


def _count_sealed(db: sqlite3.Connection, kind: str, secret: str) -> int:
    """How many rows are sealed with the key; a text that is no key sealed none."""
    try:
        raw = base64.b64decode(secret, validate=True)
    except ValueError:
        return 0
    if kind == "identity":
        return int(db.execute(_IDENTITIES, (key_name(raw),)).fetchone()[0])
    counted = Counter(head for (head,) in db.execute(key_names()))
    return counted[name_of_key(raw)]
