"""The account's stack is made and changed, whatever interrupts it, and says why not."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from random import Random
from typing import Any

import pytest
from botocore.session import get_session
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from lae_provision.account.applying import (
    Applied,
    Applying,
    NeedsAPerson,
    StackFailed,
    Unsaid,
    WantedStack,
)
from lae_provision.account.change_set import Judged, Row
from lae_provision.account.drift import Drifted
from lae_provision.account.stack_states import MOVES, SUCCEEDED, ChangeIt
from lae_provision.errors import TryLater
from tests.twins.stacks import MemoryStacks, Outcome

WANTED = WantedStack("s4", "Resources: {}", {"Deployment": "s4"})
OTHER = WantedStack("s4", "Resources: {}", {"Deployment": "s4", "LogDays": "30"})
LOST_BUCKET = Row("Modify", "StateBucket", "AWS::S3::Bucket", "s4-state", "True")


class Stopped(Exception):
    """Somebody pulled the plug."""


class Said(Exception):
    """Somebody said no."""


class Run:
    """Calls of ``apply``, each as a new process makes it."""

    def __init__(self, stacks: MemoryStacks | None = None) -> None:
        self.stacks = stacks or MemoryStacks()
        self.clock = Clock()
        self.lines: list[str] = []
        self.asked: list[Judged] = []

    def apply(
        self,
        wanted: WantedStack = WANTED,
        *,
        door: Any = None,
        ask: Callable[[Judged], None] | None = None,
        **more: Any,
    ) -> Applied:
        applying = Applying(
            door or self.stacks, self.clock, Random(1), self.lines.append, **more
        )
        return self.run(applying.apply(wanted, ask or self.asked.append))

    def run(self, work: Any) -> Any:
        outcome: list[Any] = []
        Deferred.fromCoroutine(work).addBoth(outcome.append)
        for _ in range(2000):
            if outcome:
                break
            self.clock.advance(5)
        (found,) = outcome
        if isinstance(found, Failure):
            found.raiseException()
        return found

    @property
    def status(self) -> str | None:
        found = self.run(self.stacks.find("s4"))
        return None if found is None else found.status


def test_from_nothing() -> None:
    """The stack is made by one change set that a person has seen, and then guarded."""
    run = Run(MemoryStacks(outputs={"SubnetId": "subnet-1"}))
    applied = run.apply()
    assert applied.stack.status == "CREATE_COMPLETE"
    assert applied.stack.outputs == {"SubnetId": "subnet-1"}
    assert [c.row.thing for c in run.asked[0].changes] == ["StateBucket"]
    assert len(run.stacks.executed) == 1
    assert run.stacks.protected == {"s4"}


def test_again_changes_nothing() -> None:
    """A second call finds nothing to do, asks nothing, and leaves nothing behind."""
    run = Run()
    run.apply()
    assert run.apply().changes == ()
    assert len(run.asked) == len(run.stacks.executed) == 1
    assert run.stacks.leftovers("s4") == []


def test_a_change_and_drift_are_put_right() -> None:
    """Other parameters are an update, and so is what somebody changed by hand."""
    run = Run()
    run.apply()
    assert run.apply(OTHER).stack.status == "UPDATE_COMPLETE"
    run.stacks.drifted = (Drifted("Boundary", "AWS::IAM::ManagedPolicy", "x", False),)
    assert run.apply(OTHER).stack.status == "UPDATE_COMPLETE"
    assert len(run.stacks.executed) == 3


def test_a_no_leaves_nothing() -> None:
    """Who says no finds neither a change set nor an empty stack; nothing was executed."""

    def say_no(_: Judged) -> None:
        raise Said

    run = Run()
    with pytest.raises(Said):
        run.apply(ask=say_no)
    run.run(run.stacks.find("s4"))
    assert run.status in (None, "DELETE_IN_PROGRESS")
    assert run.stacks.leftovers("s4") == run.stacks.executed == []
    assert run.apply().stack.status == "CREATE_COMPLETE"


def test_a_bucket_is_replaced_only_by_name() -> None:
    """A change set that replaces a bucket is refused, whoever agrees; not if the bucket
    was named.
    """
    run = Run()
    run.apply()
    run.stacks.rows = (LOST_BUCKET,)
    with pytest.raises(Unsaid, match="--replace StateBucket"):
        run.apply(OTHER)
    assert len(run.stacks.executed) == 1
    assert run.stacks.leftovers("s4") == []
    run.apply(OTHER, replace={"StateBucket"})
    assert len(run.stacks.executed) == 2


def test_it_says_why_it_failed() -> None:
    """A failed beginning names the thing, the reason and what to do, not what followed;
    the next call clears the empty stack away and begins anew.
    """
    run = Run(MemoryStacks(outcomes=["fails"]))
    with pytest.raises(StackFailed) as failed:
        run.apply()
    assert "StateBucket (S3 Bucket): s4-state already exists" in failed.value.message
    assert "choose another name" in failed.value.message
    assert "Boundary" not in failed.value.message
    assert run.status == "ROLLBACK_COMPLETE"
    assert run.apply().stack.status == "CREATE_COMPLETE"
    assert any("already exists" in line for line in run.lines)


def test_a_failed_change_is_undone_and_may_be_tried_again() -> None:
    """A change that fails leaves the stack as it was, and the same change can be asked
    for again.
    """
    run = Run()
    run.apply()
    run.stacks.outcomes = ["fails"]
    with pytest.raises(StackFailed, match="UPDATE_ROLLBACK_COMPLETE"):
        run.apply(OTHER)
    assert run.apply(OTHER).stack.status == "UPDATE_COMPLETE"


def test_undoing_that_failed_goes_on() -> None:
    """A stack that could not be undone is told to go on, and then changed."""
    run = Run()
    run.apply()
    run.stacks.outcomes = ["undoing fails", "undoing fails", "works"]
    with pytest.raises(StackFailed, match="UPDATE_ROLLBACK_FAILED"):
        run.apply(OTHER)
    assert run.apply(OTHER).stack.status == "UPDATE_COMPLETE"
    assert run.stacks.skipped == [(), ()]


def test_undoing_that_always_fails_needs_a_person() -> None:
    """After two tries a person is told what to do; a thing is given up on by its name."""
    run = Run()
    run.apply()
    run.stacks.outcomes = ["undoing fails"] * 4
    with pytest.raises(StackFailed):
        run.apply(OTHER)
    with pytest.raises(NeedsAPerson, match="--skip NAME"):
        run.apply(OTHER)
    run.stacks.outcomes = []
    run.apply(OTHER, skip=("StateBucket",))
    assert run.stacks.skipped[-1] == ("StateBucket",)


@pytest.mark.parametrize("status", ["DELETE_FAILED", "IMPORT_ROLLBACK_FAILED", "NEW"])
def test_what_only_a_person_can_end(status: str) -> None:
    """Nothing is done to a stack that somebody began to delete, or whose state this
    release does not know.
    """
    run = Run()
    run.stacks.at("s4", status)
    with pytest.raises(NeedsAPerson, match=status):
        run.apply()
    assert run.stacks.executed == []


def test_it_waits_for_what_is_under_way() -> None:
    """A run that finds an operation under way waits for its end first."""
    run = Run()
    run.stacks.at("s4", "UPDATE_IN_PROGRESS")
    run.stacks.goes_on("s4", "UPDATE_IN_PROGRESS", "UPDATE_COMPLETE")
    assert run.apply().stack.status == "UPDATE_COMPLETE"
    assert any("waiting" in line for line in run.lines)


def test_an_operation_that_shows_late_is_waited_for() -> None:
    """While AWS shows nothing of an operation yet, it is neither done nor failed."""
    run = Run()
    run.apply()
    run.stacks.unseen = 20
    assert run.apply(OTHER).stack.status == "UPDATE_COMPLETE"


def test_there_is_an_end_to_waiting() -> None:
    """An operation that never ends ends the waiting, and says that AWS goes on."""
    run = Run()
    run.stacks.at("s4", "UPDATE_IN_PROGRESS")
    with pytest.raises(TryLater, match="not done after 60 minutes"):
        run.apply()


def test_every_status_has_a_move() -> None:
    """All statuses of AWS' own description have a move, and success is at rest."""
    model = get_session().get_service_model("cloudformation")
    assert set(MOVES) == set(model.shape_for("StackStatus").enum)
    assert all(MOVES[status] == ChangeIt() for status in SUCCEEDED)
    waits = {s for s in MOVES if s.endswith("IN_PROGRESS")} - {"REVIEW_IN_PROGRESS"}
    assert {s for s, m in MOVES.items() if type(m).__name__ == "Wait"} == waits


