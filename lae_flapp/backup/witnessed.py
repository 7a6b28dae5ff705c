"""What is written down about a backup while it is made and when it is tried out.

``reached.json`` says up to which event a life has surely shipped its journal; a record
of each drill says what came of it.  Both are told in clear: neither names a customer.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from attrs import define

from lae_flapp.backup.layout import Life, NotOurBackup, lives_prefix

_STAMP = "%Y%m%dT%H%M%SZ"
#: Of a drill that found everything as it should be.
SOUND = "sound"


@define(frozen=True)
class Reached:
    """The bucket had the event number *events* at *at*."""

    events: int
    at: datetime

    def to_json(self) -> bytes:
        """Write it as ``reached.json``."""
        return _json({"events": self.events, "at": self.at.isoformat()})

    @classmethod
    def from_json(cls, body: bytes) -> Reached:
        """Read it; raises :class:`NotOurBackup`."""
        said = _read(body, "reached.json")
        return cls(int(said["events"]), said["at"])


@define(frozen=True)
class Drill:
    """A restore that was tried: of *life* (empty where none was found) up to the event
    *events*; *outcome* is :data:`SOUND`, or the name of what was wrong.
    """

    at: datetime
    life: str
    events: int
    outcome: str

    def to_json(self) -> bytes:
        """Write it as a record."""
        said = {"life": self.life, "events": self.events, "outcome": self.outcome}
        return _json(said | {"at": self.at.isoformat()})

    @classmethod
    def from_json(cls, body: bytes) -> Drill:
        """Read it; raises :class:`NotOurBackup`."""
        said = _read(body, "the record of a drill")
        life, outcome = str(said.get("life", "")), str(said.get("outcome", ""))
        return cls(said["at"], life, int(said["events"]), outcome)


def reached_key(deployment: str, life: Life) -> str:
    """The key of ``reached.json``."""
    return f"{lives_prefix(deployment)}{life}/reached.json"


def drills_prefix(deployment: str) -> str:
    """The prefix of all records of drills; they sort by their time."""
    return f"{deployment}/drills/"


def drill_key(deployment: str, at: datetime) -> str:
    """The key of the record of one drill."""
    return f"{drills_prefix(deployment)}{at.astimezone(UTC):{_STAMP}}.json"


def _json(said: dict[str, Any]) -> bytes:
    return json.dumps(said, sort_keys=True).encode()


def _read(body: bytes, what: str) -> dict[str, Any]:
    try:
        said: dict[str, Any] = json.loads(body)
        said["at"] = datetime.fromisoformat(said["at"])
        int(said["events"])
    except (ValueError, KeyError, TypeError):
        raise NotOurBackup(f"{what} cannot be read") from None
    if said["at"].tzinfo is None:
        raise NotOurBackup(f"{what} has a time without its zone")
    return said
