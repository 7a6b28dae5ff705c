"""``lae operator``: who may operate, a furl each."""

from __future__ import annotations

import hashlib
import os
import secrets
from pathlib import Path
from typing import Any

import click
from attrs import evolve

from lae_flapp.laptop import tables
from lae_flapp.laptop.columns import Column, columns
from lae_flapp.laptop.line import Away, Line, run
from lae_flapp.laptop.options import asks_daemon, changes, gives_json, loses
from lae_flapp.laptop.settings import Where
from lae_protocol.furl import Furl, NotAFurl, WrongFurl, parse_facet_furl
from lae_protocol.ids import base32
from lae_protocol.people_messages import (
    AddOperator,
    AskOperators,
    Opened,
    Operators,
    RenewFurl,
    RevokeOperator,
    ShowSecondFurl,
)
from lae_protocol.process.settings import SecretSource, SettingsError
from lae_protocol.secret import Secret


@click.group()
def operator() -> None:
    """Say who may operate: each person has a furl, and their name is in every event."""


async def _people(line: Line) -> Operators:
    told: Operators = await line.ask(AskOperators())
    return told


@operator.command("list")
@asks_daemon
@gives_json
def list_(where: Where, as_json: bool) -> None:
    """List everybody who has or had a furl."""
    told = run(where, _people)
    if as_json:
        tables.print_json(operators=told.operators)
        return
    table = columns(
        Column("name"), Column("added (UTC)"), Column("revoked (UTC)"), Column("")
    )
    table.page(
        (o.name, tables.moment(o.added_at), tables.moment(o.revoked_at), "you" * o.you)
        for o in told.operators
    )


@operator.command()
@asks_daemon
@gives_json
@changes
@click.option(
    "--to",
    "target",
    type=click.Path(path_type=Path),
    help="The furl's file [NAME.furl]; it must not be there yet.",
)
@click.option("--print", "printed", is_flag=True, help="Print the furl too.")
@click.argument("name")
def add(
    where: Where,
    as_json: bool,
    dry_run: bool,
    target: Path | None,
    printed: bool,
    name: str,
) -> None:
    """Give one more person a furl, in a file that only you can read.

    Hand it over on a safe way: whoever has it can do what you can.  The daemon tells it
    once, and keeps its hash alone.
    """
    path = target or Path(f"{name}.furl")
    if dry_run:
        known = {o.name for o in run(where, _people).operators}
        if name in known:
            raise click.ClickException(f"There is an operator {name} already.")
        click.echo(f"Would add {name}, and write the furl to {path}.")
        return
    # Before the daemon is asked: what it tells once must have a place to stand.
    made = _reserve(path)

    async def work(line: Line) -> Any:
        told = await line.ask(AddOperator(name))
        with os.fdopen(os.dup(made), "w", encoding="ascii") as out:
            out.write(told.furl + "\n")
            out.flush()
            os.fsync(out.fileno())
        return told

    try:
        told = run(where, work)
    except BaseException:
        if not os.fstat(made).st_size:
            path.unlink(missing_ok=True)
        raise
    finally:
        os.close(made)
    furl = told.furl if printed else None
    if as_json:
        tables.print_json(name=name, file=str(path), furl=furl)
        return
    click.echo(f"{name} is an operator; the furl is in {path} (mode 600).")
    if furl is not None:
        click.echo(furl)


@operator.command()
@asks_daemon
@gives_json
@changes
@click.option(
    "--to",
    "target",
    type=click.Path(path_type=Path),
    help="The new furl's file [NAME.furl]; it must not be there yet.",
)
@click.argument("name")
def rotate(
    where: Where, as_json: bool, dry_run: bool, target: Path | None, name: str
) -> None:
    """Give a person a new furl, under the same name; the old one ends at once.

    For a furl that may have been read by others.  The new one is in its file before
    the daemon knows it, so that nobody is locked out where the connection breaks.
    """
    path = target or Path(f"{name}.furl")

    async def work(line: Line) -> None:
        alive = {o.name for o in (await _people(line)).operators if not o.revoked_at}
        if name not in alive:
            raise click.ClickException(f"There is no operator {name}.")
        if not dry_run:
            await _renew(line, where.furl(), name, path)

    run(where, work)
    if dry_run:
        click.echo(f"Would give {name} a new furl, and write it to {path}.")
        return
    if as_json:
        tables.print_json(name=name, file=str(path))
    else:
        click.echo(f"The furl of {name} is in {path} (mode 600); the old one is over.")


