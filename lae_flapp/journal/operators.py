"""Operators: one furl per person, known by the hash of its swissnum."""

from __future__ import annotations

from datetime import datetime

from attrs import define, field
from sqlalchemy import String, Table, insert, select, update

from lae_flapp.journal import events
from lae_flapp.journal.columns import METADATA, Kept, Moment, column
from lae_flapp.journal.errors import StateChanged, Unknown
from lae_flapp.journal.secrets import hash_of
from lae_flapp.journal.transaction import ReadTx, WriteTx
from lae_protocol.secret import Secret

#: Whose furl the daemon keeps in a file of its own, for who installs it.
FIRST = "first-operator"

OPERATORS = Table(
    "operators",
    METADATA,
    column(
        "name",
        String(40),
        purpose="stands in every event",
        kept=Kept.JOURNAL,
        primary_key=True,
    ),
    column(
        "swissnum_hash",
        String(64),
        purpose="recognises the furl",
        kept=Kept.JOURNAL,
        unique=True,
    ),
    column("added_at", Moment, purpose="when invited", kept=Kept.JOURNAL),
    column(
        "revoked_at", Moment, purpose="when ended", kept=Kept.JOURNAL, nullable=True
    ),
)


@define(frozen=True)
class Operator:
    """A row."""

    name: str
    swissnum_hash: str = field(repr=False)
    added_at: datetime
    revoked_at: datetime | None


def add(tx: WriteTx, name: str, swissnum: Secret, who: str) -> None:
    """Give a person a furl; the same again changes nothing.

    Raises :class:`StateChanged` where the name has another furl or is revoked.
    """
    row = tx.first(select(OPERATORS).where(OPERATORS.c.name == name))
    if row is None:
        values = {"swissnum_hash": hash_of(swissnum), "added_at": tx.now}
        tx.run(insert(OPERATORS).values(name=name, **values))
        tx.touched.names[hash_of(swissnum)] = True
        events.note(tx, None, "operator-added", who, name)
    elif row.swissnum_hash != hash_of(swissnum) or row.revoked_at is not None:
        state = "revoked" if row.revoked_at else "known by another furl"
        raise StateChanged(f"operator {name}", state)


def install(tx: WriteTx, name: str, swissnum: Secret, who: str) -> bool:
    """Let a person's furl be the one in the daemon's own folder.

    Where the journal came back without that file, the furl is another one now.
    Somebody revoked stays so: False, and nothing changes.
    """
    row = tx.first(select(OPERATORS).where(OPERATORS.c.name == name))
    if row is None:
        add(tx, name, swissnum, who)
    elif row.revoked_at is not None:
        return False
    elif row.swissnum_hash != hash_of(swissnum):
        _set_furl(tx, name, row.swissnum_hash, swissnum, who)
    return True


def renew(tx: WriteTx, name: str, swissnum: Secret, who: str) -> None:
    """Give a person another furl; the one before is nobody's from now on.

    The same again changes nothing.  Raises :class:`Unknown`, and :class:`StateChanged`
    for who is revoked.
    """
    row = tx.first(select(OPERATORS).where(OPERATORS.c.name == name))
    if row is None:
        raise Unknown(f"no operator {name}")
    if row.revoked_at is not None:
        raise StateChanged(f"operator {name}", "revoked")
    if row.swissnum_hash != hash_of(swissnum):
        _set_furl(tx, name, row.swissnum_hash, swissnum, who)


def _set_furl(tx: WriteTx, name: str, before: str, swissnum: Secret, who: str) -> None:
    now = hash_of(swissnum)
    here = OPERATORS.c.name == name
    tx.run(update(OPERATORS).where(here).values(swissnum_hash=now))
    tx.touched.names.update({before: False, now: True})
    events.note(tx, None, "operator-furl-renewed", who, name)


def by_swissnum(tx: ReadTx, swissnum: Secret) -> Operator | None:
    """Whose furl it is; None for a stranger's or a revoked one."""
    matches = OPERATORS.c.swissnum_hash == hash_of(swissnum)
    row = tx.first(select(OPERATORS).where(matches, OPERATORS.c.revoked_at.is_(None)))
    return None if row is None else Operator(*row)


def revoke(tx: WriteTx, name: str, who: str) -> None:
    """End a person's furl; raises :class:`Unknown`."""
    row = tx.first(select(OPERATORS).where(OPERATORS.c.name == name))
    if row is None:
        raise Unknown(f"no operator {name}")
    if row.revoked_at is None:
        here = OPERATORS.c.name == name
        tx.run(update(OPERATORS).where(here).values(revoked_at=tx.now))
        tx.touched.names[row.swissnum_hash] = False
        events.note(tx, None, "operator-revoked", who, name)


def every(tx: ReadTx) -> tuple[Operator, ...]:
    """All, revoked ones too."""
    query = select(OPERATORS).order_by(OPERATORS.c.name)
    return tuple(Operator(*row) for row in tx.all(query))
