"""An amount that may be in use at once; who finds too little left waits in turn."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from attrs import define, field
from twisted.internet.defer import Deferred


@define(eq=False)
class Budget:
    """At most *limit* in use; what is larger than that is in use alone."""

    limit: int
    used: int = 0
    _waiting: deque[tuple[int, Deferred[None]]] = field(factory=deque)

    @asynccontextmanager
    async def take(self, amount: int) -> AsyncIterator[None]:
        """Use so much within the ``async with``, as soon as those before us let us."""
        amount = min(amount, self.limit)
        if self._waiting or self.used + amount > self.limit:
            turn: Deferred[None] = Deferred()
            self._waiting.append((amount, turn))
            await turn
        else:
            self.used += amount
        try:
            yield
        finally:
            self.used -= amount
            self._admit()

    def _admit(self) -> None:
        while self._waiting and self.used + self._waiting[0][0] <= self.limit:
            amount, turn = self._waiting.popleft()
            self.used += amount
            turn.callback(None)
