"""Figures of the whole journal, for metrics and for what watches: one read of all."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from attrs import define
from sqlalchemy import ColumnElement, Table, func, select

from lae_flapp.journal import (
    capacity,
    cells,
    epoch,
    events,
    host_troubles,
    images,
    rollout_hosts,
    rollouts,
)
from lae_flapp.journal.contacts import CONTACTS
from lae_flapp.journal.effects import EFFECTS
from lae_flapp.journal.events import EVENTS, Event
from lae_flapp.journal.host_troubles import SAYS_PROBLEM, HostTrouble
from lae_flapp.journal.hosts import HOSTS, RESTORED
from lae_flapp.journal.images import ImageInUse
from lae_flapp.journal.inbox import INBOX
from lae_flapp.journal.outbox import OUTBOX
from lae_flapp.journal.rollouts import HostOutcome, RolloutRow
from lae_flapp.journal.sessions import SESSIONS
from lae_flapp.journal.signups import SIGNUPS, WITH_PAYMENT
from lae_flapp.journal.switches import SWITCHES
from lae_flapp.journal.transaction import ReadTx
from lae_flapp.journal.usage import read_report

#: A host reports each minute; one that has not for so long is silent.
SILENT = timedelta(minutes=15)
#: A refused mail needs somebody for so long; then it is in the outbox alone.
REFUSED_COUNTS = timedelta(days=7)
#: Of many that wait, so many are named.
_NAMED = 50


@define(frozen=True)
class Waiting:
    """How many wait, and since when the first of them does."""

    count: int
    oldest: datetime | None

    def age(self, now: datetime) -> float:
        """Seconds that the oldest waits; 0 where nothing does."""
        return 0.0 if self.oldest is None else (now - self.oldest).total_seconds()


@define(frozen=True)
class Customer:
    """A signup that something is wrong with, and since when."""

    signup_id: str
    since: datetime


@define(frozen=True)
class RefusedMail:
    """A mail that a server refused for good, to an address that is still the
    customer's.
    """

    number: int
    signup_id: str
    kind: str
    outcome: str


@define(frozen=True)
class FailingHost:
    """A served customer's host that says what it cannot do; *capped*: since its client
    met a bound.
    """

    signup_id: str
    problem: str
    capped: bool = False


@define(frozen=True)
class Figures:
    """All of them, at *now*.

    *unserved* are signups that are paid and have no storage yet, *late* those of them
    that wait longest; *refused* are mails, *failing* hosts that cannot serve;
    *lost* are served customers without a host that is ready; *troubled* are
    signups whose workers wait for something.  *used* is by cell and quota, *paused*
    says since when what is paused, *restored* how a backup was put in the journal's
    place last, *unwell* what is wrong with hosts by what they report.  *rollout* is the
    newest, with how many of its hosts are so; *images* are those that hosts run.
    """

    now: datetime
    signups: Mapping[str, int]
    unserved: Waiting
    inbox: Waiting
    outbox: Waiting
    effects: Waiting
    hosts: Mapping[str, int]
    silent: tuple[Customer, ...]
    lost: tuple[Customer, ...]
    late: tuple[Customer, ...]
    refused: tuple[RefusedMail, ...]
    failing: tuple[FailingHost, ...]
    troubled: frozenset[str]
    used: Mapping[tuple[str, str], int]
    paused: Mapping[str, datetime]
    restored: Event | None = None
    unwell: tuple[HostTrouble, ...] = ()
    rollout: RolloutRow | None = None
    rollout_hosts: Mapping[HostOutcome, int] = {}
    images: tuple[ImageInUse, ...] = ()


def read(tx: ReadTx) -> Figures:
    """Count and look, in one transaction."""
    rollout = rollouts.newest_of_all(tx)
    return Figures(
        now=tx.now,
        signups=_by(tx, SIGNUPS, SIGNUPS.c.state),
        unserved=_unserved(tx),
        inbox=_waiting(tx, INBOX.c.received_at, INBOX.c.state == "waiting"),
        outbox=_waiting(tx, OUTBOX.c.queued_at, OUTBOX.c.state == "waiting"),
        effects=_waiting(tx, EFFECTS.c.begun_at, EFFECTS.c.state == "begun"),
        hosts=_by(tx, HOSTS, HOSTS.c.state),
        silent=_silent(tx),
        lost=_lost(tx),
        late=_late(tx),
        refused=_refused(tx),
        failing=_failing(tx),
        troubled=_troubled(tx),
        used=_used(tx),
        paused=_paused(tx),
        restored=events.newest_of(tx, RESTORED),
        unwell=host_troubles.of(tx),
        rollout=rollout,
        rollout_hosts={}
        if rollout is None
        else rollout_hosts.outcomes(tx, rollout.number),
        images=images.ages(tx),
    )


def last_moment(tx: ReadTx) -> datetime | None:
    """The latest time at which a daemon was alive; None for a journal never used."""
    newest = select(EVENTS.c.at).order_by(EVENTS.c.number.desc()).limit(1)
    moments = (epoch.last_beat(tx), tx.scalar(newest))
    return max((at for at in moments if at is not None), default=None)


def _by(tx: ReadTx, table: Table, what: ColumnElement[Any]) -> dict[str, int]:
    query = select(what.label("what"), func.count().label("many"))
    return {
        r.what: int(r.many) for r in tx.all(query.select_from(table).group_by(what))
    }


def _waiting(tx: ReadTx, since: Any, which: ColumnElement[bool]) -> Waiting:
    query = select(func.count().label("many"), func.min(since).label("oldest"))
    row = tx.first(query.where(which))
    return Waiting(int(row.many), row.oldest)


def _unserved(tx: ReadTx) -> Waiting:
    # What is given has no payment, and counts all the same.
    query = select(func.count(), func.min(SESSIONS.c.closed_at))
    paid = query.select_from(WITH_PAYMENT).where(SIGNUPS.c.state == "paid")
    count, oldest = tx.first(paid)
    return Waiting(int(count), oldest)


def _silent(tx: ReadTx) -> tuple[Customer, ...]:
    heard = func.coalesce(HOSTS.c.reported_at, HOSTS.c.changed_at)
    query = select(HOSTS.c.signup_id, heard.label("heard")).where(
        HOSTS.c.state == "ready", heard <= tx.now - SILENT
    )
    return tuple(Customer(*row) for row in tx.all(query))


def _lost(tx: ReadTx) -> tuple[Customer, ...]:
    ready = select(HOSTS.c.signup_id).where(HOSTS.c.state == "ready")
    query = select(SIGNUPS.c.signup_id, func.max(HOSTS.c.changed_at)).join(
        HOSTS, HOSTS.c.signup_id == SIGNUPS.c.signup_id
    )
    query = query.where(SIGNUPS.c.state == "active", SIGNUPS.c.signup_id.not_in(ready))
    return tuple(Customer(*row) for row in tx.all(query.group_by(SIGNUPS.c.signup_id)))


def _late(tx: ReadTx) -> tuple[Customer, ...]:
    paid_at = SESSIONS.c.closed_at
    query = select(SIGNUPS.c.signup_id, paid_at).select_from(WITH_PAYMENT)
    late = query.where(SIGNUPS.c.state == "paid", paid_at.is_not(None))
    return tuple(Customer(*r) for r in tx.all(late.order_by(paid_at).limit(_NAMED)))


def _refused(tx: ReadTx) -> tuple[RefusedMail, ...]:
    # Who has another address by now, or was written to weeks ago, needs nobody now.
    here = (
        OUTBOX.c.state == "refused",
        OUTBOX.c.settled_at > tx.now - REFUSED_COUNTS,
        CONTACTS.c.until.is_(None),
    )
    query = (
        select(OUTBOX.c.number, OUTBOX.c.signup_id, OUTBOX.c.kind, OUTBOX.c.outcome)
        .join(CONTACTS, CONTACTS.c.number == OUTBOX.c.contact)
        .where(*here)
        .order_by(OUTBOX.c.number)
        .limit(_NAMED)
    )
    return tuple(RefusedMail(*row) for row in tx.all(query))


def _failing(tx: ReadTx) -> tuple[FailingHost, ...]:
    query = select(HOSTS.c.signup_id, HOSTS.c.report).where(
        HOSTS.c.state == "ready", SAYS_PROBLEM
    )
    told = ((row.signup_id, read_report(row.report)) for row in tx.all(query))
    return tuple(
        FailingHost(whose, report.problem, report.capped)
        for whose, report in told
        if report is not None and report.problem
    )


def _troubled(tx: ReadTx) -> frozenset[str]:
    query = select(SIGNUPS.c.signup_id).where(SIGNUPS.c.problem.is_not(None))
    return frozenset(row.signup_id for row in tx.all(query))


def _paused(tx: ReadTx) -> dict[str, datetime]:
    query = select(SWITCHES.c.name, SWITCHES.c.paused_at)
    return {row.name: row.paused_at for row in tx.all(query)}


def _used(tx: ReadTx) -> dict[tuple[str, str], int]:
    return {
        (cell.name, quota): amount
        for cell in cells.every(tx)
        for quota, amount in capacity.used(tx, cell.name).items()
    }
