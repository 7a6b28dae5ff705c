"""Host furls: one per host generation; whoever holds it reaches that row alone."""

from __future__ import annotations

from datetime import datetime

from attrs import define, field
from sqlalchemy import Integer, LargeBinary, String, Table, insert, select, update

from lae_flapp.journal.columns import METADATA, Moment, column, signup_column
from lae_flapp.journal.secrets import hash_of
from lae_flapp.journal.transaction import ReadTx, WriteTx
from lae_protocol.ids import Generation, SignupId
from lae_protocol.secret import Secret

HOST_FURLS = Table(
    "host_furls",
    METADATA,
    signup_column(primary_key=True),
    column("generation", Integer, purpose="of the host", primary_key=True),
    column("swissnum_hash", String(64), purpose="recognises the furl", unique=True),
    column("sealed", LargeBinary, purpose="the furl, sealed: a repeated claim gets it"),
    column("issued_at", Moment, purpose="when it was made"),
    column("revoked_at", Moment, purpose="dead from here on", nullable=True),
)


@define(frozen=True)
class HostFurl:
    """A row; *sealed* is what a repeated claim is answered with."""

    signup_id: SignupId
    generation: Generation
    swissnum_hash: str = field(repr=False)
    sealed: bytes = field(repr=False)
    issued_at: datetime
    revoked_at: datetime | None


def issue(
    tx: WriteTx,
    signup_id: SignupId,
    generation: Generation,
    swissnum: Secret,
    sealed: bytes,
) -> HostFurl:
    """Make a host's furl known; where it has one, that one stays and is given."""
    known = find(tx, signup_id, generation)
    if known is not None:
        return known
    made = HostFurl(signup_id, generation, hash_of(swissnum), sealed, tx.now, None)
    tx.run(
        insert(HOST_FURLS).values(
            signup_id=signup_id,
            generation=generation,
            swissnum_hash=made.swissnum_hash,
            sealed=sealed,
            issued_at=tx.now,
        )
    )
    return made


def find(tx: ReadTx, signup_id: SignupId, generation: Generation) -> HostFurl | None:
    """The host's row, if there is one."""
    here = (HOST_FURLS.c.signup_id == signup_id, HOST_FURLS.c.generation == generation)
    row = tx.first(select(HOST_FURLS).where(*here))
    return None if row is None else HostFurl(*row)


def by_swissnum(tx: ReadTx, swissnum: Secret) -> HostFurl | None:
    """Whose furl it is; None for a stranger's or a revoked one."""
    matches = HOST_FURLS.c.swissnum_hash == hash_of(swissnum)
    row = tx.first(select(HOST_FURLS).where(matches, HOST_FURLS.c.revoked_at.is_(None)))
    return None if row is None else HostFurl(*row)


def revoke(tx: WriteTx, signup_id: SignupId, generation: Generation) -> None:
    """The host is retired: its furl reaches nothing any more."""
    tx.run(
        update(HOST_FURLS)
        .where(
            HOST_FURLS.c.signup_id == signup_id,
            HOST_FURLS.c.generation == generation,
            HOST_FURLS.c.revoked_at.is_(None),
        )
        .values(revoked_at=tx.now)
    )
