"""Journals for tests: real SQLite, answering at once, made from a copied template."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from collections.abc import Coroutine
from functools import cache
from pathlib import Path
from typing import Any, TypeVar, cast

from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from lae_flapp.journal.journal import Journal
from lae_flapp.journal.meta import Home
from lae_flapp.journal.threads import SameThread

T = TypeVar("T")

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
    answer(Deferred.fromCoroutine(journal.open()))
    return journal


@cache
def _template() -> Path:
    """An empty journal; migrating takes longer than most tests do."""
    folder = Path(tempfile.mkdtemp(prefix="s4-journal-"))
    atexit.register(shutil.rmtree, folder)
    path = folder / "journal.sqlite"
    journal = Journal(path, HOME, Clock(), SameThread())
    answer(Deferred.fromCoroutine(journal.open()))
    answer(Deferred.fromCoroutine(journal.close()))
    return path


def answer(asked: Deferred[T] | Coroutine[Any, Any, T]) -> T:
    """Tell what a journal in the same thread answered, or raise what it raised."""
    deferred = ensureDeferred(asked)
    assert deferred.called, "only what runs in the same thread is answered by now"
    result: Any = deferred.result
    if isinstance(result, Failure):
        deferred.addErrback(lambda _: None)
        assert isinstance(result.value, Exception)
        raise result.value
    return cast("T", result)
