"""The door to CloudFormation, and what comes through it.

All calls may be repeated: a change set has one name for one content, and each operation
a token.  CloudFormation carries an operation out whether anybody watches or not, so who
comes back later waits for it, or finds what became of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, Protocol

from attrs import define

from lae_provision.account.change_set import Row
from lae_provision.account.drift import Drifted
from lae_provision.account.stack_events import StackEvent

Kind = Literal["CREATE", "UPDATE"]


@define(frozen=True)
class Stack:
    """A stack as it is."""

    stack_id: str
    status: str
    reason: str = ""
    parameters: Mapping[str, str] = {}
    outputs: Mapping[str, str] = {}


@define(frozen=True)
class ChangeSet:
    """A change set; *status* says whether it is made, *execution* whether it may be
    executed.
    """

    change_set_id: str
    status: str
    execution: str
    reason: str = ""
    rows: tuple[Row, ...] = ()

    @property
    def is_empty(self) -> bool:
        """Whether there was nothing to change: AWS calls that a failure."""
        told = self.reason.lower()
        return self.status == "FAILED" and (
            "didn't contain changes" in told or "no updates are to be performed" in told
        )


@define(frozen=True)
class Proposal:
    """A change set to make: its stack, its own name and its content."""

    stack: str
    name: str
    kind: Kind
    template: str
    parameters: Mapping[str, str]


class Stacks(Protocol):
    """CloudFormation, in one region."""

    async def find(self, name: str) -> Stack | None:
        """Find a stack by its name, or its id (then also one that is deleted)."""

    async def template(self, name: str) -> str:
        """The template that the stack has."""

    async def propose(self, proposal: Proposal, token: str) -> None:
        """Begin to make a change set; one of its name that is there is fine.

        An update's has in it what was changed by hand, too, and puts that right.
        """

    async def proposed(self, stack: str, name: str) -> ChangeSet | None:
        """Look at a change set."""

    async def carry_out(self, stack: str, name: str, token: str) -> None:
        """Execute a change set; one that is being executed already is fine."""

    async def withdraw(self, stack: str, name: str) -> None:
        """Delete a change set; one that is gone, or was executed, is fine."""

    async def undo_on(self, stack: str, token: str, without: tuple[str, ...]) -> None:
        """Go on undoing a change, giving up on the things *without*."""

    async def delete(self, stack: str, token: str) -> None:
        """Delete a stack; one that is gone is fine."""

    async def protect(self, stack: str) -> None:
        """Let nobody delete the stack who has not first said that they may."""

    async def events(self, stack: str, seen: str = "") -> tuple[StackEvent, ...]:
        """The events that are newer than the one with the id *seen*, oldest first."""

    async def newest_event(self, stack: str) -> str:
        """The id of the stack's newest event; "" where there is none."""

    async def begin_drift(self, stack: str) -> str:
        """Let CloudFormation compare all things with the template; returns an id."""

    async def drift_is_known(self, detection: str) -> bool:
        """Whether that comparison has ended; raises ``Refused`` if it failed."""

    async def drift(self, stack: str) -> tuple[Drifted, ...]:
        """The things that differ from the template, or are gone."""
