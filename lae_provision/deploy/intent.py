"""What a deployment wants, and how far it came: written before each step.

The host keeps one intent at most.  Whoever calls next finds it there and finishes or
undoes what was begun (:mod:`lae_provision.deploy.plan`).
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
    """What was done that cannot be seen on the host."""

    CHECKED = "checked"
    BACKED_UP = "backed-up"
    MIGRATED = "migrated"
    VERIFIED = "verified"


@define(frozen=True)
class Order:
    """Who wants what.  *previous* is what to go back to; a first release has none.

    *untested* is the reason that was given for a commit on which no tests passed.
    *open_before* says whether signups were open when it began; None: nobody knew.
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
    """On the way to the target."""

    order: Order
    proved: frozenset[Proved] = frozenset()

    @property
    def goal(self) -> ReleaseId:
        """What shall run."""
        return self.order.target

    def having(self, proved: Proved) -> Forward:
        """The same, one step on."""
        return evolve(self, proved=self.proved | {proved})


@define(frozen=True)
class Back:
    """The target had been switched to and failed: on the way back."""

    order: Order
    why: str
    goal: ReleaseId
    proved: frozenset[Proved] = frozenset()

    def having(self, proved: Proved) -> Back:
        """The same, one step on."""
        return evolve(self, proved=self.proved | {proved})


@define(frozen=True)
class GivenUp:
    """Nothing was switched yet: what was begun is removed."""

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
    """One JSON object, with its version."""
    (name,) = (n for n, kind in _KINDS.items() if isinstance(intent, kind))
    body = {"version": VERSION, "is": name, **_CONVERTER.unstructure(intent)}
    return json.dumps(body, indent=1).encode() + b"\n"


def load(data: bytes) -> Intent:
    """Read what :func:`dump` wrote; raises :class:`IntentUnreadable`."""
    try:
        body: dict[str, Any] = json.loads(data)
        if body.pop("version") != VERSION:
            raise IntentUnreadable("a newer lae deploy wrote it; use that one")
        read: Intent = _CONVERTER.structure(body, _KINDS[body.pop("is")])
    except (ValueError, KeyError, TypeError, cattrs.BaseValidationError) as e:
        raise IntentUnreadable(f"it is damaged ({type(e).__name__})") from None
    return read
