"""A child process on a leash: ended whole, and ended when we end."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from attrs import define, field
from twisted.internet.defer import Deferred, succeed
from twisted.internet.error import ProcessDone, ProcessTerminated
from twisted.internet.protocol import ProcessProtocol
from twisted.python.failure import Failure

_LEASH = Path(__file__).with_name("leash.py")


@define(frozen=True)
class Program:
    """What to run: *log* takes its output, appended.

    *death_signal* is what it gets when we die: a program with children of its own
    needs SIGTERM, to end them; one that has none gets SIGKILL.
    """

    argv: Sequence[str]
    env: Mapping[str, str] = field(repr=False)
    cwd: Path
    log: Path
    death_signal: int = signal.SIGTERM


def leashed(argv: Sequence[str], death_signal: int) -> list[str]:
    """The same program in a session of its own, with that signal when we die."""
    leash = [sys.executable, "-I", "-S", str(_LEASH)]
    return [*leash, str(int(death_signal)), str(os.getpid()), "--", *argv]


class Child(ProcessProtocol):
    """One run of a program.  *ended* fires with what its exit was, in words."""

    def __init__(
        self, reactor: Any, program: Program, on_end: Callable[[str], None]
    ) -> None:
        self._reactor, self._program, self._on_end = reactor, program, on_end
        self._waiting: list[Deferred[None]] = []
        self._running = False
        self.pid = 0

    def start(self) -> None:
        """Fork; raises OSError where that is impossible."""
        argv = leashed(self._program.argv, self._program.death_signal)
        out = os.open(
            self._program.log,
            os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC,
            0o600,
        )
        nothing = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
        try:
            process = self._reactor.spawnProcess(
                self,
                argv[0],
                argv,
                env=dict(self._program.env),
                path=str(self._program.cwd),
                childFDs={0: nothing, 1: out, 2: out},
            )
        finally:
            os.close(out)
            os.close(nothing)
        self.pid = process.pid
        self._running = True

    @property
    def running(self) -> bool:
        """Tell whether its first process is there."""
        return self._running

    def signal(self, number: int) -> None:
        """Send it to the whole group."""
        if not self.pid:
            return
        try:
            os.killpg(self.pid, number)
        except ProcessLookupError:
            # The leash had no time yet to make the group, or all is over.
            if self._running:
                os.kill(self.pid, number)

    def stop(self, grace: float) -> Deferred[None]:
        """SIGTERM, and SIGKILL after *grace* seconds; fires when it is gone."""
        if not self._running:
            self.signal(signal.SIGKILL)
            return succeed(None)
        self.signal(signal.SIGTERM if grace > 0 else signal.SIGKILL)
        late = self._reactor.callLater(grace, self.signal, signal.SIGKILL)
        stopped: Deferred[None] = Deferred()
        self._waiting.append(stopped)

        def tidy(_: None) -> None:
            if late.active():
                late.cancel()

        return stopped.addCallback(tidy)

    def processEnded(self, reason: Failure) -> None:
        """Twisted's word that it is over: what it left behind goes as well."""
        self._running = False
        self.signal(signal.SIGKILL)
        waiting, self._waiting = self._waiting, []
        for stopped in waiting:
            stopped.callback(None)
        self._on_end(_in_words(reason.value))


def _in_words(reason: Any) -> str:
    if isinstance(reason, ProcessDone):
        return "ended"
    if isinstance(reason, ProcessTerminated) and reason.signal is not None:
        return f"ended by {signal.Signals(reason.signal).name}"
    return f"ended with exit code {getattr(reason, 'exitCode', None)}"
