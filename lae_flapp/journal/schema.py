"""All tables: importing this declares every one of them."""

from __future__ import annotations

from lae_flapp.journal import (
    bootstraps,
    capacity,
    causes,
    cells,
    contacts,
    effects,
    epoch,
    events,
    host_furls,
    hosts,
    identities,
    inbox,
    meta,
    operators,
    outbox,
    ports,
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
    identities.IDENTITIES,
    hosts.HOSTS,
    bootstraps.BOOTSTRAPS,
    host_furls.HOST_FURLS,
    ports.PORTS,
    capacity.HOLDINGS,
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
