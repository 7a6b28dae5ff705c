"""Copies of the journal, made by the daemon while it works."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from attrs import define
from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThread
from twisted.logger import Logger
from twisted.python.failure import Failure

from lae_flapp.journal.copies import Copies
from lae_flapp.journal.errors import JournalBusy, JournalError
from lae_protocol.operator_messages import BackupState


class _Stopped(JournalError):
    """The daemon ends; the unfinished copy is removed."""


@define
class _Running:
    """One copy.  *ended* fires when its thread has."""

    name: str
    ended: Deferred[Any] | None = None
    pages: int = 0
    of_pages: int = 0
    failed: str | None = None
    stopped: bool = False


class Backups:
    """Makes one at a time, in one thread; whoever asks again is told how far it is."""

    _log = Logger()

    def __init__(self, copies: Copies) -> None:
        self._copies = copies
        self._running: _Running | None = None

    def begin_or_tell(self, name: str) -> BackupState:
        """Begin the copy *name*, or tell how far it is.

        Raises :class:`JournalError` where it failed, or another is being made.
        """
        running = self._running
        if running is not None and running.name == name:
            return self._told(running)
        if running is not None and running.ended is not None:
            raise JournalBusy("another copy is being made")
        path = self._copies.folder / name
        if path.exists():
            return _done_at(path, 0)
        self._running = running = _Running(name)
        running.ended = deferToThread(self._copy, running)
        running.ended.addCallbacks(self._done, self._failed, (running,), {}, (running,))
        return self._told(running)

    def stop(self) -> Deferred[Any] | None:
        """End what runs, soon."""
        running = self._running
        if running is None or running.ended is None:
            return None
        running.stopped = True
        stopped: Deferred[Any] = Deferred()
        running.ended.addBoth(stopped.callback)
        return stopped

    def _copy(self, running: _Running) -> None:
        def progress(pages: int, of_pages: int) -> None:
            running.pages, running.of_pages = pages, of_pages
            if running.stopped:
                raise _Stopped("the daemon ends")

        self._copies.make(running.name, progress)

    def _done(self, _: object, running: _Running) -> None:
        running.ended = None
        self._log.info("the journal is copied: {name}", name=running.name)

    def _failed(self, failure: Failure, running: _Running) -> None:
        running.ended, running.failed = None, failure.getErrorMessage()
        self._log.error(
            "the journal cannot be copied: {problem}", problem=running.failed
        )

    def _told(self, running: _Running) -> BackupState:
        path = self._copies.folder / running.name
        if running.failed is not None:
            self._running = None
            raise JournalError(running.failed)
        if running.ended is not None:
            return BackupState(
                done=False,
                pages=running.pages,
                of_pages=running.of_pages,
                path=str(path),
                size=0,
            )
        self._running = None
        return _done_at(path, running.of_pages)


def _done_at(path: Path, pages: int) -> BackupState:
    size = path.stat().st_size
    return BackupState(
        done=True, pages=pages, of_pages=pages, path=str(path), size=size
    )
