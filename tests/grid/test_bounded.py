"""A door with a gate and a deadline around it."""

from __future__ import annotations

from typing import Any

import pytest
from attrs import Factory, define
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock

from lae_flapp.effects.bounded import bounded
from lae_protocol.process.deadline import DeadlinePassed
from lae_provision.errors import Refused


@define(eq=False)
class Door:
    """What is asked waits until the test answers."""

    asked: list[tuple[str, Deferred[str]]] = Factory(list)

    async def find(self, name: str) -> str:
        """Wait."""
        answer: Deferred[str] = Deferred()
        self.asked.append((name, answer))
        return await answer

    async def refuse(self) -> None:
        """Refuse before anything is waited for."""
        raise Refused("AccessDenied", "never")


@pytest.fixture
def door() -> Door:
    return Door()


def asking(question: Any) -> list[Any]:
    """What came of it so far."""
    came: list[Any] = []
    Deferred.fromCoroutine(question).addBoth(came.append)
    return came


def test_no_more_than_so_many_at_the_same_time(door) -> None:
    """The third of two waits until one is answered; another door waits for nobody."""
    clock = Clock()
    asked = bounded(door, "hosts", clock, seconds=10, together=2)
    came = [asking(asked.find(name)) for name in "abc"]
    assert [name for name, _ in door.asked] == ["a", "b"]
    other = Door()
    asking(bounded(other, "vault", clock, seconds=10, together=2).find("d"))
    assert len(other.asked) == 1
    door.asked[0][1].callback("A")
    assert [name for name, _ in door.asked] == ["a", "b", "c"]
    assert came == [["A"], [], []]


def test_each_call_ends(door) -> None:
    """A call that hangs ends with its name and is cancelled, and then the next begins,
    with its whole time before it.
    """
    clock = Clock()
    asked = bounded(door, "hosts", clock, seconds=10, together=1)
    first, second = asking(asked.find("a")), asking(asked.find("b"))
    clock.advance(9.9)
    assert first == []
    clock.advance(0.1)
    assert first[0].check(DeadlinePassed)
    assert str(first[0].value) == "hosts.find: no answer within 10 s"
    cancelled: list[Any] = []
    door.asked[0][1].addErrback(cancelled.append)
    assert door.asked[0][1].called
    clock.advance(9.9)
    assert second == []
    door.asked[1][1].callback("B")
    assert second == ["B"]
    assert clock.getDelayedCalls() == []


def test_who_gives_up_frees_the_gate(door) -> None:
    """A cancelled call is over, whether it was under way or waited for its turn."""
    asked = bounded(door, "hosts", Clock(), seconds=10, together=1)
    questions = [Deferred.fromCoroutine(asked.find(name)) for name in "abc"]
    ended: list[Any] = []
    for question in questions[:2]:
        question.addErrback(ended.append)
    questions[1].cancel()
    questions[0].cancel()
    assert [f.type for f in ended] == [CancelledError, CancelledError]
    assert [name for name, _ in door.asked] == ["a", "c"]


def test_a_refusal_is_the_doors(door) -> None:
    """What the door raises is raised, and the gate is free again."""
    asked = bounded(door, "hosts", Clock(), seconds=10, together=1)
    for _ in range(2):
        assert asking(asked.refuse())[0].check(Refused)
    with pytest.raises(AttributeError):
        asked.stop()
