"""Customers' hosts: a row for each generation, one live one per signup at most.

A host has two furls, each known by the hash of its swissnum.  Over the *bootstrap* furl
of its launch it claims its identity: the first key that does is bound to it, and the
furl is dead from its end on, or as soon as the host is ready or on its way out.  Its
*own* furl reaches that one row, until the host is retired.
"""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from datetime import datetime
from typing import Any, Literal

from attrs import define, field
from sqlalchemy import (
    CheckConstraint,
    Index,
    Integer,
    LargeBinary,
    String,
    Table,
    Text,
    Update,
    func,
    insert,
    select,
    update,
)

from lae_flapp.journal import epoch, events
from lae_flapp.journal.columns import (
    METADATA,
    Moment,
    Word,
    column,
    only_one,
    signup_column,
    words,
)
from lae_flapp.journal.errors import (
    AlreadySealed,
    ForbiddenMove,
    HostStillLive,
    StateChanged,
    Unknown,
)
from lae_flapp.journal.secrets import hash_of
from lae_flapp.journal.transaction import ReadTx, WriteTx
from lae_protocol.ids import Generation, SignupId
from lae_protocol.secret import Secret

HostState = Literal[
    "wanted",  # a generation was given; nothing is launched for certain
    "launched",  # the cloud named an instance
    "claimed",  # it has its identity
    "ready",  # a write and a read proved it
    "quarantined",  # something about its claim is wrong; an operator looks
    "retiring",  # to be unmade
    "gone",  # unmade, or never made
]

#: Which states may follow which; every live one may be retired.
MOVES: dict[HostState, frozenset[HostState]] = {
    "wanted": frozenset({"launched", "quarantined", "retiring", "gone"}),
    "launched": frozenset({"claimed", "quarantined", "retiring", "gone"}),
    "claimed": frozenset({"ready", "quarantined", "retiring", "gone"}),
    "ready": frozenset({"quarantined", "retiring", "gone"}),
    "quarantined": frozenset({"retiring", "gone"}),
    "retiring": frozenset({"gone"}),
    "gone": frozenset(),
}

#: A bootstrap furl is good for these alone.
CLAIMABLE: frozenset[HostState] = frozenset({"wanted", "launched", "claimed"})
#: Their own furls are dead.
RETIRED: frozenset[HostState] = frozenset({"retiring", "gone"})

#: Of a claim: bound now; the same key again (same answer); another key (tell an
#: operator, quarantine); too late.
ClaimOutcome = Literal["bound", "repeated", "another-key", "dead"]

HOSTS = Table(
    "hosts",
    METADATA,
    signup_column(primary_key=True),
    column("generation", Integer, purpose="grows with each host", primary_key=True),
    column("state", Word(HostState), purpose="what is true of it now"),
    column("wanted_at", Moment, purpose="when the generation began"),
    column("changed_at", Moment, purpose="when the state changed"),
    column("instance_id", String(64), purpose="the cloud's name", nullable=True),
    column("address", String(64), purpose="where its name points", nullable=True),
    column("launch_time", Moment, purpose="when the cloud began it", nullable=True),
    column("image", Text, purpose="what it runs; kept in the registry", nullable=True),
    column("reported_at", Moment, purpose="when it last spoke", nullable=True),
    column("report", Text, purpose="what it said last", nullable=True),
    column(
        "bootstrap_hash",
        String(64),
        purpose="recognises the bootstrap furl",
        nullable=True,
        unique=True,
    ),
    column("bootstrap_until", Moment, purpose="the furl's end", nullable=True),
    column("public_key", LargeBinary, purpose="who claimed", nullable=True),
    column(
        "furl_hash",
        String(64),
        purpose="recognises its own furl",
        nullable=True,
        unique=True,
    ),
    column(
        "furl_sealed",
        LargeBinary,
        purpose="its own furl, sealed: a repeated claim gets it",
        nullable=True,
    ),
    only_one("uq_hosts_live", "signup_id", where="state != 'gone'"),
    Index("ix_hosts_instance_id", "instance_id"),
    CheckConstraint(
        "(bootstrap_hash IS NULL) = (bootstrap_until IS NULL)", "bootstrap_has_an_end"
    ),
    CheckConstraint("(furl_hash IS NULL) = (furl_sealed IS NULL)", "furl_is_sealed"),
)


@define(frozen=True)
class HostRow:
    """A row; *report* is the last report as :mod:`lae_protocol.wire` wrote it."""

    signup_id: SignupId
    generation: Generation
    state: HostState
    wanted_at: datetime
    changed_at: datetime
    instance_id: str | None
    address: str | None
    launch_time: datetime | None
    image: str | None
    reported_at: datetime | None
    report: str | None
    bootstrap_hash: str | None = field(repr=False)
    bootstrap_until: datetime | None
    public_key: bytes | None
    furl_hash: str | None = field(repr=False)
    furl_sealed: bytes | None = field(repr=False)

    def is_claimable(self, now: datetime) -> bool:
        """Whether its bootstrap furl is good for anything."""
        until = self.bootstrap_until
        return self.state in CLAIMABLE and until is not None and now < until


