"""Every outside call has an end."""

from __future__ import annotations

from typing import TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

T = TypeVar("T")


class DeadlinePassed(Exception):
    """No answer in time.  What was asked may have happened, or may still happen."""

    def __init__(self, what: str, seconds: float) -> None:
        super().__init__(f"{what}: no answer within {seconds:g} s")


def with_deadline(
    reactor: IReactorTime, seconds: float, what: str, waiting: Deferred[T]
) -> Deferred[T]:
    """Wait for *waiting* at most so long, even where it cannot be cancelled.

    ``addTimeout`` trusts the cancelled Deferred to fire; a Foolscap call to a stopped
    process never does, so this answers from a Deferred of its own.
    """
    answer: Deferred[T] = Deferred(lambda _: waiting.cancel())

    def passed() -> None:
        if answer.called:  # cancelled, and *waiting* took no notice
            return
        answer.errback(DeadlinePassed(what, seconds))
        waiting.cancel()

    timer = reactor.callLater(seconds, passed)

    def done(result: T) -> None:
        if timer.active():
            timer.cancel()
        if not answer.called:
            answer.callback(result)

    def failed(failure: object) -> None:
        if timer.active():
            timer.cancel()
        if not answer.called:
            answer.errback(failure)  # type: ignore[arg-type]

    waiting.addCallbacks(done, failed)
    return answer
