"""Journals for tests: real SQLite, answering at once, made from a copied template."""

from __future__ import annotations

import shutil
import tempfile
from functools import cache
from pathlib import Path

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from lae_flapp.journal.journal import Journal
from lae_flapp.journal.meta import Home
from lae_flapp.journal.threads import SameThread

HOME = Home("test", "s4test", "000000000000", "test")


def open_journal(folder: Path, clock: IReactorTime) -> Journal:
    """Open ``folder/journal.sqlite`` (a new one, or again the one that is there).

    Its answers have fired when they are returned.
    """
    folder.mkdir(mode=0o700, exist_ok=True)
    path = folder / "journal.sqlite"
    if not path.exists():
        shutil.copyfile(_template(), path)
    journal = Journal(path, HOME, clock, SameThread())
    _now(Deferred.fromCoroutine(journal.open()))
    return journal


@cache
def _template() -> Path:
    """An empty journal; migrating takes longer than most tests do."""
    path = Path(tempfile.mkdtemp(prefix="s4-journal-")) / "journal.sqlite"
    journal = Journal(path, HOME, Clock(), SameThread())
    _now(Deferred.fromCoroutine(journal.open()))
    _now(Deferred.fromCoroutine(journal.close()))
    return path


def _now(opened: Deferred[None]) -> None:
    result = opened.result
    if isinstance(result, Failure):
        opened.addErrback(lambda _: None)
        assert isinstance(result.value, Exception)
        raise result.value
