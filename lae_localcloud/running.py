"""Runs one part of the local cloud in the foreground, until a signal ends it."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Coroutine
from typing import Any, Protocol, TextIO

import click
from twisted.internet.defer import Deferred
from twisted.logger import Logger, globalLogBeginner
from twisted.python.failure import Failure

from lae_protocol.process.log import observer
from lae_protocol.process.readiness import notify

#: Shells start background jobs with SIGINT ignored: all three are set by us.
ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Part(Protocol):
    """What can be run."""

    async def start(self) -> Any:
        """Come up; what it answers is told to the caller of :func:`run`."""
        ...

    async def stop(self) -> None:
        """Go down, whatever of it had come up."""
        ...


def run(
    reactor: Any,
    make: Callable[[Callable[[int], None]], Part],
    started: Callable[[Any], str],
    log: TextIO | None = None,
) -> int:
    """Run a part until SIGINT, SIGTERM or SIGHUP; the exit code.

    *make* gets a function with which the part itself can end the run, with a code.
    *started* makes the text for people from what starting answered.  The log goes to
    *log*, standard error by default.
    """
    observers = [observer(log or sys.stderr, "text")]
    globalLogBeginner.beginLoggingTo(observers, redirectStandardIO=False)
    running = _Running(reactor, make, started)
    reactor.callWhenRunning(running.begin)
    reactor.run()
    return running.code


class _Running:
    _log = Logger()

    def __init__(
        self,
        reactor: Any,
        make: Callable[[Callable[[int], None]], Part],
        started: Callable[[Any], str],
    ) -> None:
        self._reactor, self._started = reactor, started
        self._ending = False
        self.code = 0
        self._part = make(self._end)

    def begin(self) -> None:
        """The reactor runs: signals are ours now."""
        for number in ENDING:
            signal.signal(number, self._signalled)
        self._spawn(self._start())

    def _signalled(self, number: int, frame: Any) -> None:
        del number, frame
        self._reactor.callFromThread(self._end)

    async def _start(self) -> None:
        facts = await self._part.start()
        if not self._ending:
            click.echo(self._started(facts))
            notify("READY=1")

    def _end(self, code: int = 0) -> None:
        if not self._ending:
            self._ending = True
            self.code = code
            notify("STOPPING=1")
            self._spawn(self._stop())

    async def _stop(self) -> None:
        try:
            await self._part.stop()
        finally:
            self._reactor.stop()

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        Deferred.fromCoroutine(work).addErrback(self._failed)

    def _failed(self, failure: Failure) -> None:
        if self._ending:
            # What was starting when it had to end.
            return
        click.echo(f"failed: {failure.getErrorMessage()}", err=True)
        self._log.failure("the local cloud", failure=failure)
        self._end(1)
