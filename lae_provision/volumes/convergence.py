"""A goal for the volume, worked at until it is reached: look, decide, do, again."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Protocol

from attrs import define
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater

from lae_protocol.process.retry import pause
from lae_provision.errors import Refused, TryLater
from lae_provision.volumes.seen_volume import Sight
from lae_provision.volumes.volume_plan import (
    Answer,
    BeAttached,
    BeMoved,
    CreateSnapshot,
    Goal,
    GoalReached,
    NeedsPerson,
    Step,
    WaitForEc2,
    next_step,
)

LOOK_AFTER = 1.0  # s, at most after the first look; it doubles
LOOK_AT_LEAST_EVERY = 15.0  # s
#: How long what was made may stay unseen.
VISIBLE_WITHIN = 60.0  # s


class VolumeDoor(Protocol):
    """:class:`~lae_provision.volumes.ebs.JournalVolume`, or its twin."""

    async def look(self, *named: str) -> Sight:
        """See everything."""
        ...

    async def carry_out(self, step: Step) -> str | None:
        """Do a step; return the id of what it made."""
        ...


class NotFinished(TryLater):
    """The time given is over; the next call goes on from what is there."""


def instances_of(goal: Goal) -> tuple[str, ...]:
    """Name the machines that a goal is about."""
    return (goal.instance,) if isinstance(goal, BeAttached | BeMoved) else ()


@define
class Convergence:
    """*within* seconds; *said* hears each step and each new wait."""

    reactor: IReactorTime
    rng: Random
    volume: VolumeDoor
    deployment: str
    said: Callable[[Answer], None]
    within: float

    async def reach(self, goal: Goal) -> GoalReached:
        """1. look, 2. decide, 3. do a step or wait, and again.

        Raises Refused for what a person must do, NotFinished when the time is over.
        """
        ends = self.reactor.seconds() + self.within
        made: str | None = None
        unseen_until = 0.0
        waited = 0
        last: Answer | None = None
        while True:
            sight = await self.volume.look(*instances_of(goal))
            answer = next_step(self.deployment, goal, sight)
            if made is not None and _shows(sight, made):
                made = None
            if made is not None:
                # It is made: nothing is decided before it can be seen.
                if self.reactor.seconds() > unseen_until:
                    raise Refused("made-and-gone", f"{made} was made and is not there")
                answer = WaitForEc2(f"{made} is not to be seen yet")
            match answer:
                case GoalReached():
                    return answer
                case NeedsPerson(why=why):
                    raise Refused("a-person-must", why)
                case WaitForEc2():
                    waited += 1
                case _:
                    waited = 0
                    made = await self._do(answer) or made
                    unseen_until = self.reactor.seconds() + VISIBLE_WITHIN
            if answer != last:
                self.said(answer)
            last = answer
            if self.reactor.seconds() >= ends:
                raise NotFinished("not-yet", _open(answer))
            await deferLater(
                self.reactor,
                pause(waited, self.rng, LOOK_AFTER, LOOK_AT_LEAST_EVERY),
            )

    async def _do(self, step: Step) -> str | None:
        """Do the step; what EC2 is not ready for comes again after the next look."""
        try:
            return await self.volume.carry_out(step)
        except TryLater:
            if isinstance(step, CreateSnapshot):
                # It may be made, and not to be seen yet; no token protects it.
                await deferLater(self.reactor, LOOK_AT_LEAST_EVERY)
            return None


def _shows(sight: Sight, made: str) -> bool:
    seen = {v.volume for v in sight.volumes} | {s.snapshot for s in sight.snapshots}
    return made in seen


def _open(answer: Answer) -> str:
    if isinstance(answer, WaitForEc2):
        return answer.why
    return f"after {type(answer).__name__}"
