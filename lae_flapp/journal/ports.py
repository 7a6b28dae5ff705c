"""Ports, where hosts share a machine's name (the local cloud): allotted for life."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import (
    ForeignKey,
    Integer,
    String,
    Table,
    UniqueConstraint,
    delete,
    insert,
    select,
)

from lae_flapp.journal.columns import METADATA, Kept, column, signup_column
from lae_flapp.journal.errors import NoPortLeft
from lae_flapp.journal.transaction import ReadTx, WriteTx
from lae_protocol.ids import SignupId

PORTS = Table(
    "ports",
    METADATA,
    column(
        "cell",
        String(40),
        ForeignKey("cells.name"),
        purpose="whose range",
        primary_key=True,
    ),
    column(
        "port",
        Integer,
        purpose="the number",
        kept=Kept.HOLDING,
        primary_key=True,
        autoincrement=False,
    ),
    signup_column(),
    column("purpose", String(24), purpose="introducer or storage"),
    UniqueConstraint("signup_id", "purpose"),
)


def allot(
    tx: WriteTx, signup_id: SignupId, cell: str, span: range, purposes: Sequence[str]
) -> dict[str, int]:
    """One port of *span* for each purpose; a signup keeps those it has.

    Raises :class:`NoPortLeft`, and then allots none.
    """
    allotted = of(tx, signup_id)
    missing = [purpose for purpose in purposes if purpose not in allotted]
    query = select(PORTS.c.port).where(PORTS.c.cell == cell)
    taken = {row.port for row in tx.all(query)}
    left = (port for port in span if port not in taken)
    fresh = dict(zip(missing, left, strict=False))
    if len(fresh) < len(missing):
        raise NoPortLeft(f"all ports from {span.start} to {span.stop - 1} are taken")
    for purpose, port in fresh.items():
        row = {"cell": cell, "port": port, "signup_id": signup_id, "purpose": purpose}
        tx.run(insert(PORTS).values(**row))
    return allotted | fresh


def keep(tx: WriteTx, signup_id: SignupId, cell: str, known: dict[str, int]) -> None:
    """Take in the ports that a grid has already; raises :class:`NoPortLeft`."""
    for purpose, port in known.items():
        here = (PORTS.c.cell == cell, PORTS.c.port == port)
        if tx.first(select(PORTS.c.port).where(*here)) is not None:
            raise NoPortLeft(f"port {port} is another signup's by now")
        row = {"cell": cell, "port": port, "signup_id": signup_id, "purpose": purpose}
        tx.run(insert(PORTS).values(**row))


def of(tx: ReadTx, signup_id: SignupId) -> dict[str, int]:
    """The signup's ports by purpose."""
    query = select(PORTS.c.purpose, PORTS.c.port).where(PORTS.c.signup_id == signup_id)
    return {row.purpose: row.port for row in tx.all(query)}


def free(tx: WriteTx, signup_id: SignupId) -> None:
    """Give them back."""
    tx.run(delete(PORTS).where(PORTS.c.signup_id == signup_id))
