"""One at a time per storage index."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from attrs import define, field
from twisted.internet.defer import DeferredLock

T = TypeVar("T")


@define
class Turns:
    """A lock for each key that somebody holds or waits for, and none else."""

    _locks: dict[bytes, tuple[DeferredLock, int]] = field(factory=dict)

    async def take(self, key: bytes, work: Callable[[], Awaitable[T]]) -> T:
        """Do *work* when everybody before us on this key is done."""
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
