"""CloudFormation in memory: stacks that go on by themselves while somebody watches."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Literal

from attrs import define, evolve, field

from lae_provision.account.change_set import Row
from lae_provision.account.drift import Drifted
from lae_provision.account.stack_events import StackEvent
from lae_provision.account.stacks import ChangeSet, Proposal, Stack
from lae_provision.errors import Refused

#: How an operation goes on: it works; it fails and is undone; undoing fails, too.
Outcome = Literal["works", "fails", "undoing fails"]
_BEGAN = datetime(2026, 11, 30, tzinfo=UTC)
_STACK = "AWS::CloudFormation::Stack"


@define
class _Held:
    """One stack: what it is, its change sets, and where its operation goes."""

    stack: Stack
    template: str = ""
    proposals: dict[str, tuple[Proposal, ChangeSet]] = field(factory=dict)
    events: list[StackEvent] = field(factory=list)
    #: Statuses to come, one a look.
    ahead: list[str] = field(factory=list)
    #: What the stack is once an operation has worked.
    wanted: Proposal | None = None


@define
class MemoryStacks:
    """See the module; like the real one, every call may be repeated.

    *rows* are what the next change set says; *outcomes* how the next operations go on
    (they work when none is left).  *unseen* looks show nothing of an operation yet.
    """

    rows: tuple[Row, ...] = (Row("Add", "StateBucket", "AWS::S3::Bucket"),)
    outcomes: list[Outcome] = field(factory=list)
    outputs: dict[str, str] = field(factory=dict)
    drifted: tuple[Drifted, ...] = ()
    unseen: int = 0
    executed: list[str] = field(factory=list)
    skipped: list[tuple[str, ...]] = field(factory=list)
    protected: set[str] = field(factory=set)
    _held: dict[str, _Held] = field(factory=dict)
    _tokens: set[str] = field(factory=set)
    _made: int = 0

    def at(self, name: str, status: str) -> None:
        """Somebody else left the stack in this state."""
        held = self._make(name)
        held.stack = evolve(held.stack, status=status)
        self._tell(held, name, _STACK, status)

    def goes_on(self, name: str, *statuses: str) -> None:
        """... and it goes on like this by itself."""
        self._named(name).ahead = list(statuses)

    def leftovers(self, name: str) -> list[str]:
        """The change sets that nobody executed."""
        held = self._held.get(name)
        held_there = {} if held is None else held.proposals
        return [n for n, (_, made) in held_there.items() if not _is_executed(made)]

    async def find(self, name: str) -> Stack | None:
        held = self._held.get(name) or self._by_id(name)
        if held is None:
            return None
        if held.ahead and self.unseen:
            self.unseen -= 1
        elif held.ahead:
            self._advance(held)
        if held.stack.status == "DELETE_COMPLETE" and name != held.stack.stack_id:
            return None
        return held.stack

    async def template(self, name: str) -> str:
        return self._named(name).template

    async def propose(self, proposal: Proposal, token: str) -> None:
        held = self._held.get(proposal.stack)
        if held is None or held.stack.status == "DELETE_COMPLETE":
            assert proposal.kind == "CREATE"
            held = self._make(proposal.stack)
            self._tell(held, proposal.stack, _STACK, "REVIEW_IN_PROGRESS")
        if proposal.name in held.proposals:
            return
        same = (
            held.template == proposal.template
            and held.stack.parameters == proposal.parameters
            and not self.drifted
        )
        made = ChangeSet(proposal.name, "CREATE_COMPLETE", "AVAILABLE", "", self.rows)
        if same:
            reason = "The submitted information didn't contain changes."
            made = ChangeSet(proposal.name, "FAILED", "UNAVAILABLE", reason)
        held.proposals[proposal.name] = (proposal, made)

    async def proposed(self, stack: str, name: str) -> ChangeSet | None:
        held = self._held.get(stack)
        found = None if held is None else held.proposals.get(name)
        return None if found is None else found[1]

    async def carry_out(self, stack: str, name: str, token: str) -> None:
        held = self._named(stack)
        if name not in held.proposals:
            raise Refused("ChangeSetNotFound", name)
        proposal, made = held.proposals[name]
        if made.execution != "AVAILABLE":
            return
        # One that was executed stays to be looked at, and cannot be deleted.
        executed = evolve(made, execution="EXECUTE_COMPLETE")
        held.proposals = {
            n: kept for n, kept in held.proposals.items() if _is_executed(kept[1])
        }
        held.proposals[name] = (proposal, executed)
        self.executed.append(name)
        held.wanted = proposal
        self._begin(held, proposal.kind)

    async def withdraw(self, stack: str, name: str) -> None:
        held = self._held.get(stack)
        found = None if held is None else held.proposals.get(name)
        if held is not None and found is not None and not _is_executed(found[1]):
            del held.proposals[name]

    async def undo_on(self, stack: str, token: str, without: tuple[str, ...]) -> None:
        if token in self._tokens:
            return
        self._tokens.add(token)
        self.skipped.append(without)
        held = self._named(stack)
        outcome = self.outcomes.pop(0) if self.outcomes else "works"
        last = "COMPLETE" if outcome == "works" else "FAILED"
        held.ahead = ["UPDATE_ROLLBACK_IN_PROGRESS", f"UPDATE_ROLLBACK_{last}"]

    async def delete(self, stack: str, token: str) -> None:
        held = self._held.get(stack) or self._by_id(stack)
        if held is None or held.stack.status == "DELETE_COMPLETE":
            return
        held.ahead = ["DELETE_IN_PROGRESS", "DELETE_COMPLETE"]

    async def protect(self, stack: str) -> None:
        self.protected.add(stack)

    async def events(self, stack: str, seen: str = "") -> tuple[StackEvent, ...]:
        found = list(self._named(stack).events)
        ids = [event.event_id for event in found]
        return tuple(found[ids.index(seen) + 1 :] if seen in ids else found)

    async def newest_event(self, stack: str) -> str:
        events = self._named(stack).events
        return events[-1].event_id if events else ""

    async def begin_drift(self, stack: str) -> str:
        return self._named(stack).stack.stack_id

    async def drift_is_known(self, detection: str) -> bool:
        return True

    async def drift(self, stack: str) -> tuple[Drifted, ...]:
        return self.drifted

    def _make(self, name: str) -> _Held:
        self._made += 1
        stack = Stack(f"arn:{name}/{self._made}", "REVIEW_IN_PROGRESS")
        self._held[name] = made = _Held(stack)
        return made

    def _by_id(self, stack_id: str) -> _Held | None:
        held = self._held.values()
        return next((h for h in held if h.stack.stack_id == stack_id), None)

    def _named(self, name: str) -> _Held:
        held = self._held.get(name) or self._by_id(name)
        if held is None:
            raise Refused("ValidationError", f"Stack with id {name} does not exist")
        return held

    def _begin(self, held: _Held, kind: str) -> None:
        outcome = self.outcomes.pop(0) if self.outcomes else "works"
        undo = "ROLLBACK" if kind == "CREATE" else "UPDATE_ROLLBACK"
        ends = {
            "works": [f"{kind}_COMPLETE"],
            "fails": [f"{undo}_IN_PROGRESS", f"{undo}_COMPLETE"],
            "undoing fails": [f"{undo}_IN_PROGRESS", f"{undo}_FAILED"],
        }
        held.ahead = [f"{kind}_IN_PROGRESS", *ends[outcome]]

    def _advance(self, held: _Held) -> None:
        status = held.ahead.pop(0)
        held.stack = evolve(held.stack, status=status)
        if status in ("ROLLBACK_IN_PROGRESS", "UPDATE_ROLLBACK_IN_PROGRESS"):
            reason = "s4-state already exists"
            self._tell(held, "StateBucket", "AWS::S3::Bucket", "CREATE_FAILED", reason)
            reason = "Resource creation cancelled"
            self._tell(held, "Boundary", "AWS::IAM::Policy", "CREATE_FAILED", reason)
        if status in ("CREATE_COMPLETE", "UPDATE_COMPLETE") and held.wanted:
            held.template = held.wanted.template
            held.stack = evolve(
                held.stack, parameters=held.wanted.parameters, outputs=self.outputs
            )
            self.drifted = ()
        self._tell(held, "stack", _STACK, status)

    def _tell(
        self, held: _Held, thing: str, kind: str, status: str, reason: str = ""
    ) -> None:
        number = len(held.events)
        at = _BEGAN + timedelta(seconds=number)
        held.events.append(
            StackEvent(
                f"{held.stack.stack_id}:{number}", at, thing, kind, status, reason
            )
        )


def _is_executed(made: ChangeSet) -> bool:
    return made.execution == "EXECUTE_COMPLETE"
