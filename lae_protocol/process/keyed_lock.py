"""One at a time for each key, however many ask at once."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Hashable
from typing import TypeVar

from attrs import define, field
from twisted.internet.defer import DeferredLock

T = TypeVar("T")


@define
class KeyedLock:
    """A lock for each key that somebody holds or waits for."""

    _locks: dict[Hashable, tuple[DeferredLock, int]] = field(factory=dict)

    async def run(self, key: Hashable, work: Callable[[], Awaitable[T]]) -> T:
        """Do *work* when everybody who asked for this key before us is done."""
        lock, users = self._locks.get(key) or (DeferredLock(), 0)
        self._locks[key] = (lock, users + 1)
        try:
            await lock.acquire()
            try:
                return await work()
            finally:
                lock.release()
        finally:
            lock, users = self._locks.pop(key)
            if users > 1:
                self._locks[key] = (lock, users - 1)