#: The kind of event that tells of a restored backup; what it says begins with the epoch
#: that followed, from which generations go on.
RESTORED = "journal-restored"
#: So many generations for each number: replacements until the next restore.
RESTORED_STEP = 100


def newest(tx: ReadTx, signup_id: SignupId) -> int:
    """Tell the highest generation that was ever given; 0 before the first."""
    query = select(func.max(HOSTS.c.generation)).where(HOSTS.c.signup_id == signup_id)
    return int(tx.scalar(query) or 0)


def next_generation(tx: ReadTx, signup_id: SignupId) -> Generation:
    """Tell the generation of the next host: above every one that may ever have been,
    also by a daemon whose journal an older backup has replaced.
    """
    return Generation(max(newest(tx, signup_id), _floor_of_restored(tx)) + 1)


def _floor_of_restored(tx: ReadTx) -> int:
    restored = events.newest_of(tx, RESTORED)
    if restored is None:
        return 0
    number, _, _ = (restored.why or "").partition(":")
    # An older release's `lae journal restore` wrote the backup's name alone.
    known = int(number) if number.isdecimal() else epoch.current(tx)
    return known * RESTORED_STEP


def take_in(
    tx: WriteTx,
    signup_id: SignupId,
    generation: Generation,
    instance_id: str,
    launch_time: datetime,
    *,
    retiring: bool = False,
) -> None:
    """Give a host its row that only the cloud knows; an older one is gone.

    It can prove nothing to this journal, so the routine replaces it.
    """
    alive = live(tx, signup_id)
    if alive is not None:
        move(tx, signup_id, alive.generation, {alive.state}, "gone")
    tx.run(
        insert(HOSTS).values(
            signup_id=signup_id,
            generation=generation,
            state="retiring" if retiring else "launched",
            wanted_at=tx.now,
            changed_at=tx.now,
            instance_id=instance_id,
            launch_time=launch_time,
        )
    )
    tx.touched.signups.add(signup_id)


def begin(tx: WriteTx, signup_id: SignupId) -> HostRow:
    """Give the next generation.

    Raises :class:`HostStillLive` until the last is gone.
    """
    alive = live(tx, signup_id)
    if alive is not None:
        raise HostStillLive(f"host {alive.generation} of {signup_id} is {alive.state}")
    generation = next_generation(tx, signup_id)
    tx.run(
        insert(HOSTS).values(
            signup_id=signup_id,
            generation=generation,
            state="wanted",
            wanted_at=tx.now,
            changed_at=tx.now,
        )
    )
    return get(tx, signup_id, generation)


def launched(
    tx: WriteTx,
    signup_id: SignupId,
    generation: Generation,
    instance_id: str,
    launch_time: datetime,
) -> HostRow:
    """The cloud named the instance; the same again changes nothing."""
    known = get(tx, signup_id, generation)
    if known.instance_id == instance_id:
        return known
    values = {"instance_id": instance_id, "launch_time": launch_time}
    return move(tx, signup_id, generation, {"wanted"}, "launched", **values)


def move(
    tx: WriteTx,
    signup_id: SignupId,
    generation: Generation,
    frm: AbstractSet[HostState],
    to: HostState,
    **values: Any,
) -> HostRow:
    """Compare and set the state (with other columns' *values*); the row then.

    Raises :class:`StateChanged`, :class:`Unknown` and :class:`ForbiddenMove`.
    """
    astray = [state for state in frm if to not in MOVES[state]]
    if astray:
        raise ForbiddenMove(f"from {words(astray)} no host becomes {to}")
    statement = at(signup_id, generation).where(HOSTS.c.state.in_(sorted(frm)))
    if not tx.run(statement.values(state=to, changed_at=tx.now, **values)):
        actual = get(tx, signup_id, generation).state
        raise StateChanged(f"host {generation} of {signup_id}", actual)
    tx.touched.signups.add(signup_id)
    return _note_names(tx, get(tx, signup_id, generation))


def issue_bootstrap(
    tx: WriteTx,
    signup_id: SignupId,
    generation: Generation,
    swissnum: Secret,
    until: datetime,
) -> None:
    """Make the launch's furl known; the same again changes nothing.

    Raises :class:`AlreadySealed` where this launch has another swissnum.
    """
    known, hashed = get(tx, signup_id, generation), hash_of(swissnum)
    if known.bootstrap_hash is None:
        values = {"bootstrap_hash": hashed, "bootstrap_until": until}
        tx.run(at(signup_id, generation).values(**values))
        _note_names(tx, get(tx, signup_id, generation))
    elif known.bootstrap_hash != hashed:
        raise AlreadySealed(f"launch {generation} of {signup_id} has another furl")


