"""Coroutines for callers that want a Deferred, behind the fence."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from twisted.internet.defer import Deferred

T = TypeVar("T")


def answering(
    method: Callable[..., Coroutine[Deferred[Any], Any, T]],
) -> Callable[..., Deferred[T]]:
    """Have a coroutine method answer a Deferred, as Foolscap wants it.

    The method's object has a ``fence``, which is asked before the work and, since the
    bucket may be another node's when it is done, before the answer, too.
    """

    async def fenced(self: Any, *arguments: Any, **named: Any) -> T:
        self.fence.check()
        answer = await method(self, *arguments, **named)
        self.fence.check()
        return answer

    def answers(self: Any, *arguments: Any, **named: Any) -> Deferred[T]:
        return Deferred.fromCoroutine(fenced(self, *arguments, **named))

    answers.__doc__, answers.__name__ = method.__doc__, method.__name__
    return answers
