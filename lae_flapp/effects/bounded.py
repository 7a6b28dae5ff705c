"""A door that is asked not too often at the same time, and never without an end."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, TypeVar, cast

from attrs import define
from twisted.internet.defer import Deferred, DeferredSemaphore
from twisted.internet.interfaces import IReactorTime

from lae_protocol.process.deadline import with_deadline

D = TypeVar("D")


def bounded(
    door: D, name: str, clock: IReactorTime, *, seconds: float, together: int
) -> D:
    """Give the same door with a gate and a deadline around each of its methods.

    At most *together* calls are under way, and the others wait; a door that hangs keeps
    nobody from other doors.  A call raises what the door raises, or
    :class:`~lae_protocol.process.deadline.DeadlinePassed`, *seconds* after it began.
    """
    gate = DeferredSemaphore(together)
    return cast("D", _Bounded(door, name, clock, seconds, gate))


@define(frozen=True, eq=False)
class _Bounded:
    door: Any
    name: str
    clock: IReactorTime
    seconds: float
    gate: DeferredSemaphore

    def __getattr__(self, method: str) -> Callable[..., Coroutine[Any, Any, Any]]:
        call = getattr(self.door, method)

        async def ask(*arguments: Any) -> Any:
            def begin() -> Deferred[Any]:
                asked = Deferred.fromCoroutine(call(*arguments))
                what = f"{self.name}.{method}"
                return with_deadline(self.clock, self.seconds, what, asked)

            return await self.gate.run(begin)

        return ask
