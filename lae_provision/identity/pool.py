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

#: Seconds without a taker before what was taken is made again.
REST = 30.0


class KeyPool(Service):
    """Keeps *size* keys ready and makes more in one thread of its own.

    Making a key stalls the other threads, for up to 95 ms, just when somebody who has
    paid waits for what they do.  So one thread makes them, and what was taken is made
    again once nobody took any for *rest* seconds; at once where fewer than *low* are
    left.  A daemon that begins has much else to do: it makes *low*, and rests first.
    Who takes from an empty pool waits for the next key made, in the order of asking.
    """

    name = "key-pool"
    _log = Logger()

    def __init__(
        self,
        reactor: Any,
        size: int,
        make: Callable[[], TubKey] = make_tub_key,
        *,
        low: int = 4,
        rest: float = REST,
    ) -> None:
        self._reactor, self._size, self._make = reactor, size, make
        self._low, self._rest = low, rest
        self._resting: Any = None
        self._threads = ThreadPool(0, 1, "tub-keys")
        self._ready: deque[TubKey] = deque()
        self._waiting: deque[Deferred[TubKey]] = deque()
        self._making = False

    def startService(self) -> None:
        """Begin to fill the pool."""
        super().startService()  # type: ignore[no-untyped-call]
        self._threads.start()
        self._rest_first()
        self._make_more()

    def stopService(self) -> Deferred[None] | None:
        """Refuse who waits, and wait for the thread, at most for one key."""
        super().stopService()  # type: ignore[no-untyped-call]
        self._refuse(_closed())
        self._wake_up()
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
        self._hand_out()
        if self.running:
            self._rest_first()
        self._make_more()
        return waiter

    def _hand_out(self) -> None:
        while self._ready and self._waiting:
            self._waiting.popleft().callback(self._ready.popleft())

    def _wake_up(self) -> None:
        resting, self._resting = self._resting, None
        if resting is not None:
            resting.cancel()

    def _rest_first(self) -> None:
        self._wake_up()
        self._resting = self._reactor.callLater(self._rest, self._rested)

    def _rested(self) -> None:
        self._resting = None
        self._make_more()

    def _make_more(self) -> None:
        wanted = self._size if self._resting is None else min(self._low, self._size)
        enough = len(self._ready) >= wanted + len(self._waiting)
        if self._making or not self.running or enough:
            return
        self._making = True
        made = deferToThreadPool(self._reactor, self._threads, self._make)
        made.addCallbacks(self._made, self._failed)

    def _made(self, key: TubKey) -> None:
        self._making = False
        self._ready.append(key)
        self._hand_out()
        self._make_more()

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
