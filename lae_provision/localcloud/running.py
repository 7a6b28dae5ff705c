"""Runs one part of the local cloud in the foreground, until a signal ends it."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Coroutine
from typing import Any, Protocol

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
    reactor: Any, part: Part, started: Callable[[Any], str], stdlog: Any = None
) -> int:
    """Run *part* until SIGINT, SIGTERM or SIGHUP; the exit code.

    *started* makes the text for people from what starting answered.  The log goes to
    standard error.
    """
    log = observer(stdlog or sys.stderr, "text")
    globalLogBeginner.beginLoggingTo([log], redirectStandardIO=False)
    running = _Running(reactor, part, started)
    reactor.callWhenRunning(running.begin)
    reactor.run()
    return running.code


class _Running:
    _log = Logger()

    def __init__(self, reactor: Any, part: Part, started: Callable[[Any], str]) -> None:
        self._reactor, self._part, self._started = reactor, part, started
        self._ending = False
        self.code = 0

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
        click.echo(self._started(facts))
        notify("READY=1")

    def _end(self) -> None:
        if not self._ending:
            self._ending = True
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
        click.echo(f"failed: {failure.getErrorMessage()}", err=True)
        self._log.failure("the local cloud", failure=failure)
        self.code = 1
        if self._ending:
            self._reactor.stop()
        else:
            self._end()