class Plug:
    """The door, pulled at its *at*-th call, before or after the call's effect."""

    def __init__(self, stacks: MemoryStacks, at: int, after: bool) -> None:
        self._stacks, self._left, self._after = stacks, at, after

    def __getattr__(self, name: str) -> Any:
        real = getattr(self._stacks, name)

        async def call(*arguments: Any) -> Any:
            self._left -= 1
            if self._left == 0 and not self._after:
                raise Stopped
            answer = await real(*arguments)
            if self._left == 0:
                raise Stopped
            return answer

        return call


@given(
    st.lists(st.tuples(st.integers(1, 30), st.booleans()), max_size=4),
    st.lists(st.sampled_from(["works", "fails", "undoing fails"]), max_size=2),
    st.sampled_from([None, "fresh", "made"]),
)
def test_any_interruption_is_gone_on_from(
    plugs: list[tuple[int, bool]], outcomes: list[Outcome], before: str | None
) -> None:
    """Pulled at any calls, with failures on the way: calling again ends with the stack
    as it is wanted, made by as many operations as failed and one, with nothing left over.
    """
    run = Run()
    if before == "made":
        run.apply()
    elif before == "fresh":
        run.stacks.at("s4", "REVIEW_IN_PROGRESS")
    done_before = len(run.stacks.executed)
    run.stacks.outcomes = list(outcomes)
    for at, after in plugs:
        with contextlib.suppress(Stopped, StackFailed):
            run.apply(OTHER, door=Plug(run.stacks, at, after))
    for _ in range(4):
        try:
            applied = run.apply(OTHER)
        except StackFailed:
            continue
        break
    assert applied.stack.status in SUCCEEDED
    assert applied.stack.parameters == OTHER.parameters
    assert len(run.stacks.executed) - done_before <= len(outcomes) + 1
    assert run.stacks.leftovers("s4") == []