async def _renew(line: Line, mine: Furl, name: str, path: Path) -> None:
    swissnum = "o" + base32(secrets.token_bytes(32))
    made = _reserve(path)
    try:
        _write(made, evolve(mine, swissnum=swissnum))
        told = await line.ask(RenewFurl(name, Secret(swissnum)))
        _write(made, Furl.parse(told.furl))
    except Away as e:
        said = f"{e.message}\nIt may know the furl in {path}: try it, then the old one."
        raise Away(said) from None
    except BaseException:
        path.unlink(missing_ok=True)  # noqa: ASYNC240  (nothing else runs here)
        raise
    finally:
        os.close(made)


def _write(made: int, furl: Furl) -> None:
    """Write the furl in place of what the file has."""
    os.ftruncate(made, 0)
    os.pwrite(made, (furl.reveal() + "\n").encode("ascii"), 0)
    os.fsync(made)


def _reserve(path: Path) -> int:
    try:
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise click.ClickException(
            f"{path} is there already: name another file with --to."
        ) from None
    except OSError as e:
        raise click.ClickException(f"{path}: {e.strerror}") from None


@operator.command()
@asks_daemon
@gives_json
@changes
@loses
@click.argument("name")
def revoke(where: Where, as_json: bool, dry_run: bool, yes: bool, name: str) -> None:
    """End a person's furl; the next call over it is refused.

    The name stays in the events, and is never given again.
    """

    async def work(line: Line) -> bool:
        known = {o.name: o for o in (await _people(line)).operators}
        if name not in known:
            raise click.ClickException(f"There is no operator {name}.")
        if dry_run or known[name].revoked_at is not None:
            return known[name].revoked_at is None
        you = " That is you." if known[name].you else ""
        await line.sure(f"Revoke the furl of {name}?{you}", yes=yes)
        await line.ask(RevokeOperator(name))
        return True

    changed = run(where, work)
    if as_json:
        tables.print_json(name=name, done=changed and not dry_run)
    elif not changed:
        click.echo(f"{name} is revoked already.")
    elif dry_run:
        click.echo(f"Would revoke the furl of {name}.")
    else:
        click.echo(f"The furl of {name} is nobody's any more.")


@operator.command("second-furl")
@asks_daemon
@click.option(
    "--to",
    "target",
    required=True,
    type=click.Path(path_type=Path),
    help="The second furl's file; it must not be there yet.",
)
@click.argument("name")
def second_furl(where: Where, target: Path, name: str) -> None:
    """Make a second furl for NAME, without which nobody deletes data or refunds.

    The daemon is not asked: keep the file elsewhere, on a stick for example, and write
    the line that is printed into the daemon's settings.
    """
    first = where.furl()
    second = evolve(first, swissnum="s" + base32(secrets.token_bytes(32)))
    made = _reserve(target)
    with os.fdopen(made, "w", encoding="ascii") as out:
        out.write(second.reveal() + "\n")
    digest = hashlib.sha256(second.swissnum.encode()).hexdigest()
    click.echo(
        f"The second furl of {name} is in {target} (mode 600): keep it elsewhere."
    )
    click.echo("Write this into the daemon's settings, and restart the daemon:")
    click.echo(f"operators:\n  second_furls:\n    - {{name: {name}, sha256: {digest}}}")


@operator.command("open")
@asks_daemon
@gives_json
@click.argument("file", type=click.Path(path_type=Path))
def open_(where: Where, as_json: bool, file: Path) -> None:
    """Show the second furl in FILE: deletions and refunds are open to you for a while.

    It is ten minutes, and an event with your name.
    """
    try:
        second = parse_facet_furl(SecretSource(file=file).read().reveal(), "o")
    except (SettingsError, NotAFurl, WrongFurl) as e:
        raise click.ClickException(f"no second furl: {e}") from None

    async def work(line: Line) -> Opened:
        return await line.ask(ShowSecondFurl(Secret(second.swissnum)))

    told = run(where, work)
    if as_json:
        tables.print_json(opened=told)
        return
    minutes = told.seconds // 60
    click.echo(f"Deletions and refunds are open to you for {minutes} minutes.")
