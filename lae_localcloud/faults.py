"""Faults on demand: what shall go wrong, for which calls, how often.

One book serves the AWS front, the S3 front and the mail server; tests and people
write into it through the control endpoint (:mod:`lae_localcloud.control`).
"""

from __future__ import annotations

from typing import Any, Literal, get_args

from attrs import asdict, define, field
from attrs.validators import ge, in_
from twisted.internet.defer import Deferred

FaultKind = Literal[
    # Any service.
    "lost-reply",  # done, then the connection is cut
    "lost-call",  # not done; the connection is cut
    "doubled",  # done twice; the second answer is given
    "error-before",  # not done; *status* and *code*
    "error-after",  # done, then *status* and *code*
    "throttle",  # not done; the service's own word for "too fast"
    "delay",  # waits *seconds*, then does it
    "delay-after",  # does it, then waits *seconds* before answering
    "hold",  # waits until released, then does it
    # S3 alone.
    "cut-body",  # a GET's body ends after *bytes* bytes
]


@define(frozen=True)
class Fault:
    """One thing to go wrong.

    *service* is ``ec2``, ``iam``, ``s3``, ``smtp``…; *action* its name there
    (``RunInstances``, ``PutObject``, ``DATA``) or ``*``.  *contains* must stand in the
    request's subject: bucket/key for S3, the parameters for others.
    """

    service: str
    action: str
    kind: FaultKind = field(validator=in_(get_args(FaultKind)))
    times: int = field(default=1, validator=ge(1))
    contains: str = ""
    status: int = 500
    code: str = "InternalError"
    seconds: float = field(default=1.0, validator=ge(0))
    bytes: int = field(default=0, validator=ge(0))

    def strikes(self, service: str, action: str, subject: str) -> bool:
        """Tell whether it is meant for this call."""
        return (
            self.service == service
            and self.action in ("*", action)
            and self.contains in subject
        )


@define
class _Entry:
    fault: Fault
    struck: int = 0
    held: list[Deferred[None]] = field(factory=list)


@define(frozen=True)
class Struck:
    """A fault that struck, and its number in the book."""

    number: int
    fault: Fault


class FaultBook:
    """All faults that are still to come, in the order they were written."""

    def __init__(self) -> None:
        self._entries: dict[int, _Entry] = {}
        self._last = 0

    def add(self, fault: Fault) -> int:
        """Write one in; its number."""
        self._last += 1
        self._entries[self._last] = _Entry(fault)
        return self._last

    def take(self, service: str, action: str, subject: str) -> Struck | None:
        """The first fault for this call, used up by one; None where all is well."""
        for number, entry in self._entries.items():
            fault = entry.fault
            if entry.struck < fault.times and fault.strikes(service, action, subject):
                entry.struck += 1
                return Struck(number, fault)
        return None

    def held(self, number: int) -> Deferred[None]:
        """Fires when the fault of this number is released (or taken out)."""
        waiting: Deferred[None] = Deferred()
        self._entries[number].held.append(waiting)
        return waiting

    def release(self, number: int) -> int:
        """Let go whom this fault holds; how many they were."""
        entry = self._entries.get(number)
        if entry is None:
            return 0
        held, entry.held = entry.held, []
        for waiting in held:
            if not waiting.called:
                waiting.callback(None)
        return len(held)

    def remove(self, number: int) -> bool:
        """Take a fault out; whom it holds goes on."""
        self.release(number)
        return self._entries.pop(number, None) is not None

    def clear(self) -> None:
        """Take all out."""
        for number in list(self._entries):
            self.remove(number)

    def listing(self) -> list[dict[str, Any]]:
        """All of them, with how often each struck and how many calls it holds."""
        return [
            {
                "number": number,
                **asdict(entry.fault),
                "struck": entry.struck,
                "holding": sum(not w.called for w in entry.held),
            }
            for number, entry in self._entries.items()
        ]
