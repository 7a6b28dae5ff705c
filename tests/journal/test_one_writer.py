"""One daemon writes: the lock, the epoch, and taking over by force."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from lae_flapp.journal import events
from lae_flapp.journal.errors import JournalInUse, StaleEpoch
from lae_flapp.journal.journal import Journal
from lae_flapp.journal.threads import SameThread
from tests.twins.journal import HOME, answer

#: A daemon that says "open", then writes one event for each line it is sent.
DAEMON = """
import sys
from pathlib import Path
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from lae_flapp.journal import events
from lae_flapp.journal.journal import Journal
from tests.twins.journal import HOME, answer
from lae_flapp.journal.threads import SameThread

journal = Journal(Path(sys.argv[1]), HOME, Clock(), SameThread())
answer(Deferred.fromCoroutine(journal.open()))
print("open", flush=True)
for line in sys.stdin:
    try:
        answer(journal.write(events.note, None, line.strip(), "the other"))
        print("written", flush=True)
    except Exception as error:
        print(type(error).__name__, flush=True)
"""


@contextmanager
def daemon(path: Path) -> Iterator[Callable[[str], str]]:
    """A daemon in its own process; call it with a line, get its answer."""
    process = subprocess.Popen(
        [sys.executable, "-c", DAEMON, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )

    def say(line: str) -> str:
        process.stdin.write(line + "\n")
        process.stdin.flush()
        return process.stdout.readline().strip()

    say.pid = process.pid
    try:
        assert process.stdout.readline().strip() == "open"
        yield say
    finally:
        process.kill()
        process.communicate()


def at(path: Path, superseded: Callable[[], None] = lambda: None) -> Journal:
    return Journal(path, HOME, Clock(), SameThread(), superseded)


def open_(journal: Journal, *, by_force: bool = False) -> Journal:
    answer(Deferred.fromCoroutine(journal.open(by_force=by_force)))
    return journal


def close(journal: Journal) -> None:
    answer(Deferred.fromCoroutine(journal.close()))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "var" / "journal.sqlite"


def test_a_second_daemon_does_not_start(path: Path) -> None:
    """While a daemon lives, another is refused and told whose the journal is."""
    with daemon(path) as other:
        with pytest.raises(JournalInUse, match=f"process {other.pid}"):
            open_(at(path))
        assert other("still") == "written"
    close(open_(at(path)))


def test_a_stopped_daemon_keeps_the_journal(path: Path) -> None:
    """A daemon that is stopped, not dead, still holds off a second one."""
    with daemon(path) as other:
        os.kill(other.pid, signal.SIGSTOP)
        with pytest.raises(JournalInUse):
            open_(at(path))


def test_a_daemon_that_was_taken_over_writes_nothing_when_it_wakes(path: Path) -> None:
    """After a take-over by force the old daemon's every write is refused, and the
    journal holds none of it.
    """
    with daemon(path) as other:
        assert other("before") == "written"
        os.kill(other.pid, signal.SIGSTOP)
        mine = open_(at(path), by_force=True)
        answer(mine.write(events.note, None, "mine", "me"))
        os.kill(other.pid, signal.SIGCONT)
        assert other("late") == "StaleEpoch"
        assert other("later") == "StaleEpoch"
        kinds = [one.kind for one in answer(mine.read(events.since, None, 0))]
        assert kinds == ["before", "mine"]
        with pytest.raises(JournalInUse):
            open_(at(path))
        close(mine)


def test_force_is_not_needed_for_the_dead(path: Path) -> None:
    """The lock of a daemon that was killed is free at once, and epochs only grow."""
    with daemon(path) as other:
        other("one")
    again = open_(at(path))
    assert again.epoch == 2
    close(again)


def test_the_superseded_daemon_is_told_once(path: Path) -> None:
    """The first write that finds a newer epoch says so to the process, once."""
    told: list[str] = []
    old = open_(at(path, lambda: told.append("superseded")))
    new = open_(at(path), by_force=True)
    assert told == []
    for _ in range(2):
        with pytest.raises(StaleEpoch):
            answer(old.write(events.note, None, "late", "old"))
    assert told == ["superseded"]
    assert answer(new.read(events.last_number, None)) == 0
    close(old)
    assert answer(new.write(events.note, None, "on", "new")) == 1
    with pytest.raises(JournalInUse):
        open_(at(path))
    close(new)


@pytest.mark.parametrize("left", [True, False])
def test_a_lock_file_that_is_replaced_meanwhile_is_not_trusted(
    path: Path, monkeypatch: pytest.MonkeyPatch, *, left: bool
) -> None:
    """Between opening the lock file and locking it another may take over by force:
    the lock that counts is the one on the file that stands at the path.
    """
    real, lock_file = fcntl.flock, path.with_name(path.name + ".lock")

    def replaced_first(descriptor: int, how: int) -> None:
        monkeypatch.setattr(fcntl, "flock", real)
        lock_file.unlink()
        if left:
            lock_file.touch()
        real(descriptor, how)

    monkeypatch.setattr(fcntl, "flock", replaced_first)
    mine = open_(at(path))
    with pytest.raises(JournalInUse):
        open_(at(path))
    close(mine)
