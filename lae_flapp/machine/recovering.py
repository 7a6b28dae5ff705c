"""``lae keys recover``: what KMS does not open, the offline recovery key does."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import click

from lae_flapp.laptop import tables
from lae_flapp.laptop.line import Line, run
from lae_flapp.laptop.meant import meant
from lae_flapp.laptop.options import SIGNUP, asks_daemon, changes, gives_json
from lae_flapp.laptop.settings import Where
from lae_protocol import wire
from lae_protocol.ids import SignupId
from lae_protocol.looking_messages import ListSignups
from lae_protocol.recovery_messages import AskSealedIdentity, GiveIdentity
from lae_protocol.secret import Secret
from lae_provision.doors import Sealed
from lae_provision.errors import Refused
from lae_provision.identity.identities import recover_identity

#: Whose host may need its keys: a signup in another state has none, or needs none.
_SERVED = frozenset({"paid", "active", "past-due", "suspended", "stopped"})
_AT_ONCE = 200


@click.command()
@asks_daemon
@gives_json
@changes
@click.option(
    "--recovery-key",
    "key_file",
    required=True,
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="The file with the private half (AGE-SECRET-KEY-1...).",
)
@click.option("--all", "everybody", is_flag=True, help="Of every customer's grid.")
@click.argument("signup", type=SIGNUP, nargs=-1)
def recover(  # noqa: PLR0917  (click's)
    where: Where,
    as_json: bool,
    dry_run: bool,
    key_file: Path,
    everybody: bool,
    signup: tuple[str, ...],
) -> None:
    """Open the keys of grids with the offline recovery key, while KMS does not.

    The recovery key is read here and stays here: run this where the key is kept.  The
    daemon gets what was sealed, keeps it under the journal's own key, and uses it from
    then on.  What waits for the keys is tried again.
    """
    if everybody == bool(signup):
        raise click.UsageError("name the signups, or say --all")
    key = _read_key(key_file)

    async def work(line: Line) -> list[SignupId]:
        done = []
        async for signup_id in _chosen(line, signup):
            told = await line.ask(AskSealedIdentity(signup_id))
            try:
                identity = recover_identity(Sealed(told.key, told.sealed), key)
            except Refused as e:
                raise click.ClickException(f"{signup_id}: {e.message}") from None
            if not dry_run:
                opened = Secret(wire.encode(identity).decode())
                await line.ask(GiveIdentity(signup_id, opened))
            done.append(signup_id)
            if dry_run:
                click.echo(
                    f"Would open the keys of {signup_id}: the recovery key fits."
                )
            elif not as_json:
                click.echo(f"The keys of {signup_id} are open; it is tried again.")
        return done

    done = run(where, work)
    if as_json:
        tables.print_json(recovered=[] if dry_run else done)


def _read_key(path: Path) -> Secret:
    """The private half; a file of age-keygen's has comments beside it."""
    lines = path.read_text("utf-8").splitlines()
    found = [line.strip() for line in lines if line.startswith("AGE-SECRET-KEY-1")]
    if len(found) != 1:
        raise click.ClickException(f"{path} has no AGE-SECRET-KEY-1... of its own line")
    return Secret(found[0])


async def _chosen(line: Line, texts: tuple[str, ...]) -> AsyncIterator[SignupId]:
    for text in texts:
        yield await meant(line, text)
    cursor: str | None = None
    while not texts:
        page: Any = await line.ask(ListSignups(cursor=cursor, limit=_AT_ONCE))
        for row in page.rows:
            if row.state in _SERVED:
                yield row.signup_id
        cursor = page.cursor
        if cursor is None:
            return
