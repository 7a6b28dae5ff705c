"""What is wrong with customers' hosts, as far as their reports show it.

A row stands for as long as the host's reports have the trouble; those of a host that is
on its way out count no more.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime

from attrs import asdict, define
from sqlalchemy import Integer, String, Table, Text, delete, insert, select

from lae_flapp.journal.columns import METADATA, Moment, column, signup_column
from lae_flapp.journal.hosts import HOSTS, RETIRED, HostRow
from lae_flapp.journal.transaction import ReadTx, WriteTx
from lae_flapp.journal.usage import read_report
from lae_protocol.ids import SignupId

#: The host's reports tell what cannot be, and are refused.
IMPOSSIBLE = "impossible-report"

HOST_TROUBLES = Table(
    "host_troubles",
    METADATA,
    signup_column(primary_key=True),
    column("kind", String(40), purpose="what is wrong", primary_key=True),
    column("generation", Integer, purpose="which of the signup's hosts has it"),
    column("what", Text, purpose="a sentence for operators"),
    column("since", Moment, purpose="since when it lasts"),
)


#: Hosts that say what they cannot do: one that can do all has null there.
SAYS_PROBLEM = HOSTS.c.report.contains('"problem":"', autoescape=True)
#: Whose hosts do, and whose reports are refused.
SAYING_SO = select(HOSTS.c.signup_id).where(HOSTS.c.state == "ready", SAYS_PROBLEM)
REFUSED = select(HOST_TROUBLES.c.signup_id)


def problem_in(report: str) -> str | None:
    """What a host says that it cannot do, in the report that the journal keeps."""
    told = read_report(report)
    return None if told is None else told.problem


def words_for(tx: ReadTx, signup_ids: Collection[str]) -> dict[str, str]:
    """What is wrong with the hosts of these customers, in a sentence each."""
    mine = HOSTS.c.signup_id.in_(sorted(signup_ids))
    query = select(HOSTS.c.signup_id, HOSTS.c.report)
    says = query.where(mine, HOSTS.c.state == "ready", SAYS_PROBLEM)
    told = {row.signup_id: problem_in(row.report) for row in tx.all(says)}
    found = {whose: f"host: {what}" for whose, what in told.items() if what}
    refused = {one.signup_id: one.what for one in of(tx)}
    return found | {s: what for s, what in refused.items() if s in signup_ids}


@define(frozen=True)
class HostTrouble:
    """A row."""

    signup_id: SignupId
    kind: str
    generation: int
    what: str
    since: datetime


def note(
    tx: WriteTx, host: HostRow, found: Mapping[str, tuple[str, datetime]]
) -> tuple[str, ...]:
    """Of this host all that was *found* is wrong, and nothing else: kind by kind a
    sentence, and since when.  Which kinds are new.
    """
    here = HOST_TROUBLES.c.signup_id == host.signup_id
    before = {
        row.kind
        for row in tx.all(select(HOST_TROUBLES).where(here))
        if row.generation == host.generation
    }
    if before == set(found):
        return ()
    kept = HOST_TROUBLES.c.kind.in_(sorted(before & set(found)))
    tx.run(delete(HOST_TROUBLES).where(here, ~kept))
    fresh = tuple(kind for kind in found if kind not in before)
    for kind in fresh:
        what, since = found[kind]
        row = HostTrouble(host.signup_id, kind, host.generation, what, since)
        tx.run(insert(HOST_TROUBLES).values(**asdict(row)))
    return fresh


def of(tx: ReadTx, signup_id: SignupId | None = None) -> tuple[HostTrouble, ...]:
    """What is wrong with one customer's host, or with all hosts; oldest first."""
    query = select(HOST_TROUBLES).join(
        HOSTS,
        (HOSTS.c.signup_id == HOST_TROUBLES.c.signup_id)
        & (HOSTS.c.generation == HOST_TROUBLES.c.generation),
    )
    query = query.where(HOSTS.c.state.not_in(sorted(RETIRED)))
    if signup_id is not None:
        query = query.where(HOST_TROUBLES.c.signup_id == signup_id)
    ordered = query.order_by(HOST_TROUBLES.c.since, HOST_TROUBLES.c.kind)
    return tuple(HostTrouble(*row) for row in tx.all(ordered))
