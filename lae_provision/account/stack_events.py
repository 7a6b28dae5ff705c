"""What a stack's events say: how far it is, and why it failed.  Pure."""

from __future__ import annotations

import re
from datetime import datetime

from attrs import define

#: What CloudFormation says of things that failed only because another one did.
_FOLLOWS = re.compile(
    r"(creation|update) cancelled|operation cancelled|"
    r"the following resource\(s\) failed",
    re.IGNORECASE,
)
_TAKEN = (
    "something of this name was made before, by hand or by an earlier deployment:"
    " delete it or choose another name, then apply again"
)
_ADVICE = (
    (
        re.compile(r"already ?(exist|own)", re.IGNORECASE),
        _TAKEN,
    ),
    (
        re.compile(r"LimitExceeded|quota|maximum number|limit", re.IGNORECASE),
        "ask AWS for more (Service Quotas), then apply again",
    ),
    (
        re.compile(r"not authori[sz]ed|AccessDenied|access denied", re.IGNORECASE),
        "these keys lack that permission: grant it, then apply again",
    ),
    (
        re.compile(r"throttl|rate exceeded|internal (error|failure)", re.IGNORECASE),
        "AWS was busy: apply again",
    ),
)


@define(frozen=True)
class StackEvent:
    """One event.  *thing* is the name in the template; *token* is of the call that the
    event follows from.
    """

    event_id: str
    at: datetime
    thing: str
    type: str
    status: str
    reason: str = ""
    token: str = ""

    @property
    def is_of_the_stack(self) -> bool:
        """Whether the event is about the stack as a whole."""
        return self.type == "AWS::CloudFormation::Stack"


@define(frozen=True)
class FailureCause:
    """Why an operation failed: one thing's failure, and what to do."""

    thing: str
    type: str
    reason: str
    advice: str = ""

    @property
    def text(self) -> str:
        """The cause in a line or two."""
        kind = self.type.removeprefix("AWS::").replace("::", " ")
        line = f"{self.thing} ({kind}): {self.reason or 'AWS does not say why'}"
        return f"{line}\n  {self.advice}" if self.advice else line


def causes_of(events: tuple[StackEvent, ...]) -> tuple[FailureCause, ...]:
    """Find the failures that others followed from, the first first."""
    failed = [
        e
        for e in sorted(events, key=lambda e: e.at)
        if e.status.endswith("_FAILED")
        and not e.is_of_the_stack
        and not _FOLLOWS.search(e.reason)
    ]
    first = {(e.thing, e.reason): e for e in reversed(failed)}
    unique = sorted(first.values(), key=lambda e: e.at)
    return tuple(
        FailureCause(e.thing, e.type, e.reason, _advise(e.reason)) for e in unique
    )


def tell(event: StackEvent) -> str | None:
    """Tell an event in a line; None for one that a person need not see."""
    if event.is_of_the_stack or event.status.endswith("_IN_PROGRESS"):
        return None
    kind = event.type.removeprefix("AWS::").replace("::", " ")
    status = event.status.lower().replace("_", " ")
    reason = f": {event.reason}" if event.status.endswith("_FAILED") else ""
    return f"  {event.thing} ({kind}): {status}{reason}"


def _advise(reason: str) -> str:
    return next((said for pattern, said in _ADVICE if pattern.search(reason)), "")
