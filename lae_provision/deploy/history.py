"""The history of a host's deployments: one JSON object per line, append-only."""

from __future__ import annotations

import json
from datetime import datetime

import cattrs
from attrs import define

from lae_provision.deploy import layout
from lae_provision.deploy.intent import Intent, Kind, Order, ReleaseId
from lae_provision.deploy.remote import Remote

VERSION = 1

# An incomplete line of an earlier crash is ended first; on a full disk ours is removed.
_APPEND = """set -eu
umask 022
touch "$1"
[ -z "$(tail -c 1 "$1")" ] || echo >> "$1"
size=$(stat -c %s "$1")
cat > "$1.line"
if ! cat "$1.line" >> "$1"; then truncate -s "$size" "$1"; exit 1; fi
rm -f "$1.line"
sync "$1"
"""


@define(frozen=True)
class Entry:
    """One deployment and its outcome: ``done``, ``given-up``, ``rolled-back`` or
    ``stuck``.  *number* counts the orders; a stuck one may end later.
    """

    number: int
    kind: Kind
    release: ReleaseId
    previous: ReleaseId | None
    commit: str
    who: str
    began: datetime
    ended: datetime
    outcome: str
    why: str | None = None
    untested: str | None = None

    @classmethod
    def of(
        cls, intent: Intent, ended: datetime, outcome: str, why: str | None
    ) -> Entry:
        """Make the entry for an intent with this outcome."""
        order: Order = intent.order
        return cls(
            order.number,
            order.kind,
            order.target,
            order.previous,
            order.commit,
            order.who,
            order.began,
            ended,
            outcome,
            why,
            order.untested,
        )


def _converter() -> cattrs.Converter:
    made = cattrs.Converter()
    made.register_unstructure_hook(datetime, lambda at: at.isoformat())
    made.register_structure_hook(datetime, lambda at, _: datetime.fromisoformat(at))
    return made


_CONVERTER = _converter()


def as_json(entry: Entry) -> dict[str, object]:
    """Convert an entry to JSON, for programs."""
    told: dict[str, object] = _CONVERTER.unstructure(entry)
    return told


def append(remote: Remote, entry: Entry) -> None:
    """Append an entry, durably."""
    line = json.dumps({"version": VERSION, **as_json(entry)}).encode() + b"\n"
    remote.run(("sh", "-c", _APPEND, "append", layout.HISTORY), data=line)


def read(remote: Remote) -> list[Entry]:
    """Read the history, oldest first; a damaged line is skipped."""
    entries = []
    for line in (remote.read(layout.HISTORY) or b"").splitlines():
        try:
            told = json.loads(line)
            entries.append(_CONVERTER.structure(told, Entry))
        except (ValueError, cattrs.BaseValidationError):
            continue
    return entries
