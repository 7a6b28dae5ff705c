"""Bootstrap furls: one per launch, known by the hash of its swissnum, bound to the
first key that claims over it, dead at its end or when the host is ready.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from attrs import define, field
from sqlalchemy import (
    ColumnElement,
    Integer,
    LargeBinary,
    String,
    Table,
    insert,
    select,
    update,
)

from lae_flapp.journal.columns import METADATA, Moment, column, signup_column
from lae_flapp.journal.errors import AlreadySealed
from lae_flapp.journal.secrets import hash_of
from lae_flapp.journal.transaction import ReadTx, WriteTx
from lae_protocol.ids import Generation, SignupId
from lae_protocol.secret import Secret

#: Of a claim: bound now; the same key again (same answer); another key (tell an
#: operator, quarantine); too late.
ClaimOutcome = Literal["bound", "repeated", "another-key", "dead"]

BOOTSTRAPS = Table(
    "bootstraps",
    METADATA,
    signup_column(primary_key=True),
    column("generation", Integer, purpose="of the host", primary_key=True),
    column("swissnum_hash", String(64), purpose="recognises the furl", unique=True),
    column("issued_at", Moment, purpose="when it was made"),
    column("expires_at", Moment, purpose="dead from here on"),
    column("public_key", LargeBinary, purpose="who claimed", nullable=True),
    column("instance_id", String(64), purpose="from which instance", nullable=True),
    column("claimed_at", Moment, purpose="when it was bound", nullable=True),
    column("dead_at", Moment, purpose="when it was killed", nullable=True),
)


@define(frozen=True)
class Bootstrap:
    """A row; *public_key* and *instance_id* are of the first claim."""

    signup_id: SignupId
    generation: Generation
    swissnum_hash: str = field(repr=False)
    issued_at: datetime
    expires_at: datetime
    public_key: bytes | None
    instance_id: str | None
    claimed_at: datetime | None
    dead_at: datetime | None


def issue(
    tx: WriteTx,
    signup_id: SignupId,
    generation: Generation,
    swissnum: Secret,
    expires_at: datetime,
) -> None:
    """Make the launch's furl known; the same again changes nothing.

    Raises :class:`AlreadySealed` where this launch has another swissnum.
    """
    known = find(tx, signup_id, generation)
    if known is None:
        tx.run(
            insert(BOOTSTRAPS).values(
                signup_id=signup_id,
                generation=generation,
                swissnum_hash=hash_of(swissnum),
                issued_at=tx.now,
                expires_at=expires_at,
            )
        )
    elif known.swissnum_hash != hash_of(swissnum):
        raise AlreadySealed(f"launch {generation} of {signup_id} has another furl")


def by_swissnum(tx: ReadTx, swissnum: Secret) -> Bootstrap | None:
    """Whose furl it is, dead or alive; None for a stranger's."""
    matches = BOOTSTRAPS.c.swissnum_hash == hash_of(swissnum)
    row = tx.first(select(BOOTSTRAPS).where(matches))
    return None if row is None else Bootstrap(*row)


def find(tx: ReadTx, signup_id: SignupId, generation: Generation) -> Bootstrap | None:
    """The launch's row, if there is one."""
    row = tx.first(select(BOOTSTRAPS).where(*_here(signup_id, generation)))
    return None if row is None else Bootstrap(*row)


def claim(
    tx: WriteTx,
    signup_id: SignupId,
    generation: Generation,
    public_key: bytes,
    instance_id: str,
) -> ClaimOutcome:
    """Bind the furl to the first key and instance that claim over it, or compare."""
    known = find(tx, signup_id, generation)
    if known is None or known.dead_at is not None or tx.now >= known.expires_at:
        return "dead"
    if known.public_key is None:
        values = {
            "public_key": public_key,
            "instance_id": instance_id,
            "claimed_at": tx.now,
        }
        here = _here(signup_id, generation)
        tx.run(update(BOOTSTRAPS).where(*here).values(**values))
        return "bound"
    same = (known.public_key, known.instance_id) == (public_key, instance_id)
    return "repeated" if same else "another-key"


def kill(tx: WriteTx, signup_id: SignupId, generation: Generation) -> None:
    """Nobody claims over it any more; keeps the first time."""
    here = (*_here(signup_id, generation), BOOTSTRAPS.c.dead_at.is_(None))
    tx.run(update(BOOTSTRAPS).where(*here).values(dead_at=tx.now))


def _here(
    signup_id: SignupId, generation: Generation
) -> tuple[ColumnElement[bool], ...]:
    return (
        BOOTSTRAPS.c.signup_id == signup_id,
        BOOTSTRAPS.c.generation == generation,
    )
