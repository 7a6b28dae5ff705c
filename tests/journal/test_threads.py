"""Where SQL runs: on threads of its own, in order, and bounded."""

from __future__ import annotations

import threading
from pathlib import Path

from twisted.internet import reactor
from twisted.internet.defer import (
    CancelledError,
    Deferred,
    DeferredList,
    gatherResults,
)
from twisted.trial.unittest import TestCase

from lae_flapp.journal import events, inbox
from lae_flapp.journal.errors import JournalBusy
from lae_flapp.journal.journal import Journal
from lae_flapp.journal.threads import WAITING, JournalThreads, asked_by
from lae_flapp.journal.transaction import WriteTx
from lae_protocol.stripe_hints import StripeHint
from tests.twins.journal import HOME


class JournalThreadsTests(TestCase):
    """A journal on the real reactor."""

    async def test_the_reactors_thread_runs_no_sql(self) -> None:
        """Reads and writes run elsewhere, their callbacks and watchers here."""
        journal = await self.opened()
        mine = threading.get_ident()
        wrote = await journal.write(lambda tx: threading.get_ident())
        read = await journal.read(lambda tx: threading.get_ident())
        assert mine not in {wrote, read}
        waiting = journal.watch(None, 0)
        woken_in = waiting.addCallback(lambda _: threading.get_ident())
        await journal.write(events.note, None, "x", "test")
        assert await woken_in == mine

    async def test_writes_happen_in_the_order_in_which_they_were_asked(self) -> None:
        """Many writes asked at once are numbered in order, by one thread."""
        journal = await self.opened()
        asked = [journal.write(events.note, None, f"k{n}", "test") for n in range(50)]
        assert await gatherResults(asked) == list(range(1, 51))
        threads = [journal.write(lambda tx: threading.get_ident()) for _ in range(9)]
        assert len(set(await gatherResults(threads))) == 1

    async def test_a_read_goes_on_beside_a_write(self) -> None:
        """A write that takes long holds no reader up, who sees the state before it."""
        journal = await self.opened()
        begun, go_on = threading.Event(), threading.Event()

        def slow(tx: object) -> None:
            events.note(tx, None, "slow", "test")
            begun.set()
            go_on.wait(20)

        writing = journal.write(slow)
        begun.wait(20)
        assert await journal.read(events.last_number, None) == 0
        go_on.set()
        await writing
        assert await journal.read(events.last_number, None) == 1

    async def test_too_many_are_refused(self) -> None:
        """When a thousand of the daemon's own wait, its next is refused at once."""
        journal = await self.opened()
        go_on = threading.Event()
        blocked = journal.write(lambda tx: go_on.wait(20))
        queued = [journal.write(lambda tx: None) for _ in range(WAITING["daemon"] - 1)]
        with self.assertRaises(JournalBusy):
            await journal.write(lambda tx: None)
        go_on.set()
        await DeferredList([blocked, *queued], fireOnOneErrback=True)
        await journal.write(lambda tx: None)

    async def test_a_crowd_of_one_audience_holds_no_other_up(self) -> None:
        """With as many reads and writes of hosts under way as may wait, a further one is
        refused, while a site, an operator and the daemon read at once and may write.
        """
        journal = await self.opened()
        go_on = threading.Event()
        block = asked_by("hosts", lambda *_: journal.read(lambda tx: go_on.wait(20)))
        push = asked_by("hosts", lambda *_: journal.write(lambda tx: None))
        crowd = [
            Deferred.fromCoroutine(ask(None, ""))
            for ask in (block, push)
            for _ in range(WAITING["hosts"])
        ]
        for refused in (block, push):
            with self.assertRaises(JournalBusy):
                await Deferred.fromCoroutine(refused(None, ""))
        for other in ("sites", "operators", "daemon"):
            read = asked_by(other, lambda *_: journal.read(lambda tx: "read"))
            write = asked_by(other, lambda *_: journal.write(lambda tx: "written"))
            for ask, told in ((read, "read"), (write, "written")):
                assert await Deferred.fromCoroutine(ask(None, "")) == told
        go_on.set()
        await gatherResults(crowd)

    async def test_who_stops_waiting_keeps_no_news_back(self) -> None:
        """A write whose writer was cancelled is committed, and wakes whom it concerns."""
        journal = await self.opened()
        go_on, woken = threading.Event(), Deferred()
        journal.hear_of("inbox", lambda: woken.callback(None))

        def taken(tx: WriteTx) -> None:
            go_on.wait(20)
            inbox.take(tx, StripeHint("evt", "kind", "cs_1"), "rq")

        writing = journal.write(taken)
        writing.cancel()
        go_on.set()
        with self.assertRaises(CancelledError):
            await writing
        await woken
        assert await journal.read(inbox.waiting) == 1

    async def opened(self) -> Journal:
        path = Path(self.mktemp()) / "journal.sqlite"
        journal = Journal(path, HOME, reactor, JournalThreads(reactor))
        await journal.open()
        self.addCleanup(lambda: Deferred.fromCoroutine(journal.close()))
        return journal
