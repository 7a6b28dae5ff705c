"""The intent of a deployment, and how far it came: written before each step.

A host has one intent at most.  The next call finds it there, and finishes or undoes the
deployment (:mod:`lae_provision.deploy.plan`).
"""

from __future__ import annotations

import json
from datetime import datetime
from enum import StrEnum
from typing import Any, Literal, NewType, get_origin

import cattrs
from attrs import define, evolve

#: A release's version with its commit: ``VERSION+gCOMMIT``.  It names the folder.
ReleaseId = NewType("ReleaseId", str)

Kind = Literal["first", "release", "rollback"]
VERSION = 1


class Proved(StrEnum):
    """Steps that were done and cannot be seen on the host."""

    CHECKED = "checked"
    BACKED_UP = "backed-up"
    MIGRATED = "migrated"
    VERIFIED = "verified"


@define(frozen=True)
class Order:
    """What an operator ordered.  *previous* is the release to go back to, if any.

    *untested* is the reason given for a commit on which the tests have not passed.
    *open_before*: whether signups were open at the beginning; None if unknown.
    """

    number: int
    kind: Kind
    target: ReleaseId
    previous: ReleaseId | None
    who: str
    began: datetime
    commit: str
    untested: str | None = None
    open_before: bool | None = None


@define(frozen=True)
class Forward:
    """Deploying the target."""

    order: Order
    proved: frozenset[Proved] = frozenset()

    @property
    def goal(self) -> ReleaseId:
        """The release that shall run."""
        return self.order.target

    def having(self, proved: Proved) -> Forward:
        """Return the intent with one more step proved."""
        return evolve(self, proved=self.proved | {proved})


@define(frozen=True)
class Back:
    """Rolling back: the target failed after the switch to it."""

    order: Order
    why: str
    goal: ReleaseId
    proved: frozenset[Proved] = frozenset()

    def having(self, proved: Proved) -> Back:
        """Return the intent with one more step proved."""
        return evolve(self, proved=self.proved | {proved})


@define(frozen=True)
class GivenUp:
    """Given up before the switch: an incomplete release is removed."""

    order: Order
    why: str


Intent = Forward | Back | GivenUp

_KINDS: dict[str, type[Intent]] = {
    "forward": Forward,
    "back": Back,
    "given-up": GivenUp,
}


class IntentUnreadable(Exception):
    """The host's intent is not one that this release of ``lae deploy`` wrote."""


def _is_set(kind: Any) -> bool:
    return get_origin(kind) is frozenset


def _converter() -> cattrs.Converter:
    made = cattrs.Converter(forbid_extra_keys=True)
    made.register_unstructure_hook(datetime, lambda at: at.isoformat())
    made.register_structure_hook(datetime, lambda at, _: datetime.fromisoformat(at))
    made.register_unstructure_hook_func(_is_set, sorted)
    return made


_CONVERTER = _converter()


def dump(intent: Intent) -> bytes:
    """Encode an intent as one JSON object, with its version."""
    (name,) = (n for n, kind in _KINDS.items() if isinstance(intent, kind))
    body = {"version": VERSION, "is": name, **_CONVERTER.unstructure(intent)}
    return json.dumps(body, indent=1).encode() + b"\n"


def load(data: bytes) -> Intent:
    """Read what :func:`dump` wrote; raises :class:`IntentUnreadable`."""
    try:
        body: dict[str, Any] = json.loads(data)
        if body.pop("version") != VERSION:
            raise IntentUnreadable(
                "a newer lae deploy wrote this file; use that version"
            )
        read: Intent = _CONVERTER.structure(body, _KINDS[body.pop("is")])
    except (ValueError, KeyError, TypeError, cattrs.BaseValidationError) as e:
        raise IntentUnreadable(f"the file is damaged ({type(e).__name__})") from None
    return read
