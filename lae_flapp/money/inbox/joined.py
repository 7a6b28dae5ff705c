"""Work that many ask for: done once for all who asked before it began."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Hashable
from typing import Any, Generic, TypeVar

from attrs import Factory, define, field
from twisted.internet.defer import Deferred, DeferredSemaphore
from twisted.python.failure import Failure

from lae_protocol.process.keyed_lock import KeyedLock

T = TypeVar("T")


@define(eq=False)
class JoinedWork(Generic[T]):
    """Runs at most *at_once* works, and one of each key.

    Who asks while the work of that key goes on may know more than the work has seen:
    it is done once more, for all who asked meanwhile.
    """

    at_once: int
    _places: DeferredSemaphore = field(init=False)
    _in_order: KeyedLock = Factory(KeyedLock)
    #: Who waits for work that has not begun.
    _waiting: dict[Hashable, list[Deferred[T]]] = Factory(dict)

    def __attrs_post_init__(self) -> None:
        self._places = DeferredSemaphore(self.at_once)

    def run(self, key: Hashable, work: Callable[[], Awaitable[T]]) -> Deferred[T]:
        """Return the outcome of work of *key* that begins after this call.

        Who gives up waiting does not stop the work.
        """
        first = key not in self._waiting
        waiting = self._waiting.setdefault(key, [])
        told: Deferred[T] = Deferred(waiting.remove)
        waiting.append(told)
        if first:
            Deferred.fromCoroutine(self._work_in_turn(key, work))
        return told

    async def _work_in_turn(
        self, key: Hashable, work: Callable[[], Awaitable[T]]
    ) -> None:
        async def turn() -> None:
            await self._places.acquire()
            waiting = self._waiting.pop(key)
            outcome: Any
            try:
                outcome = await work() if waiting else None
            except Exception:  # noqa: BLE001  (it is told to everybody who asked)
                outcome = Failure()  # type: ignore[no-untyped-call]
            finally:
                self._places.release()
            for told in tuple(waiting):
                told.callback(outcome)

        await self._in_order.run(key, turn)
