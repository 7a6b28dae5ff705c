"""``lae keys``: each can be changed while everything runs."""

from __future__ import annotations

import base64
import secrets
import sys
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from functools import wraps
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import click
from attrs import define

from lae_flapp.journal import checking
from lae_flapp.journal.errors import JournalError
from lae_flapp.laptop import tables
from lae_flapp.laptop.columns import Column, columns
from lae_flapp.laptop.line import Line, run
from lae_flapp.laptop.options import asks_daemon, changes, gives_json, loses
from lae_flapp.laptop.options import confirm as ask
from lae_flapp.laptop.settings import Where
from lae_flapp.machine.key_lists import KeyList, write_key
from lae_flapp.machine.progress import progress
from lae_flapp.settings import DaemonSettings
from lae_flapp.wiring.place import journal_path
from lae_protocol.operator_messages import Reseal, ResealAnswer
from lae_protocol.process.settings import SettingsError, load
from lae_protocol.secret import digest
from lae_provision.aws.key_file import key_name
from lae_provision.identity.journal_sealer import name_of_key

SITE_FILE = Path("/etc/s4/site.yaml")
#: As many characters as the site demands, twice.
_COOKIE_BYTES, _KEY_BYTES = 32, 32


@define(frozen=True)
class Kind:
    """*process* names whose settings have it; *make* is None for what Stripe makes."""

    process: str
    path: tuple[str, ...]
    make: Callable[[], str] | None
    what: str
    then: str


def _base64_key() -> str:
    return base64.b64encode(secrets.token_bytes(_KEY_BYTES)).decode("ascii")


KINDS = {
    "journal": Kind(
        "daemon",
        ("sealing", "journal_keys"),
        _base64_key,
        "seals secrets in the journal",
        "Restart the daemon; then: lae keys reseal; then: lae keys retire journal",
    ),
    "identity": Kind(
        "daemon",
        ("sealing", "key_files"),
        _base64_key,
        "seals identities of nodes",
        "Restart the daemon.  The one before opens what it sealed: keep it.",
    ),
    "cookie": Kind(
        "site",
        ("cookie_keys",),
        lambda: secrets.token_hex(_COOKIE_BYTES),
        "signs forms and cookies",
        "Restart every copy of the site; after three hours: lae keys retire cookie",
    ),
    "webhook": Kind(
        "site",
        ("webhook_secrets",),
        None,
        "checks that Stripe's events are Stripe's",
        "Restart every copy of the site; when Stripe's old secret has ended:"
        " lae keys retire webhook",
    ),
}


@click.group()
def keys() -> None:
    """Change the keys of daemon and site, with no outage: the one before stays good."""


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


def _list_of(kind: Kind, files: dict[str, Path]) -> KeyList:
    # By name: what the site's settings are is not the daemon's business.
    (entry,) = entry_points(group="s4.settings", name=kind.process)
    return KeyList(files[kind.process], entry.load(), kind.path)


@keys.command("list")
@_on_files
@gives_json
def list_(files: dict[str, Path], as_json: bool) -> None:
    """List the keys of this machine, each by a digest."""
    rows = []
    for name, kind in KINDS.items():
        if not files[kind.process].exists():
            continue
        for number, source in enumerate(_list_of(kind, files).sources()):
            place = "current" if number == 0 else "accepted"
            secret = source.read().reveal()
            rows.append((name, place, digest(secret), source.name()))
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
    """Make a new key and put it first in the settings; the one before stays accepted.

    The key goes into a file of its own (mode 600) beside the present one.  Of the
    webhook's secret Stripe is the maker: roll it there, and give the new one on
    standard input.
    """
    one = KINDS[kind]
    listed = _list_of(one, files)
    sources, written = listed.sources(), listed.written()
    prepared = _prepared(written)
    now = datetime.now(UTC)
    current = sources[0].file
    assert current is not None, "all of them are files, or written() had raised"
    if prepared and not prepare:
        name, path = written[-1], sources[-1].file
        assert path is not None
    else:
        name = _new_name(written[0], now)
        path = current.with_name(Path(name).name)
    said = "accept it" if prepare else "use it from the next start on"
    if dry_run:
        click.echo(f"Would write a key to {path}, and have {listed.file} {said}.")
        return
    fresh = not (prepared and not prepare)
    if fresh:
        write_key(path, _secret(one, kind), current)
    try:
        _put(listed, name, path, sources, prepare=prepare, fresh=fresh)
    except BaseException:
        if fresh:
            path.unlink(missing_ok=True)
        raise
    if as_json:
        tables.print_json(kind=kind, file=str(path), settings=str(listed.file))
        return
    used = "accepted" if prepare else "used"
    click.echo(f"{path} is {used} from the next start on, by {listed.file}.")
    click.echo(
        f"Restart every copy of the site; then: lae keys rotate {kind}"
        if prepare
        else one.then
    )


