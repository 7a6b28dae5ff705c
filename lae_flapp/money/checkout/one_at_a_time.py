"""One at a time for each signup, however many ask at once."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from twisted.internet.defer import DeferredLock

T = TypeVar("T")


class OneAtATime:
    """A lock for each name that is in use, and none for the others."""

    def __init__(self) -> None:
        self._locks: dict[str, tuple[DeferredLock, int]] = {}

    async def run(self, name: str, work: Callable[[], Awaitable[T]]) -> T:
        """Run *work* when everybody who asked before under *name* is done."""
        lock, users = self._locks.get(name, (DeferredLock(), 0))
        self._locks[name] = (lock, users + 1)
        try:
            await lock.acquire()
            try:
                return await work()
            finally:
                lock.release()
        finally:
            lock, users = self._locks.pop(name)
            if users > 1:
                self._locks[name] = (lock, users - 1)