def by_bootstrap(tx: ReadTx, swissnum: Secret) -> HostRow | None:
    """Whose bootstrap furl it is, dead or alive; None for a stranger's."""
    row = tx.first(select(HOSTS).where(HOSTS.c.bootstrap_hash == hash_of(swissnum)))
    return None if row is None else HostRow(*row)


def claim(
    tx: WriteTx, signup_id: SignupId, generation: Generation, public_key: bytes
) -> ClaimOutcome:
    """Bind the bootstrap furl to the first key that claims over it, or compare."""
    known = find(tx, signup_id, generation)
    if known is None or not known.is_claimable(tx.now):
        return "dead"
    if known.public_key is None:
        tx.run(at(signup_id, generation).values(public_key=public_key))
        return "bound"
    return "repeated" if known.public_key == public_key else "another-key"


def issue_furl(
    tx: WriteTx,
    signup_id: SignupId,
    generation: Generation,
    swissnum: Secret,
    sealed: bytes,
) -> HostRow:
    """Give a host its own furl; where it has one, that one stays.  The row then."""
    unknown = at(signup_id, generation).where(HOSTS.c.furl_hash.is_(None))
    tx.run(unknown.values(furl_hash=hash_of(swissnum), furl_sealed=sealed))
    return _note_names(tx, get(tx, signup_id, generation))


def by_furl(tx: ReadTx, swissnum: Secret) -> HostRow | None:
    """Whose own furl it is; None for a stranger's, or of a host that is retired."""
    row = tx.first(select(HOSTS).where(HOSTS.c.furl_hash == hash_of(swissnum)))
    return None if row is None or row.state in RETIRED else HostRow(*row)


def set_address(
    tx: WriteTx, signup_id: SignupId, generation: Generation, address: str | None
) -> None:
    """Say where its name leads now; None: not to this host, for all that is known."""
    tx.run(at(signup_id, generation).values(address=address))
    tx.touched.signups.add(signup_id)


def reported(
    tx: WriteTx, signup_id: SignupId, generation: Generation, report: str
) -> None:
    """It spoke."""
    values = {"report": report, "reported_at": tx.now}
    tx.run(at(signup_id, generation).values(**values))


def find(tx: ReadTx, signup_id: SignupId, generation: Generation) -> HostRow | None:
    """The row, if there is one."""
    here = (HOSTS.c.signup_id == signup_id, HOSTS.c.generation == generation)
    row = tx.first(select(HOSTS).where(*here))
    return None if row is None else HostRow(*row)


def get(tx: ReadTx, signup_id: SignupId, generation: Generation) -> HostRow:
    """The row; raises :class:`Unknown`."""
    found = find(tx, signup_id, generation)
    if found is None:
        raise Unknown(f"no host {generation} of {signup_id}")
    return found


def live(tx: ReadTx, signup_id: SignupId) -> HostRow | None:
    """The one that is not gone, if there is one."""
    query = select(HOSTS).where(HOSTS.c.signup_id == signup_id)
    row = tx.first(query.where(HOSTS.c.state != "gone"))
    return None if row is None else HostRow(*row)


def last_report(tx: ReadTx, signup_id: SignupId) -> str | None:
    """What the newest host that ever spoke said last."""
    query = select(HOSTS.c.report).where(
        HOSTS.c.signup_id == signup_id, HOSTS.c.report.is_not(None)
    )
    row = tx.first(query.order_by(HOSTS.c.generation.desc()))
    return None if row is None else str(row.report)


def all_live(tx: ReadTx) -> tuple[HostRow, ...]:
    """Every host that is not gone: what a sweeper compares with the cloud."""
    query = select(HOSTS).where(HOSTS.c.state != "gone")
    ordered = query.order_by(HOSTS.c.signup_id)
    return tuple(HostRow(*row) for row in tx.all(ordered))


def _note_names(tx: WriteTx, host: HostRow) -> HostRow:
    """Have the Tub know after the commit which of this host's furls are alive."""
    if host.bootstrap_hash is not None:
        tx.touched.names[host.bootstrap_hash] = host.state in CLAIMABLE
    if host.furl_hash is not None:
        tx.touched.names[host.furl_hash] = host.state not in RETIRED
    return host


def at(signup_id: SignupId, generation: Generation) -> Update:
    """Begin to change one host's row."""
    return update(HOSTS).where(
        HOSTS.c.signup_id == signup_id, HOSTS.c.generation == generation
    )
