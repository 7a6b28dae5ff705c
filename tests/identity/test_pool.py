"""The pool of Tub keys."""

from __future__ import annotations

import threading
from itertools import count
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.task import Clock, deferLater
from twisted.trial.unittest import TestCase

from lae_protocol.secret import Secret
from lae_provision.errors import TryLater
from lae_provision.identity.keys import TubKey
from lae_provision.identity.pool import KeyPool


class PoolTests(TestCase):
    def setUp(self) -> None:
        self.numbers = count()
        self.go_on = threading.Event()
        self.go_on.set()
        self.broken = False
        self.pool = KeyPool(reactor, 3, self.make, low=1, rest=0.2)
        self.pool.startService()
        self.addCleanup(self.stop)

    def stop(self) -> None:
        self.go_on.set()
        if self.pool.running:
            self.pool.stopService()

    def make(self) -> TubKey:
        self.go_on.wait(5)
        if self.broken:
            raise OSError("no entropy")
        return TubKey(f"tub{next(self.numbers)}", Secret("pem"))

    async def until_ready(self, number: int) -> None:
        while self.pool.ready() != number:
            await deferLater(reactor, 0.005)

    async def test_fills_itself(self) -> None:
        """A started pool makes as many keys as it was told to hold, and no more."""
        await self.until_ready(3)
        await deferLater(reactor, 0.05)
        self.assertEqual(self.pool.ready(), 3)
        self.assertEqual(next(self.numbers), 3)

    async def test_refills(self) -> None:
        """What was taken is made again in the background."""
        await self.until_ready(3)
        taken = self.pool.take()
        self.assertEqual(self.successResultOf(taken).tub_id, "tub0")
        await self.until_ready(3)

    async def test_takers_are_not_disturbed(self) -> None:
        """While a daemon begins, and while keys are taken, only those are made that will
        be missed at once.
        """
        clock = Clock()
        clock.callFromThread = reactor.callFromThread
        self.pool.stopService()
        self.pool = KeyPool(clock, 5, self.make, low=2, rest=10)
        self.pool.startService()
        await self.until_ready(2)
        clock.advance(9.9)
        await deferLater(reactor, 0.05)
        self.assertEqual(self.pool.ready(), 2)
        clock.advance(0.1)
        await self.until_ready(5)
        for left in (4, 3, 2, 2, 2):
            clock.advance(9)
            await self.pool.take()
            await self.until_ready(left)
        clock.advance(9.9)
        await deferLater(reactor, 0.05)
        self.assertEqual(self.pool.ready(), 2)
        clock.advance(0.1)
        await self.until_ready(5)

    async def test_no_key_twice(self) -> None:
        """More takers than keys wait, and each gets a key of its own."""
        keys = await gatherResults([self.pool.take() for _ in range(10)])
        self.assertEqual(len({key.tub_id for key in keys}), 10)

    async def test_taker_that_gives_up(self) -> None:
        """A cancelled taker costs nobody a key."""
        self.go_on.clear()
        first, second = self.pool.take(), self.pool.take()
        first.cancel()
        self.failureResultOf(first)
        self.go_on.set()
        await second
        await self.until_ready(3)

    async def test_failure_is_told_and_left_behind(self) -> None:
        """A key that cannot be made fails who waits; the next taker tries again."""
        await self.until_ready(3)
        self.broken = True
        taken = [self.pool.take() for _ in range(4)]
        with self.assertRaises(TryLater):
            await taken[3]
        self.assertEqual(len(self.flushLoggedErrors(OSError)), 1)
        self.broken = False
        await self.pool.take()

    async def test_stop_refuses_who_waits(self) -> None:
        """A stopped pool refuses its waiters, and whoever comes later."""
        self.go_on.clear()
        waiting: list[Deferred[Any]] = [self.pool.take()]
        self.go_on.set()
        self.pool.stopService()
        waiting.append(self.pool.take())
        for refused in waiting:
            self.failureResultOf(refused, TryLater)
