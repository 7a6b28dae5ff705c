"""Where hosts are built; configuration has a list of cells, today of one."""

from __future__ import annotations

from attrs import asdict, define
from sqlalchemy import String, Table, insert, select

from lae_flapp.journal.columns import METADATA, Kept, column
from lae_flapp.journal.errors import CellChanged
from lae_flapp.journal.transaction import ReadTx, WriteTx
from lae_flapp.settings import DaemonSettings

CELLS = Table(
    "cells",
    METADATA,
    column("name", String(40), purpose="Cell", kept=Kept.JOURNAL, primary_key=True),
    column("deployment", String(40), purpose="Cell", kept=Kept.JOURNAL),
    column("account", String(40), purpose="Cell", kept=Kept.JOURNAL),
    column("region", String(40), purpose="Cell", kept=Kept.JOURNAL),
    column("zone", String(40), purpose="Cell", kept=Kept.JOURNAL),
    column("dns_zone", String(255), purpose="Cell", kept=Kept.JOURNAL),
)


@define(frozen=True)
class Cell:
    """An account, a region, a zone and a DNS zone of a deployment; quotas are
    counted per cell.  *name* is what the configuration calls it.
    """

    name: str
    deployment: str
    account: str
    region: str
    zone: str
    dns_zone: str


def cell_of(settings: DaemonSettings) -> Cell:
    """The cell of a deployment, which today is one."""
    (cell,) = settings.cells
    return Cell(
        name=cell.name,
        deployment=settings.deployment,
        account=settings.aws.account,
        region=settings.aws.region,
        zone=cell.zone,
        dns_zone=cell.dns_zone,
    )


def put(tx: WriteTx, cell: Cell) -> None:
    """Make it known; raises :class:`CellChanged` if the name has other fields."""
    row = tx.first(select(CELLS).where(CELLS.c.name == cell.name))
    if row is None:
        tx.run(insert(CELLS).values(**asdict(cell)))
    elif Cell(*row) != cell:
        raise CellChanged(f"cell {cell.name!r} was known with other fields")


def every(tx: ReadTx) -> tuple[Cell, ...]:
    """All cells that were ever used."""
    return tuple(Cell(*row) for row in tx.all(select(CELLS).order_by(CELLS.c.name)))
