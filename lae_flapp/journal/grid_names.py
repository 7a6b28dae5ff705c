"""Which grid's own name belongs to which signup: ``LABEL.ZONE``."""

from __future__ import annotations

from sqlalchemy import select

from lae_flapp.journal.cells import CELLS
from lae_flapp.journal.hosts import HOSTS
from lae_flapp.journal.signups import SIGNUPS
from lae_flapp.journal.transaction import ReadTx
from lae_protocol.ids import SignupId


def of_live_hosts(tx: ReadTx) -> dict[SignupId, tuple[str, str]]:
    """Find label and zone of every grid that has a host, or waits for one."""
    here = SIGNUPS.join(CELLS, SIGNUPS.c.cell == CELLS.c.name).join(
        HOSTS, HOSTS.c.signup_id == SIGNUPS.c.signup_id
    )
    query = select(SIGNUPS.c.signup_id, SIGNUPS.c.grid_label, CELLS.c.dns_zone)
    found = tx.all(query.select_from(here).where(HOSTS.c.state != "gone"))
    return {SignupId(row[0]): (str(row[1]), str(row[2])) for row in found}


def owner_of(tx: ReadTx, grid_label: str) -> SignupId | None:
    """Find whose label it is, whatever became of the signup."""
    query = select(SIGNUPS.c.signup_id).where(SIGNUPS.c.grid_label == grid_label)
    row = tx.first(query)
    return None if row is None else SignupId(row[0])
