"""Starts the demo's processes, each when what it needs is ready; ends them all.

Each is on a leash (:mod:`lae_localcloud.leash`): a session of its own, and
a signal from the kernel when we die, however that happens.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from attrs import define
from twisted.internet.defer import Deferred, DeferredList, FirstError
from twisted.python.failure import Failure

from lae_localcloud import child
from lae_localcloud.demo.program import (
    Answers,
    Ends,
    FileAppears,
    Notifies,
    Step,
)
from lae_localcloud.demo.readiness import NotifySocket, answers, appears
from lae_localcloud.models.wrong import VARIABLE

_LAST_LINES = 20
#: Time to end well; then SIGKILL.
STOP_SECONDS = 7.0
_RESTART_SECONDS = 0.5
#: A program that died so often is left dead, and the demo ends.
_MOST_RESTARTS = 20


class ProgramDied(Exception):
    """One of the programs ended by itself; the text names it and its last words."""


@define
class _Running:
    step: Step
    ready: Deferred[None]
    child: child.Child | None = None
    notify: NotifySocket | None = None
    restarts: int = 0
    is_done_once: bool = False


class Supervisor:
    """Runs *steps*.  *say* gets lines for people; *died* hears what ends the demo."""

    def __init__(
        self,
        reactor: Any,
        folder: Path,
        steps: Sequence[Step],
        *,
        say: Callable[[str], None],
        died: Callable[[ProgramDied], None],
    ) -> None:
        self._reactor, self._folder, self._steps = reactor, folder, steps
        self._say, self._died = say, died
        self._running: dict[str, _Running] = {}
        self._stopping = False

    async def start(self) -> None:
        """All of them; raises :class:`ProgramDied` when one dies or is never ready."""
        self._folder.mkdir(mode=0o700, exist_ok=True)
        for step in self._steps:
            self._running[step.name] = _Running(step, Deferred())
        for running in self._running.values():
            begun = Deferred.fromCoroutine(self._begin(running))
            begun.addErrback(self._never_ready, running)
        every = [_fires(r.ready) for r in self._running.values()]
        try:
            await DeferredList(every, fireOnOneErrback=True, consumeErrors=True)
        except FirstError as e:
            e.subFailure.raiseException()

    def pids(self) -> dict[str, int]:
        """The process of each program that runs."""
        return {
            name: r.child.pid
            for name, r in self._running.items()
            if r.child is not None and r.child.running
        }

    def log_of(self, name: str) -> Path:
        """Where a program's output goes."""
        return self._folder / f"{name}.log"

    async def stop(self) -> None:
        """End all at the same time, within :data:`STOP_SECONDS`."""
        self._stopping = True
        ending = [
            r.child.stop(STOP_SECONDS)
            for r in self._running.values()
            if r.child is not None
        ]
        for running in self._running.values():
            if running.notify is not None:
                running.notify.close()
        await DeferredList(ending)

    async def _begin(self, running: _Running) -> None:
        for name in running.step.after:
            await _fires(self._running[name].ready)
        if self._stopping:
            return
        program = running.step.make()
        env = {**_inherited(), **program.env}
        if running.notify is None and isinstance(program.ready, Notifies):
            running.notify = NotifySocket(self._reactor)
        if running.notify is not None:
            env["NOTIFY_SOCKET"] = running.notify.name
        started = child.Child(
            self._reactor,
            child.Program(
                argv=program.argv,
                env=env,
                cwd=self._folder,
                log=self.log_of(running.step.name),
            ),
            lambda how: self._ended(running, how),
        )
        running.child = started
        started.start()
        if running.ready.called:
            return
        late = self._reactor.callLater(running.step.patience, self._late, running)
        running.ready.addBoth(_cancelled, late)
        match program.ready:
            case Notifies():
                assert running.notify is not None
                running.notify.ready.addCallback(lambda _: _fire(running.ready))
            case FileAppears():
                await appears(self._reactor, program.ready)
                _fire(running.ready)
            case Answers():
                await answers(self._reactor, program.ready)
                _fire(running.ready)
            case Ends():
                running.is_done_once = True

    def _late(self, running: _Running) -> None:
        if not running.ready.called:
            why = f"not ready after {running.step.patience:.0f} s"
            running.ready.errback(self._words(running, why))

    def _never_ready(self, failure: Failure, running: _Running) -> None:
        if not running.ready.called:
            running.ready.errback(failure)

    def _ended(self, running: _Running, how: str) -> None:
        if self._stopping:
            return
        if running.is_done_once and how == "ended":
            _fire(running.ready)
            return
        words = self._words(running, how)
        if not running.ready.called:
            running.ready.errback(words)
        elif running.step.restart and running.restarts < _MOST_RESTARTS:
            running.restarts += 1
            self._say(f"{words}\n{running.step.name} is started again")
            self._reactor.callLater(_RESTART_SECONDS, self._again, running)
        else:
            self._died(words)

    def _again(self, running: _Running) -> None:
        if not self._stopping:
            begun = Deferred.fromCoroutine(self._begin(running))
            begun.addErrback(lambda f: self._died(ProgramDied(f.getErrorMessage())))

    def _words(self, running: _Running, how: str) -> ProgramDied:
        name = running.step.name
        try:
            with self.log_of(name).open(errors="replace") as log:
                lines = "".join(f"  | {line}" for line in deque(log, _LAST_LINES))
        except FileNotFoundError:
            lines = ""
        return ProgramDied(f"{name} {how}; its last words:\n{lines.rstrip()}")


def _fire(ready: Deferred[None]) -> None:
    if not ready.called:
        ready.callback(None)


def _fires(ready: Deferred[None]) -> Deferred[None]:
    """A Deferred of one's own that fires with *ready*, which many wait for."""
    own: Deferred[None] = Deferred()

    def pass_on(outcome: Any) -> Any:
        own.callback(outcome)
        return None if isinstance(outcome, Failure) else outcome

    ready.addBoth(pass_on)
    return own


def _cancelled(outcome: Any, late: Any) -> Any:
    if late.active():
        late.cancel()
    return outcome


def _inherited() -> dict[str, str]:
    """Of our own environment, what a service would have."""
    kept = ("PATH", "HOME", "LANG", "TMPDIR", "SSL_CERT_FILE", "S4_CRASH_AT", VARIABLE)
    return {name: os.environ[name] for name in kept if name in os.environ}