def _put(
    listed: KeyList,
    name: str,
    path: Path,
    sources: tuple[Any, ...],
    *,
    prepare: bool,
    fresh: bool,
) -> None:
    files, text = tuple(source.file for source in sources), listed.text()
    if prepare:
        listed.write(listed.with_last(name, text), (*files, path))
        return
    if not fresh:
        # It is accepted everywhere by now, and moved to the front.
        files, text = files[:-1], listed.without_last(text)
    listed.write(listed.with_first(name, text), (path, *files))


def _secret(one: Kind, kind: str) -> str:
    if one.make is not None:
        return one.make()
    if sys.stdin.isatty():
        given = click.prompt("The new signing secret, from Stripe", hide_input=True)
    else:
        given = sys.stdin.read()
    secret = str(given).strip()
    if not secret.startswith("whsec_") or len(secret.split()) != 1:
        raise click.ClickException(f"no {kind} secret of Stripe's (whsec_...)")
    return secret


def _new_name(written: str, now: datetime) -> str:
    """``cookie.key`` becomes ``cookie-20261128T180000Z.key``; a later one, too."""
    path = Path(written)
    stem = path.stem.partition("-2")[0]
    return str(path.with_name(f"{stem}-{now:%Y%m%dT%H%M%SZ}{path.suffix}"))


def _prepared(written: list[str]) -> bool:
    """Whether the last was made after the first: it waits to be used."""
    times = [Path(name).stem.partition("-2")[2] for name in written]
    return len(times) > 1 and times[-1] > times[0]


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
                batch = await line.ask("reseal", Reseal(cursor), ResealAnswer)
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
    """Take the oldest key out of the settings, once nothing needs it any more.

    What is sealed with it in the journal is counted first.  Its file stays: remove it
    yourself when all is well.
    """
    listed = _list_of(KINDS[kind], files)
    sources, written = listed.sources(), listed.written()
    if len(sources) < 2:  # noqa: PLR2004  (the current one and one before)
        raise click.ClickException(f"there is one {kind} key alone: nothing to retire")
    if _prepared(written):
        raise click.ClickException(
            f"the newest {kind} key is not used yet: lae keys rotate {kind}"
        )
    needed = _needed(kind, files["daemon"], sources[-1].read().reveal())
    if needed:
        raise click.ClickException(
            f"{needed} of the journal's rows are sealed with {sources[-1].name()}:"
            + (" lae keys reseal" if kind == "journal" else " it must stay")
        )
    if dry_run:
        click.echo(f"Would take {sources[-1].name()} out of {listed.file}.")
        return
    if not yes:
        ask(f"Take {sources[-1].name()} out of {listed.file}?")
    kept = tuple(source.file for source in sources[:-1] if source.file is not None)
    listed.write(listed.without_last(listed.text()), kept)
    if as_json:
        tables.print_json(kind=kind, retired=sources[-1].name())
        return
    click.echo(f"{sources[-1].name()} is out of {listed.file} from the next start on.")


def _needed(kind: str, daemon: Path, secret: str) -> int:
    """How many rows of the journal need this key."""
    if kind not in {"journal", "identity"}:
        return 0
    path = journal_path(load(daemon, DaemonSettings).state)
    with suppress(ValueError), checking.reading(path) as db:
        raw = base64.b64decode(secret, validate=True)
        if kind == "identity":
            query = "SELECT count(*) FROM identities WHERE key_id = ?"
            return int(db.execute(query, (key_name(raw),)).fetchone()[0])
        counted = Counter(head for (head,) in db.execute(_SEALED_HEADS))
        return counted[name_of_key(raw)]
    return 0


#: Version, then the key's name, of all that is sealed (lae_flapp.journal.sealed).
_SEALED_HEADS = """
    SELECT substr(request, 2, 8) FROM effects WHERE sealed AND request IS NOT NULL
    UNION ALL SELECT substr(payload, 2, 8) FROM inbox WHERE payload IS NOT NULL
    UNION ALL SELECT substr(sealed, 2, 8) FROM host_furls
"""
