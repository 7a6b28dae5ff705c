"""A zone as Route 53 has it, and the same as a name server's file.  Pure."""

from __future__ import annotations

import re

from attrs import define

#: Of a zone at Route 53: an absent name is remembered so long, which is why a
#: deployment has a wildcard record.
NEGATIVE_TTL = 900  # s
#: Names that Route 53 takes, an asterisk as the first label included.
_NAME = re.compile(r"(\*\.)?([a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?\.)+", re.ASCII)
_WORD = re.compile(r"[ -~]+", re.ASCII)


class NotServed(Exception):
    """A record that cannot stand in a zone's file; the text says why."""


@define(frozen=True, order=True)
class Record:
    """All values that a name has of one type; *name* is absolute (``a.b.``)."""

    name: str
    type: str
    ttl: int
    values: tuple[str, ...]


@define(frozen=True)
class Zone:
    """A hosted zone at one moment."""

    name: str
    records: tuple[Record, ...]


def write_zone(zone: Zone, serial: int) -> str:
    """Write its file: what Route 53 says of itself is in it too.

    Raises :class:`NotServed` for what would be another record than the one meant.
    """
    server = f"ns.{_checked(zone.name)}"
    own = (
        f"{NEGATIVE_TTL} IN SOA {server} hostmaster.{zone.name}"
        f" {serial} 7200 900 1209600 86400"
    )
    lines = [f"{zone.name} {own}", f"{zone.name} {NEGATIVE_TTL} IN NS {server}"]
    for record in sorted(zone.records):
        if record.type in {"SOA", "NS"} and record.name == zone.name:
            continue
        for value in record.values:
            if not _WORD.fullmatch(value):
                raise NotServed(f"a value of {record.name!r} is not a line of text")
            name = _checked(record.name)
            lines.append(f"{name} {record.ttl} IN {record.type} {value}")
    return "\n".join(lines) + "\n"


def _checked(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise NotServed(f"{name!r} is no name")
    return name
