"""What to do about a stack in each of its states.  Pure.

A run may find whatever an interrupted one, or somebody in AWS' console, has left.
"""

from __future__ import annotations

from attrs import define


@define(frozen=True)
class MakeIt:
    """There is no stack, or an empty one that waits for its first change set."""


@define(frozen=True)
class ChangeIt:
    """The stack is there and at rest."""


@define(frozen=True)
class Wait:
    """CloudFormation is at work."""


@define(frozen=True)
class ClearAway:
    """Making the stack failed and was undone: an empty stack is left, which can only be
    deleted.
    """


@define(frozen=True)
class UndoOn:
    """Undoing a change failed; CloudFormation tries again when it is told to."""


@define(frozen=True)
class ByHand:
    """Only a person can decide; *advice* says what about."""

    advice: str


Move = MakeIt | ChangeIt | Wait | ClearAway | UndoOn | ByHand

#: Every status that CloudFormation has.
MOVES: dict[str, Move] = {
    "REVIEW_IN_PROGRESS": MakeIt(),
    "CREATE_IN_PROGRESS": Wait(),
    "CREATE_COMPLETE": ChangeIt(),
    "CREATE_FAILED": ClearAway(),
    "ROLLBACK_IN_PROGRESS": Wait(),
    "ROLLBACK_COMPLETE": ClearAway(),
    "ROLLBACK_FAILED": ClearAway(),
    "DELETE_IN_PROGRESS": Wait(),
    "DELETE_COMPLETE": MakeIt(),
    "DELETE_FAILED": ByHand(
        "somebody began to delete it: what is left of it stands in its events; delete"
        " the rest in AWS' console, or keep what customers need and import it"
    ),
    "UPDATE_IN_PROGRESS": Wait(),
    "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS": Wait(),
    "UPDATE_COMPLETE": ChangeIt(),
    "UPDATE_FAILED": ChangeIt(),
    "UPDATE_ROLLBACK_IN_PROGRESS": Wait(),
    "UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS": Wait(),
    "UPDATE_ROLLBACK_COMPLETE": ChangeIt(),
    "UPDATE_ROLLBACK_FAILED": UndoOn(),
    "IMPORT_IN_PROGRESS": Wait(),
    "IMPORT_COMPLETE": ChangeIt(),
    "IMPORT_ROLLBACK_IN_PROGRESS": Wait(),
    "IMPORT_ROLLBACK_COMPLETE": ChangeIt(),
    "IMPORT_ROLLBACK_FAILED": ByHand(
        "an import failed and could not be undone: its events say why"
    ),
}
#: How an operation ends that did what it was asked for.
SUCCEEDED = frozenset({"CREATE_COMPLETE", "UPDATE_COMPLETE", "IMPORT_COMPLETE"})


def next_move(status: str | None) -> Move:
    """Choose the next move for a stack's status; None where there is no stack."""
    if status is None:
        return MakeIt()
    unknown = ByHand(f"this release does not know the status {status}")
    return MOVES.get(status, unknown)
