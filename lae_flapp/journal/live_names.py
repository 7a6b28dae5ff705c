"""Which furls of hosts and operators are good for something, known without a look-up.

A Tub has to say at once whether it knows a name, on the reactor's thread, where no
journal may be read.  So the hashes of all live names are in memory: read when the
journal is opened, and changed with each commit that gives a furl or ends one.
"""

from __future__ import annotations

from sqlalchemy import select

from lae_flapp.journal.hosts import CLAIMABLE, HOSTS, RETIRED
from lae_flapp.journal.operators import OPERATORS
from lae_flapp.journal.transaction import ReadTx


def read(tx: ReadTx) -> set[str]:
    """Find the hashes of every live furl's name."""
    queries = (
        select(HOSTS.c.bootstrap_hash).where(HOSTS.c.state.in_(sorted(CLAIMABLE))),
        select(HOSTS.c.furl_hash).where(HOSTS.c.state.not_in(sorted(RETIRED))),
        select(OPERATORS.c.swissnum_hash).where(OPERATORS.c.revoked_at.is_(None)),
    )
    found = {row[0] for query in queries for row in tx.all(query)}
    return found - {None}
