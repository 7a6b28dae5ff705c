"""Failures of the API on demand.

Each fault waits for requests that match it, spoils as many as it was asked to, and is
gone.  ``…-after-effect`` lets the request do its work first: what a client sees when
Stripe's answer is lost.
"""

from __future__ import annotations

import fnmatch
from typing import Any, Literal, get_args

from attrs import define, field

from lae_localcloud.stripe.errors import ApiError

FaultKind = Literal[
    "rate-limit",  # 429, no effect
    "error",  # 500, no effect
    "error-kept",  # 500, no effect, but kept for the idempotency key
    "error-after-effect",  # 500 (kept for the key as well), and it happened
    "silence",  # no answer ever, no effect
    "silence-after-effect",  # no answer ever, and it happened
    "reset",  # the connection is closed, no effect
    "reset-after-effect",  # the connection is closed, and it happened
]


@define
class Fault:
    """*method* and *path* are patterns (``POST``, ``/v1/checkout/sessions*``)."""

    kind: FaultKind
    method: str = "*"
    path: str = "*"
    times: int = 1

    @property
    def at_the_door(self) -> bool:
        """Whether the request is turned away before it begins."""
        return not self.after_effect and self.kind != "error-kept"

    @property
    def after_effect(self) -> bool:
        """Whether the request does its work."""
        return self.kind.endswith("-after-effect")

    @property
    def outcome(self) -> str:
        """``rate-limit``, ``error``, ``silence`` or ``reset``."""
        return self.kind.removesuffix("-after-effect").removesuffix("-kept")


def fault_of(given: dict[str, Any]) -> Fault:
    """Read one from JSON; raises :class:`ApiError`."""
    if given.get("kind") not in get_args(FaultKind):
        raise ApiError(f"kind must be one of {', '.join(get_args(FaultKind))}")
    try:
        return Fault(**given)
    except TypeError as e:
        raise ApiError(str(e)) from None


@define
class Faults:
    """The faults that wait, oldest first."""

    waiting: list[Fault] = field(factory=list)

    def take(self, method: str, path: str) -> Fault | None:
        """The fault for this request, if there is one."""
        for fault in self.waiting:
            if fnmatch.fnmatchcase(method, fault.method) and fnmatch.fnmatchcase(
                path, fault.path
            ):
                fault.times -= 1
                if fault.times <= 0:
                    self.waiting.remove(fault)
                return fault
        return None
