"""Makes and changes the account's stack.

:meth:`Applying.apply`: (1) wait for what an interrupted run has left, and clear that
away; (2) propose a change set, under a name that follows from its content, so that a
second run finds the first one's; (3) judge it, and ask; (4) execute it; (5) wait,
telling what happens; (6) if it failed, say what and why.  The same call after any
interruption goes on from there: CloudFormation itself remembers everything.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from itertools import count
from random import Random
from typing import Any

from attrs import define, field
from twisted.internet.task import deferLater

from lae_provision.account import stack_events
from lae_provision.account.change_set import Change, Judged, judge
from lae_provision.account.stack_events import FailureCause, StackEvent, causes_of
from lae_provision.account.stack_states import (
    SUCCEEDED,
    ByHand,
    ChangeIt,
    ClearAway,
    MakeIt,
    UndoOn,
    Wait,
    next_move,
)
from lae_provision.account.stacks import ChangeSet, Kind, Proposal, Stack, Stacks
from lae_provision.errors import Refused, TryLater

#: A network, ten keys and buckets, and a machine take some minutes.
WITHIN = 3600.0  # s
LOOK_EVERY = 5.0  # s
#: The first look after a call comes this soon, each later one half as long again after.
FIRST_LOOK = 0.1  # s
GROWTH = 1.5
#: So often undoing is told to go on, before a person is asked.
UNDO_TRIES = 2
_BEING_MADE = frozenset({"CREATE_PENDING", "CREATE_IN_PROGRESS"})


class StackFailed(Refused):
    """The stack could not be made or changed; what was done has been undone."""

    def __init__(self, what: str, causes: tuple[FailureCause, ...]) -> None:
        self.causes = causes
        told = "\n".join(cause.text for cause in causes)
        super().__init__("StackFailed", f"{what}\n{told}".strip())


class Unsaid(Refused):
    """A change would take away something that was not named: name it, or do not."""

    def __init__(self, refused: tuple[Change, ...]) -> None:
        self.refused = refused
        names = ", ".join(change.row.thing for change in refused)
        super().__init__(
            "Unsaid",
            f"refused: this would replace or give up {names}; if that is meant, say"
            + "".join(f" --replace {change.row.thing}" for change in refused),
        )


class NeedsAPerson(Refused):
    """The stack is in a state that nobody but a person can end."""


@define(frozen=True)
class WantedStack:
    """The stack that shall be."""

    name: str
    template: str
    parameters: Mapping[str, str]

    def change_set(self, since: str) -> str:
        """The name of the change set with this content, for a stack whose newest event
        is *since*: once anything has happened to the stack it is another one.
        """
        content = json.dumps([self.template, sorted(self.parameters.items())])
        return _token("change", content, since)


@define(frozen=True)
class Applied:
    """How it ended: *changes* is empty where nothing had to be done."""

    stack: Stack
    changes: tuple[Change, ...]


@define
class Applying:
    """See the module.  *say* takes lines for a person; *replace* are things that may be
    taken away, and *skip* those on which undoing gives up.  With *looks* nothing is
    cleared away.
    """

    stacks: Stacks
    reactor: Any
    rng: Random
    say: Callable[[str], None]
    replace: AbstractSet[str] = frozenset()
    skip: tuple[str, ...] = ()
    looks: bool = False
    within: float = WITHIN
    _undone: int = field(default=0, init=False)

    async def apply(
        self, wanted: WantedStack, ask: Callable[[Judged], None]
    ) -> Applied:
        """See the module; *ask* raises where a person says no.

        Raises :class:`StackFailed`, :class:`Unsaid`, :class:`NeedsAPerson`.
        """
        deadline = self.reactor.seconds() + self.within
        stack = await self._settle(wanted.name, deadline)
        since = "" if stack is None else await self.stacks.newest_event(wanted.name)
        change_set = wanted.change_set(since)
        proposed = await self._propose(wanted, stack, change_set, deadline)
        if proposed.is_empty:
            await self.stacks.withdraw(wanted.name, change_set)
            assert stack is not None
            return Applied(stack, ())
        judged = judge(proposed.rows, self.replace)
        try:
            ask(judged)
            _raise_if_unsaid(judged)
        except Exception:
            await self._take_back(wanted.name, change_set)
            raise
        done = await self._carry_out(wanted.name, change_set, deadline)
        return Applied(done, judged.changes)

    async def _settle(self, name: str, deadline: float) -> Stack | None:
        """Wait and clear away until the stack can be changed; None until it is made."""
        while True:
            stack = await self.stacks.find(name)
            if stack is None:
                return None
            newest = await self.stacks.newest_event(stack.stack_id)
            began: str | None = stack.status
            match next_move(stack.status):
                case MakeIt():
                    return None
                case ChangeIt():
                    return stack
                case ByHand(advice):
                    raise NeedsAPerson("ByHand", f"{name} is {stack.status}: {advice}")
                case ClearAway() | UndoOn() if self.looks:
                    raise NeedsAPerson(
                        "NotAtRest", f"{name} is {stack.status}: apply puts that right"
                    )
                case Wait():
                    self.say(f"{name} is {stack.status}: waiting for that first")
                    began = None
                case ClearAway():
                    await self._clear_away(name, stack)
                case UndoOn():
                    await self._undo_on(name, stack, newest)
            await self._wait(stack.stack_id, newest, deadline, began=began)

    async def _clear_away(self, name: str, stack: Stack) -> None:
        """Delete the empty stack that a failed beginning has left."""
        for cause in causes_of(await self.stacks.events(stack.stack_id)):
            self.say(f"the last attempt failed: {cause.text}")
        self.say(f"{name} is {stack.status}: the empty stack is deleted first")
        await self.stacks.delete(stack.stack_id, _token("delete", stack.stack_id))

    async def _undo_on(self, name: str, stack: Stack, newest: str) -> None:
        if self._undone == UNDO_TRIES:
            causes = causes_of(await self.stacks.events(stack.stack_id))
            told = "\n".join(cause.text for cause in causes[-UNDO_TRIES:])
            raise NeedsAPerson(
                "UndoFailed",
                f"{name} is {stack.status}, and undoing fails each time:\n{told}\n"
                "Put that right in AWS' console, or give up on a thing by --skip NAME;"
                " then apply again",
            )
        self._undone += 1
        self.say(f"{name} is {stack.status}: undoing goes on")
        # Each try is an operation of its own, with a token of its own.
        token = _token("undo", stack.stack_id, newest)
        await self.stacks.undo_on(name, token, self.skip)

    async def _propose(
        self, wanted: WantedStack, stack: Stack | None, name: str, deadline: float
    ) -> ChangeSet:
        """Make the change set, or find the one that an interrupted run has made."""
        found = await self.stacks.proposed(wanted.name, name)
        if found is not None and not _is_usable(found):
            await self.stacks.withdraw(wanted.name, name)
            found = None
        if found is None:
            kind: Kind = "CREATE" if stack is None else "UPDATE"
            await self.stacks.propose(
                Proposal(wanted.name, name, kind, wanted.template, wanted.parameters),
                _token("propose", name, str(self.rng.random())),
            )
        looks = count()
        while found is None or found.status in _BEING_MADE:
            await self._pause(deadline, next(looks))
            found = await self.stacks.proposed(wanted.name, name)
        if found.status != "CREATE_COMPLETE" and not found.is_empty:
            await self._take_back(wanted.name, name)
            raise StackFailed(f"no change set could be made: {found.reason}", ())
        return found

    async def _take_back(self, name: str, change_set: str) -> None:
        """Leave nothing behind of what was only proposed."""
        await self.stacks.withdraw(name, change_set)
        stack = await self.stacks.find(name)
        if stack is not None and stack.status == "REVIEW_IN_PROGRESS":
            await self.stacks.delete(stack.stack_id, _token("delete", stack.stack_id))

    async def _carry_out(self, name: str, change_set: str, deadline: float) -> Stack:
        before = await self.stacks.find(name)
        assert before is not None
        newest = await self.stacks.newest_event(before.stack_id)
        token = _token("execute", before.stack_id, change_set)
        await self.stacks.carry_out(name, change_set, token)
        await self._wait(before.stack_id, newest, deadline, began=before.status)
        stack = await self.stacks.find(before.stack_id)
        if stack is None or stack.status not in SUCCEEDED:
            events = await self.stacks.events(before.stack_id, newest)
            status = "gone" if stack is None else stack.status
            raise StackFailed(f"{name} is {status}:", causes_of(events))
        await self.stacks.protect(name)
        return stack

    async def _wait(
        self, stack_id: str, seen: str, deadline: float, *, began: str | None
    ) -> None:
        """Wait until nothing is under way any more, telling the events since *seen*.

        An operation may not show at once: while the stack is as it *began*, and has no
        new event, it has not begun (None: it has).
        """
        for looks in count():
            await self._pause(deadline, looks)
            try:
                stack = await self.stacks.find(stack_id)
                events = await self.stacks.events(stack_id, seen)
            except TryLater:
                continue
            seen = events[-1].event_id if events else seen
            self._tell(events)
            status = "DELETE_COMPLETE" if stack is None else stack.status
            if events or status != began:
                began = None
            if began is None and not isinstance(next_move(status), Wait):
                return

    def _tell(self, events: tuple[StackEvent, ...]) -> None:
        for event in events:
            if (line := stack_events.tell(event)) is not None:
                self.say(line)

    async def _pause(self, deadline: float, looks: int) -> None:
        if self.reactor.seconds() >= deadline:
            raise TryLater(
                "TooLong",
                f"not done after {self.within / 60:.0f} minutes; AWS goes on by itself",
            )
        wait = min(FIRST_LOOK * GROWTH ** min(looks, 50), LOOK_EVERY)
        await deferLater(self.reactor, wait * (0.75 + self.rng.random() / 2))


def _raise_if_unsaid(judged: Judged) -> None:
    if judged.refused:
        raise Unsaid(judged.refused)


def _is_usable(found: ChangeSet) -> bool:
    """Whether a change set from before can still be executed."""
    return found.status in _BEING_MADE or (
        found.status == "CREATE_COMPLETE" and found.execution == "AVAILABLE"
    )


def _token(*words: str) -> str:
    """The same token for the same operation, whoever repeats it."""
    return "s4-" + hashlib.sha256("\n".join(words).encode()).hexdigest()[:32]
