"""Proving that what was built from a backup is the deployment, without touching it.

Whatever is written is written to a copy of the copy; the network is this machine's own,
and the state bucket, which is read alone.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from attrs import define
from sqlalchemy import select
from twisted.internet.threads import deferToThread

from lae_flapp.disaster.hearing import hear
from lae_flapp.disaster.reasons import NotProved
from lae_flapp.disaster.rebuilding import Rebuilt, Told
from lae_flapp.journal import sqlite
from lae_flapp.journal.identities import IDENTITIES
from lae_flapp.journal.journal import Journal
from lae_flapp.journal.meta import home_of
from lae_flapp.journal.signups import SIGNUPS
from lae_flapp.journal.threads import JournalThreads
from lae_flapp.journal.transaction import ReadTx
from lae_protocol.furl import Furl, NotAFurl
from lae_protocol.process.tub import make_tub
from lae_protocol.secret import Secret
from lae_provision.doors import IVault, Sealed
from lae_provision.errors import Refused
from lae_provision.identity.identities import recover_identity

#: Of hosts, and of documents in the state bucket, so many are looked at, drawn anew in
#: each drill.
SAMPLE = 200
NAMED = 5
#: Furls in the daemon's folder, and the certificate that each must name.
_OWN = (("front-desk.furl", "private.pem"), ("operator.furl", "private.pem"))


@define(frozen=True)
class Grid:
    """A customer's grid, as the journal has it."""

    signup_id: str
    label: str
    sealed: Sealed


@define(frozen=True)
class Proof:
    """What was seen: *grids* were opened with the recovery key, of which *compared* lie
    in the state bucket byte for byte; *heard* of *hosts* were answered over their own
    furls.
    """

    signups: int
    events: int
    last_at: str
    grids: int
    compared: int
    hosts: int
    heard: int


async def prove(
    reactor: Any, built: Rebuilt, key: Secret, vault: IVault | None, told: Told
) -> Proof:
    """1. The daemon's own furls name its certificates; 2. every grid's keys are opened
    by the recovery key and are that grid's; 3. they are what the state bucket has;
    4. hosts are answered over the furls that they hold.

    Raises :class:`NotProved`.
    """
    told("the daemon's certificates and furls")
    problems = own_problems(built.settings.state)
    copy = built.settings.journal.with_name("proof.sqlite")
    sqlite.copy(built.settings.journal, copy)
    journal = Journal(
        copy, home_of(built.settings), reactor, JournalThreads(reactor), lambda: None
    )
    await journal.open()
    try:
        grids = await journal.read(read_grids)
        told(f"the keys of {len(grids)} grids")
        problems += await deferToThread(unopened, grids, key)
        compared = 0
        if vault is not None:
            told("the same in the state bucket")
            chosen = drawn(grids)
            strange = [g.signup_id for g in chosen if not await _is_there(vault, g)]
            compared = len(chosen) - len(strange)
            problems += _named(strange, "is not in the state bucket as in the journal")
        told("hosts, over the furls that they hold")
        heard = await hear(reactor, built.settings, journal, SAMPLE)
        problems += _named(heard.deaf, "would not be heard")
    finally:
        await journal.close()
        for left in copy.parent.glob(f"{copy.name}*"):
            left.unlink()
    if problems:
        raise NotProved("; ".join(problems))
    counted = built.counted
    return Proof(
        counted.signups,
        counted.events,
        counted.last_at,
        len(grids),
        compared,
        heard.hosts,
        heard.heard,
    )


def own_problems(state: Path) -> list[str]:
    """What is wrong with the furls of the daemon's own folder."""
    found = []
    for furl_name, certificate in _OWN:
        furl, pem = state / furl_name, state / certificate
        if not (furl.is_file() and pem.is_file()):
            found.append(f"{furl_name} or {certificate} is missing")
            continue
        tub_id = make_tub(pem=pem.read_bytes()).getTubID()
        try:
            named = Furl.parse(furl.read_text("ascii")).tub_id
        except (NotAFurl, UnicodeDecodeError):
            named = "nothing"
        if named != tub_id:
            found.append(f"{furl_name} names another certificate than {certificate}")
    if not (state / "hosts.pem").is_file():
        found.append("hosts.pem is missing: no host would find its daemon")
    return found


def read_grids(tx: ReadTx) -> tuple[Grid, ...]:
    """Every grid that has keys."""
    columns = (
        IDENTITIES.c.signup_id,
        SIGNUPS.c.grid_label,
        IDENTITIES.c.vault_key,
        IDENTITIES.c.sealed,
    )
    query = select(*columns).join(
        SIGNUPS, SIGNUPS.c.signup_id == IDENTITIES.c.signup_id
    )
    query = query.where(IDENTITIES.c.vaulted_at.is_not(None))
    return tuple(
        Grid(row.signup_id, row.grid_label, Sealed(row.vault_key, row.sealed))
        for row in tx.all(query)
    )


def unopened(grids: Sequence[Grid], key: Secret) -> list[str]:
    """Name the grids whose keys are not theirs, or that *key* does not open."""
    closed, strange = [], []
    for grid in grids:
        try:
            identity = recover_identity(grid.sealed, key)
        except Refused:
            closed.append(grid.signup_id)
            continue
        if identity.grid_label != grid.label:
            strange.append(grid.signup_id)
    return _named(closed, "is not opened by the recovery key") + _named(
        strange, "has the keys of another grid"
    )


def drawn(grids: Sequence[Grid]) -> Sequence[Grid]:
    """Draw those that are compared."""
    return random.sample(grids, min(SAMPLE, len(grids)))


async def _is_there(vault: IVault, grid: Grid) -> bool:
    return await vault.get(grid.sealed.key) == grid.sealed


def _named(signup_ids: Sequence[str], what: str) -> list[str]:
    if not signup_ids:
        return []
    more = len(signup_ids) - NAMED
    rest = f" and {more} more" if more > 0 else ""
    return [f"{', '.join(signup_ids[:NAMED])}{rest}: {what}"]
