"""Node identities, sealed: the journal never holds one in clear."""

from __future__ import annotations

from datetime import datetime

from attrs import define, field
from sqlalchemy import (
    Integer,
    LargeBinary,
    String,
    Table,
    Text,
    case,
    cast,
    delete,
    func,
    insert,
    select,
    update,
)

from lae_flapp.journal.columns import METADATA, Moment, column, signup_column
from lae_flapp.journal.errors import AlreadySealed, Unknown
from lae_flapp.journal.transaction import ReadTx, WriteTx
from lae_protocol.ids import Generation, SignupId

IDENTITIES = Table(
    "identities",
    METADATA,
    signup_column(primary_key=True),
    column("generation", Integer, purpose="of the identity", primary_key=True),
    column("key_id", String(255), purpose="of the key that sealed it"),
    column("vault_key", String(255), purpose="the object's name in the state bucket"),
    column("sealed", LargeBinary, purpose="the identity, sealed"),
    column("made_at", Moment, purpose="when it was sealed"),
    column("vaulted_at", Moment, purpose="since when it is off this machine",
           nullable=True),
    column("recovered", LargeBinary,
           purpose="the same under the journal's key, once the recovery key opened it",
           nullable=True),
)  # fmt: skip


@define(frozen=True)
class Identity:
    """A row.  Nobody is shown the furl before *vaulted_at* is set."""

    signup_id: SignupId
    generation: Generation
    key_id: str
    vault_key: str
    sealed: bytes = field(repr=False)
    made_at: datetime
    vaulted_at: datetime | None
    recovered: bytes | None = field(repr=False, default=None)


def put(
    tx: WriteTx,
    signup_id: SignupId,
    generation: Generation,
    sealed: bytes,
    *,
    key_id: str,
    vault_key: str,
) -> Identity:
    """Keep a sealed identity; the same bytes again change nothing.

    Raises :class:`AlreadySealed` for other bytes of this generation.
    """
    known = find(tx, signup_id, generation)
    if known is None:
        tx.run(
            insert(IDENTITIES).values(
                signup_id=signup_id,
                generation=generation,
                key_id=key_id,
                vault_key=vault_key,
                sealed=sealed,
                made_at=tx.now,
            )
        )
    elif known.sealed != sealed:
        raise AlreadySealed(f"identity {generation} of {signup_id} exists")
    return get(tx, signup_id, generation)


def vaulted(tx: WriteTx, signup_id: SignupId, generation: Generation) -> Identity:
    """It is in the state bucket; keeps the first time.  Raises :class:`Unknown`."""
    known = get(tx, signup_id, generation)
    if known.vaulted_at is None:
        tx.run(
            update(IDENTITIES)
            .where(
                IDENTITIES.c.signup_id == signup_id,
                IDENTITIES.c.generation == generation,
            )
            .values(vaulted_at=tx.now)
        )
    return get(tx, signup_id, generation)


def recovered(tx: WriteTx, row: Identity, sealed: bytes) -> None:
    """The recovery key opened it: from now on it is opened with the journal's key."""
    here = (
        IDENTITIES.c.signup_id == row.signup_id,
        IDENTITIES.c.generation == row.generation,
    )
    tx.run(update(IDENTITIES).where(*here).values(recovered=sealed))


def find(tx: ReadTx, signup_id: SignupId, generation: Generation) -> Identity | None:
    """The row, if there is one."""
    row = tx.first(
        select(IDENTITIES).where(
            IDENTITIES.c.signup_id == signup_id, IDENTITIES.c.generation == generation
        )
    )
    return None if row is None else Identity(*row)


def get(tx: ReadTx, signup_id: SignupId, generation: Generation) -> Identity:
    """The row; raises :class:`Unknown`."""
    found = find(tx, signup_id, generation)
    if found is None:
        raise Unknown(f"no identity {generation} of {signup_id}")
    return found


def by_key(tx: ReadTx) -> dict[str, int]:
    """How many are sealed under each key, by its id, and cannot be opened without."""
    text = cast(IDENTITIES.c.sealed, Text)
    # The column `key_id` says where the id is: in the document.
    key_id = case((func.json_valid(text), func.json_extract(text, "$.key_id")))
    query = select(key_id.label("key_id"), func.count().label("many"))
    query = query.where(IDENTITIES.c.recovered.is_(None), key_id.is_not(None))
    return {str(r.key_id): int(r.many) for r in tx.all(query.group_by(key_id))}


def erase(tx: WriteTx, signup_id: SignupId) -> None:
    """Forget the sealed keys: there is no data that they would lead to."""
    tx.run(delete(IDENTITIES).where(IDENTITIES.c.signup_id == signup_id))


def latest(tx: ReadTx, signup_id: SignupId) -> Identity | None:
    """The newest generation's, if there is one."""
    query = select(IDENTITIES).where(IDENTITIES.c.signup_id == signup_id)
    row = tx.first(query.order_by(IDENTITIES.c.generation.desc()))
    return None if row is None else Identity(*row)
