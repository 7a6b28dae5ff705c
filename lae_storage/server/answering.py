"""Coroutines for callers that want a Deferred."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from twisted.internet.defer import Deferred

T = TypeVar("T")


def answering(
    method: Callable[..., Coroutine[Deferred[Any], Any, T]],
) -> Callable[..., Deferred[T]]:
    """Have a coroutine method answer a Deferred, as Foolscap wants it."""

    def answers(*arguments: Any, **named: Any) -> Deferred[T]:
        return Deferred.fromCoroutine(method(*arguments, **named))

    answers.__doc__, answers.__name__ = method.__doc__, method.__name__
    return answers
