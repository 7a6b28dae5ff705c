"""What goes, and when.  Each :class:`.columns.Kept` is kept true here."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import delete, select, update

from lae_flapp.journal import capacity, events, switches
from lae_flapp.journal.bootstraps import BOOTSTRAPS
from lae_flapp.journal.capacity import HOLDINGS
from lae_flapp.journal.contacts import CONTACTS
from lae_flapp.journal.effects import EFFECTS
from lae_flapp.journal.gifts import GIFTS
from lae_flapp.journal.host_furls import HOST_FURLS
from lae_flapp.journal.hosts import HOSTS
from lae_flapp.journal.identities import IDENTITIES
from lae_flapp.journal.inbox import INBOX
from lae_flapp.journal.lifecycles import LIFECYCLES
from lae_flapp.journal.outbox import OUTBOX
from lae_flapp.journal.ports import PORTS
from lae_flapp.journal.sessions import SESSIONS
from lae_flapp.journal.signups import SIGNUPS
from lae_flapp.journal.transaction import WriteTx
from lae_flapp.journal.usage import USAGE
from lae_protocol.ids import SignupId

#: How long a registration that nobody paid stays, and what is settled.
MONTH = timedelta(days=30)

#: Everything that belongs to a signup, in an order that foreign keys allow.
_BELONGING = (
    OUTBOX,
    CONTACTS,
    SESSIONS,
    GIFTS,
    IDENTITIES,
    BOOTSTRAPS,
    HOST_FURLS,
    USAGE,
    HOSTS,
    PORTS,
    HOLDINGS,
    LIFECYCLES,
    EFFECTS,
    SIGNUPS,
)


def purge_unpaid(tx: WriteTx) -> tuple[SignupId, ...]:
    """Erase registrations that nobody paid for 30 days; whose they were.

    One with an open or a paid session, or with a host, is never touched: there may
    be money, or a machine, behind it.
    """
    busy = select(SESSIONS.c.signup_id).where(SESSIONS.c.state.in_(("open", "paid")))
    alive = select(HOSTS.c.signup_id).where(HOSTS.c.state != "gone")
    begun = select(EFFECTS.c.signup_id).where(EFFECTS.c.state == "begun")
    query = select(SIGNUPS.c.signup_id).where(
        SIGNUPS.c.paid_at.is_(None),
        SIGNUPS.c.state.in_(("registered", "expired", "cancelled")),
        SIGNUPS.c.created_at <= tx.now - MONTH,
        *(SIGNUPS.c.signup_id.not_in(some) for some in (busy, alive, begun)),
    )
    gone = tuple(SignupId(row.signup_id) for row in tx.all(query))
    _erase(tx, gone, "unpaid for 30 days")
    return gone


def purge_deleted(tx: WriteTx) -> tuple[SignupId, ...]:
    """Erase former customers 30 days after their data was deleted; whose they were.

    The receipt and the events stay, and name nobody.
    """
    waiting = select(OUTBOX.c.signup_id).where(OUTBOX.c.state == "waiting")
    begun = select(EFFECTS.c.signup_id).where(EFFECTS.c.state == "begun")
    query = select(SIGNUPS.c.signup_id).where(
        SIGNUPS.c.state == "deleted",
        SIGNUPS.c.changed_at <= tx.now - MONTH,
        *(SIGNUPS.c.signup_id.not_in(some) for some in (waiting, begun)),
    )
    gone = tuple(SignupId(row.signup_id) for row in tx.all(query))
    _erase(tx, gone, "30 days after the data was deleted")
    return gone


def _erase(tx: WriteTx, gone: tuple[SignupId, ...], why: str) -> None:
    for signup_id in gone:
        for table in _BELONGING:
            tx.run(delete(table).where(table.c.signup_id == signup_id))
        events.note(tx, signup_id, "purged", "daemon", why)


def forget_settled(tx: WriteTx) -> int:
    """Drop raw events and rendered requests 30 days after they were settled; how
    many.  What they came to stays.
    """
    old = tx.now - MONTH
    raw = update(INBOX).where(INBOX.c.settled_at <= old, INBOX.c.payload.is_not(None))
    settled = (EFFECTS.c.state != "begun", EFFECTS.c.changed_at <= old)
    rendered = update(EFFECTS).where(*settled, EFFECTS.c.request.is_not(None))
    return tx.run(raw.values(payload=None)) + tx.run(rendered.values(request=None))


def sweep(tx: WriteTx) -> None:
    """All of it; once a day is often enough.  Nobody's row goes while an operator has
    paused deletions.
    """
    capacity.release_lapsed(tx)
    forget_settled(tx)
    if switches.paused(tx, "deletions") is None:
        purge_unpaid(tx)
        purge_deleted(tx)
