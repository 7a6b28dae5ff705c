"""The journal as the daemon sees it: open, read, write, watch, close.

A commit wakes whom it concerns: the functions that change rows note what they touched,
and after the commit those are told who asked to hear of it (:meth:`Journal.hear_of`,
:meth:`Journal.hear_of_signups`, :meth:`Journal.watch`).  A write that is rolled back
wakes nobody.

One daemon writes.  Three things see to it: the lock beside the file (a second daemon
does not start), the epoch (a daemon that was taken over can write nothing, whenever
it wakes), and SQLite's own lock within a transaction.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Concatenate, ParamSpec, TypeVar

from sqlalchemy import Engine
from twisted.internet.defer import Deferred, fail
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from lae_flapp.journal import (
    epoch,
    events,
    live_names,
    meta,
    opening,
    schema,
    sqlite,
)
from lae_flapp.journal.errors import (
    JournalBusy,
    JournalClosed,
    JournalDamaged,
    JournalError,
    JournalFull,
    StaleEpoch,
)
from lae_flapp.journal.lock import JournalLock
from lae_flapp.journal.meta import Home
from lae_flapp.journal.secrets import hash_of
from lae_flapp.journal.threads import READERS, IThreads
from lae_flapp.journal.transaction import Noun, ReadTx, Touched, WriteTx
from lae_flapp.journal.watchers import WRITES_FOR, Watchers
from lae_protocol.ids import SignupId
from lae_protocol.secret import Secret

P = ParamSpec("P")
T = TypeVar("T")

_log = Logger()

#: Failures of the file or its disk, not of one transaction.
OF_THE_FILE = (JournalBusy, JournalFull, JournalDamaged)


def _nothing() -> None:
    """Ask nothing of a daemon that is superseded."""


class Journal:
    """See the module.  Nothing happens before :meth:`open`.

    *superseded* is called once, on the reactor's thread, when a write finds that
    another daemon took over: the process should then end.  *backed_up* leaves it to
    Litestream when the journal's log begins anew.
    """

    def __init__(
        self,
        path: Path,
        home: Home,
        clock: IReactorTime,
        threads: IThreads,
        superseded: Callable[[], None] = _nothing,
        *,
        backed_up: bool = False,
    ) -> None:
        assert schema.METADATA.tables, "every table is declared by now"
        self._path, self._home, self._clock = path, home, clock
        self._threads, self._superseded = threads, superseded
        self._backed_up = backed_up
        self._lock = JournalLock(path.with_name(path.name + ".lock"))
        self._writer: Engine | None = None
        self._reader: Engine | None = None
        self._watchers = Watchers()
        self._running = False
        self.epoch = 0
        self._live_names: set[str] = set()
        #: Why the last write of all failed, where it was the file's fault.
        self.failing: JournalError | None = None
        #: Writes that found the disk full, since the journal was opened.
        self.refused_as_full = 0

    async def open(self, *, by_force: bool = False) -> None:
        """1. lock, 2. back up and upgrade, 3. check the home, 4. take the epoch.

        *by_force* takes over from a daemon that holds the lock but cannot be
        stopped; it will write nothing more.  Raises what :mod:`.errors` lists for
        opening, and then holds nothing.
        """
        self._threads.start()
        self._running = True
        try:
            await self._threads.write(lambda: self._open(by_force=by_force))
        except BaseException:
            await self.close()
            raise
        _log.info(
            "journal open: {path}, epoch {epoch}", path=self._path, epoch=self.epoch
        )

    async def close(self) -> None:
        """End: watchers are told, running transactions finish, the lock is free.

        Closing what is closed does nothing.
        """
        if not self._running:
            return
        self._running = False
        self._watchers.close()
        # Behind the writes that wait already.
        await self._threads.write(self._close)
        self._threads.stop()

    def read(
        self,
        work: Callable[Concatenate[ReadTx, P], T],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> Deferred[T]:
        """Run *work* on one consistent view; it must not change anything."""
        if not self._running:
            return fail(JournalClosed("the journal is not open"))
        return self._threads.read(lambda: self._read(work, *args, **kwargs))

    def write(
        self,
        work: Callable[Concatenate[WriteTx, P], T],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> Deferred[T]:
        """Run *work* in one transaction; it is on the disk when the answer comes.

        Whatever *work* raises rolls all of it back.  Raises :class:`StaleEpoch`
        where another daemon took over.  Cancelling the answer undoes nothing.
        """
        if not self._running:
            return fail(JournalClosed("the journal is not open"))
        done = self._threads.write(lambda: self._write(work, *args, **kwargs))
        return self._answered(done, WRITES_FOR.get())

    def advance(
        self, number: int, work: Callable[[WriteTx, int], object]
    ) -> Deferred[None]:
        """Go on under a higher epoch, and do *work* in the same transaction."""
        if not self._running:
            return fail(JournalClosed("the journal is not open"))

        def advancing(tx: WriteTx) -> None:
            epoch.advance(tx, number)
            work(tx, number)

        def moved() -> tuple[None, Touched]:
            # On the one thread that writes, so that no write is between the two.
            written = self._write(advancing)
            self.epoch = number
            return written

        return self._answered(self._threads.write(moved), None)

    def keep_log_below(self, most: int) -> Deferred[bool]:
        """Bound the journal's log, in bytes: see :func:`.sqlite.keep_log_below`."""
        if not self._running:
            return fail(JournalClosed("the journal is not open"))
        return self._threads.write(lambda: self._keep_log_below(most))

    def is_live(self, swissnum: Secret) -> bool:
        """Whether the furl of a host or an operator with this name is good for
        something, as of the last commit; without a look-up.
        """
        return hash_of(swissnum) in self._live_names

    def hear_of(self, noun: Noun, heard: Callable[[], object]) -> None:
        """Have *heard* called after each commit that touches *noun*."""
        self._watchers.hear_of(noun, heard)

    def hear_of_signups(self, heard: Callable[[SignupId, bool], object]) -> None:
        """Have *heard* called after each commit that touches a signup: which, and
        whether an operator wants it tried again.
        """
        self._watchers.hear_of_signups(heard)

    def watch(
        self, signup_id: SignupId | None, since: int, *, public: bool = False
    ) -> Deferred[int]:
        """Wait for an event after *since* (of any signup, for None); its number.

        *public* looks only at what customers see.  The wait has no end of its own:
        cancel it.  Raises :class:`JournalClosed` when the journal closes.
        """
        if not self._running:
            return fail(JournalClosed("the journal is not open"))
        waiting = self._watchers.add(signup_id, since, public=public)
        # Registered first, looked second: an event in between is not missed.
        last = self.read(events.last_number, signup_id, public=public)
        last.addCallbacks(waiting.offer, waiting.fail)
        return waiting.answer

    def _open(self, *, by_force: bool) -> None:
        opening.prepare_folder(self._path)
        holder = f"{socket.gethostname()} process {os.getpid()}"
        self._lock.take(holder, by_force=by_force)
        writer = sqlite.engine(
            self._path, writes=True, connections=1, backed_up=self._backed_up
        )
        try:
            self.epoch, self._live_names = self._take(writer, holder)
        except BaseException:
            writer.dispose()
            raise
        self._writer = writer
        self._reader = sqlite.engine(
            self._path,
            writes=False,
            connections=sum(READERS.values()),
            backed_up=self._backed_up,
        )

    def _take(self, writer: Engine, holder: str) -> tuple[int, set[str]]:
        with sqlite.meanings():
            opening.upgrade(self._path, writer, self._now())
            with writer.begin() as connection:
                tx = WriteTx(connection, self._now())
                meta.settle(tx, self._home)
                return epoch.take(tx, holder), live_names.read(tx)

    def _close(self) -> None:
        for engine in (self._reader, self._writer):
            if engine is not None:
                engine.dispose()
        self._reader = self._writer = None
        self._lock.release()

    def _read(
        self,
        work: Callable[Concatenate[ReadTx, P], T],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        if self._reader is None:
            raise JournalClosed("the journal is not open")
        with sqlite.meanings(), self._reader.begin() as connection:
            return work(ReadTx(connection, self._now()), *args, **kwargs)

    def _write(
        self,
        work: Callable[Concatenate[WriteTx, P], T],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> tuple[T, Touched]:
        if self._writer is None:
            raise JournalClosed("the journal is not open")
        with sqlite.meanings(), self._writer.begin() as connection:
            tx = WriteTx(connection, self._now())
            epoch.check(tx, self.epoch)
            return work(tx, *args, **kwargs), tx.touched

    def _keep_log_below(self, most: int) -> bool:
        if self._writer is None:
            raise JournalClosed("the journal is not open")
        with sqlite.raw_meanings():
            return sqlite.keep_log_below(self._path, self._writer, most)

    def _answered(
        self, done: Deferred[tuple[T, Touched]], writer: SignupId | None
    ) -> Deferred[T]:
        """What the writer waits for; who stops waiting keeps the news from nobody."""
        answer: Deferred[T] = Deferred()
        told = done.addCallbacks(self._committed, self._failed, (writer,))
        told.chainDeferred(answer)
        return answer

    def _committed(self, result: tuple[T, Touched], writer: SignupId | None) -> T:
        answer, touched = result
        self.failing = None
        for name, alive in touched.names.items():
            (self._live_names.add if alive else self._live_names.discard)(name)
        self._watchers.tell(touched, writer)
        return answer

    def _failed(self, failure: Failure) -> Failure:
        if isinstance(failure.value, OF_THE_FILE):
            self.failing = failure.value
        if isinstance(failure.value, JournalFull):
            self.refused_as_full += 1
        if isinstance(failure.value, StaleEpoch):
            superseded, self._superseded = self._superseded, _nothing
            superseded()
        return failure

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self._clock.seconds(), UTC)
