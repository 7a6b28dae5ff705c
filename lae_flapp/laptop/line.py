"""The line from a command to the daemon: one furl, some questions, then the end."""

from __future__ import annotations

import signal
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, TypeVar

import click
from foolscap.api import RemoteException, Tub
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater, react

from lae_flapp.laptop.options import AWAY, INTERRUPTED, confirm
from lae_flapp.laptop.settings import Where
from lae_protocol.furl import Furl
from lae_protocol.messages import Refused
from lae_protocol.process.call import FacetAway, FacetError, FacetRefused, ask
from lae_protocol.process.deadline import DeadlinePassed, with_deadline
from lae_protocol.process.passing import passing_certificate
from lae_protocol.process.tub import make_tub
from lae_protocol.question import A, Question
from lae_protocol.wire import MalformedMessage

T = TypeVar("T")

# So that `lae` says within 5 s that a daemon is away or frozen.
CONNECT = 3.5  # s
ANSWER = 4.0  # s
HANG_UP = 0.3  # s
# The daemon answers an operator some hundred questions a second.
BUSY = 0.5  # s
BUSY_TRIES = 5


_NOT_OURS = "this furl is not an operator's, or the daemon is of another release"


class Away(click.ClickException):
    """The daemon does not answer."""

    exit_code = AWAY


class Line:
    """A connection to the daemon as this operator."""

    def __init__(self, reactor: Any, furl: Furl) -> None:
        self._reactor, self._furl = reactor, furl
        self._tub: Tub | None = None
        self._reference: Any = None

    async def connect(self) -> None:
        """Find the daemon; raises a ClickException in one line."""
        self._tub = make_tub(pem=passing_certificate())
        self._tub.startService()
        self._reference = await _connected(self._reactor, self._tub, self._furl)

    async def hang_up(self) -> None:
        """End the connection, whatever the peer does."""
        tub, self._tub = self._tub, None
        if tub is not None:
            with suppress(DeadlinePassed):
                await with_deadline(
                    self._reactor, HANG_UP, "hanging up", tub.stopService()
                )

    async def ask(self, question: Question[A], patience: float = 0.0) -> A:
        """Ask; a refusal, and a daemon that goes away, end the command in one line.

        Whoever asks much is told to wait, and does.
        """
        for _ in range(BUSY_TRIES):
            told = await self._ask(question, patience)
            if not isinstance(told, Refused) or told.code != "try-later":
                break
            await self.pause(BUSY)
        if isinstance(told, Refused):
            unknown = told.code in {"not-known-here", "version"}
            raise click.ClickException(_NOT_OURS if unknown else told.message)
        return told

    async def _ask(self, question: Question[A], patience: float) -> A | Refused:
        try:
            return await ask(
                self._reactor, self._reference, question, ANSWER + patience
            )
        except MalformedMessage:
            # The system passes on bytes that are no text as half characters.
            raise click.UsageError("What was typed is not UTF-8.") from None
        except FacetAway as e:
            raise Away(f"the daemon does not answer: {e}") from None
        except FacetRefused:
            raise click.ClickException(_NOT_OURS) from None

    async def sure(self, question: str, *, yes: bool) -> None:
        """Ask the person, unless it was said already; no raises click's Abort.

        Nothing else happens meanwhile, so that Ctrl-C ends it; the daemon may hang up
        on who thinks for long, so it is found again.
        """
        if yes:
            return
        handler = signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            confirm(question)
        finally:
            signal.signal(signal.SIGINT, handler)
        await self.hang_up()
        await self.connect()

    async def pause(self, seconds: float) -> None:
        """Wait a moment."""
        await deferLater(self._reactor, seconds)


def run(where: Where, work: Callable[[Line], Awaitable[T]]) -> T:
    """Connect to the daemon, do *work*, and end the reactor; once in a process."""
    furl = where.furl()
    outcome: list[T] = []
    problems: list[Exception] = []

    async def main(reactor: Any) -> None:
        line = Line(reactor, furl)
        try:
            await line.connect()
            outcome.append(await work(line))
        except Exception as e:  # noqa: BLE001  (raised again, out of the reactor)
            problems.append(e)
        finally:
            await line.hang_up()

    with suppress(SystemExit):
        react(lambda reactor: Deferred.fromCoroutine(main(reactor)))
    if problems:
        raise problems[0]
    if not outcome:
        # Ctrl-C: what was asked for is done or not, and the command's own last words
        # have said so.  To stop following a log needs none.
        raise click.exceptions.Exit(INTERRUPTED)
    return outcome[0]


async def _connected(reactor: Any, tub: Tub, furl: Furl) -> Any:
    where = ",".join(furl.hints)
    try:
        return await with_deadline(
            reactor, CONNECT, "the daemon", tub.getReference(furl.reveal())
        )
    except (DeadlinePassed, FacetError):
        raise Away(f"the daemon at {where} does not answer") from None
    except RemoteException:
        # It looked the name up; there is nothing else that can fail there.
        raise click.ClickException(
            f"the daemon at {where} does not know this furl"
        ) from None
    except Exception:  # noqa: BLE001  (foolscap and sockets raise many kinds)
        raise Away(f"the daemon at {where} cannot be reached") from None
