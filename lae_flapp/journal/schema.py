"""All tables: importing this declares every one of them."""

from __future__ import annotations

from lae_flapp.journal import (
    causes,
    cells,
    contacts,
    effects,
    epoch,
    events,
    gifts,
    host_troubles,
    hosts,
    identities,
    inbox,
    lifecycles,
    meta,
    operators,
    outbox,
    ports,
    receipts,
    rollouts,
    sessions,
    signups,
    switches,
    usage,
)
from lae_flapp.journal.columns import METADATA

TABLES = (
    meta.META,
    epoch.EPOCH,
    cells.CELLS,
    signups.SIGNUPS,
    contacts.CONTACTS,
    sessions.SESSIONS,
    gifts.GIFTS,
    lifecycles.LIFECYCLES,
    receipts.RECEIPTS,
    identities.IDENTITIES,
    hosts.HOSTS,
    host_troubles.HOST_TROUBLES,
    rollouts.ROLLOUTS,
    rollouts.ROLLOUT_HOSTS,
    ports.PORTS,
    effects.EFFECTS,
    events.EVENTS,
    inbox.INBOX,
    outbox.OUTBOX,
    operators.OPERATORS,
    switches.SWITCHES,
    usage.USAGE,
    causes.CAUSES,
)

__all__ = ["METADATA", "TABLES"]
