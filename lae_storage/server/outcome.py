"""One outcome that many may wait for."""

from __future__ import annotations

from typing import Generic, TypeVar

from attrs import define, field
from twisted.internet.defer import Deferred

T = TypeVar("T")


@define(eq=False)
class Outcome(Generic[T]):
    """Known once, as a value or an error; whoever waits, before or after, gets it."""

    _value: list[T] = field(factory=list, repr=False)
    error: Exception | None = None
    _waiting: list[Deferred[None]] = field(factory=list, repr=False)

    def succeed(self, value: T) -> None:
        """It is this."""
        self._value.append(value)
        self._tell()

    def fail(self, error: Exception) -> None:
        """It is an error."""
        self.error = error
        self._tell()

    def _tell(self) -> None:
        waiting, self._waiting = self._waiting, []
        for waiter in waiting:
            waiter.callback(None)

    async def wait(self) -> T:
        """The value, as soon as it is known; raises the error."""
        if not self._value and self.error is None:
            waiter: Deferred[None] = Deferred()
            self._waiting.append(waiter)
            await waiter
        if self.error is not None:
            raise self.error
        return self._value[0]
