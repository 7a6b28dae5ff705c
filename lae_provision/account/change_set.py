"""What the rows of a change set mean, and which of them nobody does by accident.  Pure.

CloudFormation replaces a thing whenever a property says so, and an operator sees one
word among forty rows.  A thing that holds what cannot be made again (a bucket, a key, a
volume), or that customers depend on (the network, the zone, the daemon's machine), is
replaced or given up only where its name was said.
"""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from enum import Enum
from typing import Literal

from attrs import define

Action = Literal["Add", "Modify", "Remove", "Import", "Dynamic", "SyncWithActual"]
Replacement = Literal["True", "False", "Conditional"]

#: What an operator calls a thing of each type; types without a name here lose nothing
#: when they are made anew.
PRECIOUS = {
    "AWS::EC2::EIP": "the daemon's public address",
    "AWS::EC2::Instance": "the daemon's machine",
    "AWS::EC2::Subnet": "the subnet that hosts are in",
    "AWS::EC2::VPC": "the network that hosts are in",
    "AWS::EC2::Volume": "the volume with the journal",
    "AWS::ECR::Repository": "a repository with images",
    "AWS::KMS::Key": "a key, without which what it sealed cannot be read",
    "AWS::Logs::LogGroup": "the logs",
    "AWS::Route53::HostedZone": "the zone that names are delegated to",
    "AWS::S3::Bucket": "a bucket with data",
}


@define(frozen=True)
class Row:
    """One row of a change set, as CloudFormation tells it.

    *replacement* is None but for a ``Modify``; *policy* says what becomes of the former
    thing (``Retain``, ``Delete``, ``Snapshot`` and so on; "" where it is not told).
    *touches* are the properties that change.
    """

    action: Action
    thing: str
    type: str
    physical: str = ""
    replacement: Replacement | None = None
    policy: str = ""
    touches: tuple[str, ...] = ()


class Fate(Enum):
    """What becomes of a thing."""

    MADE = "made"
    TAKEN_IN = "taken in, as it is"
    CHANGED = "changed"
    PERHAPS_REPLACED = "changed, and replaced if AWS cannot do it otherwise"
    REPLACED = "replaced"
    LEFT = "left as it is, and no longer looked after"
    DELETED = "deleted"


_SIGNS = {
    Fate.MADE: "+",
    Fate.TAKEN_IN: "+",
    Fate.CHANGED: "~",
    Fate.PERHAPS_REPLACED: "!",
    Fate.REPLACED: "!",
    Fate.LEFT: "!",
    Fate.DELETED: "!",
}
#: What takes something away, or may.
GRAVE = frozenset({Fate.PERHAPS_REPLACED, Fate.REPLACED, Fate.LEFT, Fate.DELETED})
_RETAINED = frozenset({"Retain", "ReplaceAndRetain", "RetainExceptOnCreate"})


@define(frozen=True)
class Change:
    """A row and its fate."""

    row: Row
    fate: Fate

    @property
    def is_refused_unsaid(self) -> bool:
        """Whether an operator must name the thing before this is done."""
        return self.fate in GRAVE and self.row.type in PRECIOUS


@define(frozen=True)
class Judged:
    """All changes; *refused* are those whose thing must be named and was not."""

    changes: tuple[Change, ...]
    refused: tuple[Change, ...]


_MODIFIED: dict[Replacement | None, Fate] = {
    "False": Fate.CHANGED,
    "Conditional": Fate.PERHAPS_REPLACED,
    "True": Fate.REPLACED,
    None: Fate.PERHAPS_REPLACED,
}
_OTHERS: dict[Action, Fate] = {
    "Add": Fate.MADE,
    "Import": Fate.TAKEN_IN,
    "SyncWithActual": Fate.TAKEN_IN,
    "Dynamic": Fate.PERHAPS_REPLACED,
}


def fate_of(row: Row) -> Fate:
    """Decide what becomes of the row's thing; what is not known counts as grave."""
    if row.action == "Remove":
        return Fate.LEFT if row.policy in _RETAINED else Fate.DELETED
    if row.action == "Modify":
        return _MODIFIED.get(row.replacement, Fate.PERHAPS_REPLACED)
    return _OTHERS.get(row.action, Fate.PERHAPS_REPLACED)


def judge(rows: tuple[Row, ...], said: AbstractSet[str]) -> Judged:
    """Judge a whole change set; *said* are the things that an operator named."""
    changes = tuple(Change(row, fate_of(row)) for row in rows)
    refused = (c for c in changes if c.is_refused_unsaid and c.row.thing not in said)
    return Judged(changes, tuple(refused))


def tell(change: Change) -> str:
    """Tell one change in a line of plain English."""
    row, fate = change.row, change.fate
    named = f" {row.physical}" if row.physical else ""
    kind = row.type.removeprefix("AWS::").replace("::", " ")
    line = f"{_SIGNS[fate]} {row.thing} ({kind}{named}): {fate.value}"
    if fate in (Fate.CHANGED, Fate.PERHAPS_REPLACED) and row.touches:
        line += f" ({', '.join(row.touches)})"
    if fate is Fate.REPLACED and row.policy:
        kept = row.policy in _RETAINED
        line += "; the former one stays" if kept else "; the former one is deleted"
    if change.is_refused_unsaid:
        line += f".  It is {PRECIOUS[row.type]}"
    return line
