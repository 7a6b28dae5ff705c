"""Tub keys made ahead, so that no paying customer waits for one."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred, fail
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger
from twisted.python.threadpool import ThreadPool

from lae_provision.errors import TryLater
from lae_provision.identity.keys import TubKey, make_tub_key


class KeyPool(Service):
    """Keeps *size* keys ready and makes more in one thread of its own.

    Who takes from an empty pool waits for the next key made, in the order of asking.
    One thread is enough: making a key stalls the others for up to 41 ms.
    """

    name = "key-pool"
    _log = Logger()

    def __init__(
        self,
        reactor: Any,
        size: int,
        make: Callable[[], TubKey] = make_tub_key,
    ) -> None:
        self._reactor, self._size, self._make = reactor, size, make
        self._threads = ThreadPool(0, 1, "tub-keys")
        self._ready: deque[TubKey] = deque()
        self._waiting: deque[Deferred[TubKey]] = deque()
        self._making = False

    def startService(self) -> None:
        """Begin to fill the pool."""
        super().startService()  # type: ignore[no-untyped-call]
        self._threads.start()
        self._make_more()

    def stopService(self) -> Deferred[None] | None:
        """Refuse who waits, and wait for the thread, at most for one key."""
        super().stopService()  # type: ignore[no-untyped-call]
        self._refuse(_closed())
        self._threads.stop()
        return None

    def ready(self) -> int:
        """How many keys are ready, for figures and tests."""
        return len(self._ready)

    def take(self) -> Deferred[TubKey]:
        """A key nobody else has or had."""
        if not self.running:
            return fail(_closed())
        # A waiter that gives up must not swallow a key: it leaves the queue.
        waiter: Deferred[TubKey] = Deferred(self._waiting.remove)
        self._waiting.append(waiter)
        self._serve()
        return waiter

    def _serve(self) -> None:
        while self._ready and self._waiting:
            self._waiting.popleft().callback(self._ready.popleft())
        self._make_more()

    def _make_more(self) -> None:
        wanted = self._size + len(self._waiting)
        if self._making or not self.running or len(self._ready) >= wanted:
            return
        self._making = True
        made = deferToThreadPool(self._reactor, self._threads, self._make)
        made.addCallbacks(self._made, self._failed)

    def _made(self, key: TubKey) -> None:
        self._making = False
        self._ready.append(key)
        self._serve()

    def _failed(self, failure: Any) -> None:
        self._making = False
        self._log.failure("no Tub key could be made", failure)
        self._refuse(TryLater("key-pool", "no Tub key could be made"))

    def _refuse(self, why: TryLater) -> None:
        # Those who come back at once are not refused a second time.
        refused = list(self._waiting)
        self._waiting.clear()
        for waiter in refused:
            waiter.errback(why)


def _closed() -> TryLater:
    return TryLater("key-pool", "the daemon is stopping")
