"""What needs an operator now, each with its page and the commands to begin with."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime

from lae_flapp.journal.causes import Cause
from lae_flapp.signs.standing import kind_of
from lae_protocol.looking_messages import Need

#: More would not be read; the worst and oldest come first.
MOST = 200


def now(
    lasting: Iterable[Cause], standing: Mapping[tuple[str, str], str]
) -> tuple[Need, ...]:
    """All causes, those that wake somebody first, and of them the oldest.

    *lasting* are the journal's; *standing* those of the last look, of which a full disk
    keeps some from the journal.  Pure.
    """
    journaled = {(c.kind, c.subject): c for c in lasting}
    found = [_need(c.kind, c.subject, c.what, c.begun_at) for c in journaled.values()]
    found += [
        _need(kind, subject, what, None)
        for (kind, subject), what in standing.items()
        if (kind, subject) not in journaled
    ]
    return tuple(sorted(found, key=_order)[:MOST])


def _need(kind: str, subject: str, what: str, since: datetime | None) -> Need:
    known = kind_of(kind)
    return Need(
        kind=kind,
        subject=subject,
        what=what,
        since=since,
        severity=known.severity,
        page=known.page,
        commands=known.commands_for(subject),
    )


def _order(need: Need) -> tuple[bool, bool, str, str]:
    since = "" if need.since is None else need.since.isoformat()
    return need.severity != "page", need.since is not None, since, need.subject
