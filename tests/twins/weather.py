"""What can go wrong between a caller and a cloud, as named doubles."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from functools import partial
from typing import TypeVar

from twisted.internet.defer import Deferred, execute, fail
from twisted.internet.interfaces import IReactorTime

from lae_provision.errors import NoCapacity, ProvisionError, Refused, TryLater

T = TypeVar("T")


class Fault(Enum):
    """What becomes of one call."""

    NONE = "none"
    #: Refused for now, before any effect.
    THROTTLED = "throttled"
    #: The effect happens, the caller hears of a broken connection.
    REPLY_LOST = "reply-lost"
    #: The network sends the request twice; the caller gets the second answer.
    DOUBLED = "doubled"
    #: Request and answer arrive late, perhaps after the caller has given up.
    LATE = "late"
    #: The service will never do this.
    REFUSED = "refused"
    #: The cloud is full.
    NO_CAPACITY = "no-capacity"


#: What is raised where nothing was done.
_BEFORE: dict[Fault, Callable[[str], ProvisionError]] = {
    Fault.THROTTLED: partial(TryLater, "Throttling"),
    Fault.REFUSED: partial(Refused, "AccessDenied"),
    Fault.NO_CAPACITY: partial(NoCapacity, "InsufficientInstanceCapacity"),
}

#: Chooses the fault of a call such as ``"hosts.make"``.
Weather = Callable[[str], Fault]


def fair(_call: str) -> Fault:
    """Nothing goes wrong."""
    return Fault.NONE


def exposed(
    clock: IReactorTime,
    weather: Weather,
    late: float,
    call: str,
    effect: Callable[[], T],
) -> Deferred[T]:
    """Do *effect* as *weather* has it for *call*; *late* is in seconds."""
    fault = weather(call)
    match fault:
        case Fault.THROTTLED | Fault.REFUSED | Fault.NO_CAPACITY:
            return fail(_BEFORE[fault](f"{call}: the weather is bad"))
        case Fault.REPLY_LOST:
            return _lost(call, effect)
        case Fault.DOUBLED:
            execute(effect).addErrback(lambda _: None)
            return execute(effect)
        case Fault.LATE:
            return _late(clock, late, effect)
        case Fault.NONE:
            return execute(effect)


def _lost(call: str, effect: Callable[[], T]) -> Deferred[T]:
    """Whatever came of it, the caller is told the same."""
    execute(effect).addErrback(lambda _: None)
    return fail(TryLater("ConnectionLost", f"{call}: no answer"))


def _late(clock: IReactorTime, late: float, effect: Callable[[], T]) -> Deferred[T]:
    """Cancelling stops the caller's waiting, not the request that is on its way."""
    answer: Deferred[T] = Deferred(lambda _: None)

    def arrived() -> None:
        outcome = execute(effect)
        if answer.called:
            outcome.addErrback(lambda _: None)
        else:
            outcome.addCallbacks(answer.callback, answer.errback)

    clock.callLater(late, arrived)
    return answer
