"""The line from a command to the daemon: one furl, some questions, then the end."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import click
from foolscap.api import RemoteException, Tub
from twisted.internet.defer import Deferred
from twisted.internet.task import react

from lae_protocol.furl import Furl, NotAFurl, WrongFurl, parse_facet_furl
from lae_protocol.messages import VERSION, Refused
from lae_protocol.process.call import FacetAway, FacetError, FacetRefused, call
from lae_protocol.process.deadline import DeadlinePassed, with_deadline
from lae_protocol.process.settings import SecretSource, SettingsError
from lae_protocol.process.tub import make_tub

T = TypeVar("T")

#: Seconds for the connection, for an answer, and for the end of the connection.
CONNECT, ANSWER, HANG_UP = 4.0, 5.0, 0.5
VARIABLE = "S4_OPERATOR_FURL_FILE"

#: How a command ends, for scripts.
AWAY, INTERRUPTED = 3, 130


class Away(click.ClickException):
    """The daemon does not answer; exit code 3."""

    exit_code = AWAY


def furl_file() -> Path:
    """Where the furl is, unless an option says otherwise."""
    if VARIABLE in os.environ:
        return Path(os.environ[VARIABLE])
    folder = os.environ.get("XDG_CONFIG_HOME") or Path("~/.config").expanduser()
    return Path(folder) / "s4" / "operator.furl"


def read_furl(path: Path) -> Furl:
    """Read a private file that holds one furl; raises a ClickException in one line."""
    try:
        return parse_facet_furl(SecretSource(file=path).read().reveal(), "o")
    except (SettingsError, NotAFurl, WrongFurl) as e:
        raise click.ClickException(
            f"no operator furl: {e}\nName its file with --furl-file or {VARIABLE}."
        ) from None


class Line:
    """A connection to the daemon as this operator."""

    def __init__(self, reactor: Any, reference: Any) -> None:
        self._reactor, self._reference = reactor, reference

    async def ask(
        self, method: str, message: Any, answer: Any, patience: float = 0.0
    ) -> Any:
        """Ask; a refusal, and a daemon that goes away, end the command in one line."""
        try:
            told = await call(
                self._reactor,
                self._reference,
                method,
                VERSION,
                message,
                answer,
                ANSWER + patience,
            )
        except FacetAway as e:
            raise Away(f"the daemon does not answer: {e}") from None
        except FacetRefused:
            raise click.ClickException(
                "this furl is not an operator's, or the daemon is of another release"
            ) from None
        if isinstance(told, Refused):
            raise click.ClickException(told.message)
        return told


def run(path: Path, work: Callable[[Line], Awaitable[T]]) -> T:
    """Connect with the furl in *path*, do *work*, and end the reactor."""
    furl = read_furl(path)
    outcome: list[T] = []
    problems: list[Exception] = []

    async def main(reactor: Any) -> None:
        tub = make_tub()
        tub.startService()
        try:
            reference = await _connect(reactor, tub, furl)
            outcome.append(await work(Line(reactor, reference)))
        except Exception as e:  # noqa: BLE001  (raised again, out of the reactor)
            problems.append(e)
        finally:
            with suppress(DeadlinePassed):
                await with_deadline(reactor, HANG_UP, "hanging up", tub.stopService())

    with suppress(SystemExit):
        react(lambda reactor: Deferred.fromCoroutine(main(reactor)))
    if problems:
        raise problems[0]
    if not outcome:
        # Ctrl-C is how one stops to follow a log: no word about it.
        raise click.exceptions.Exit(INTERRUPTED)
    return outcome[0]


async def _connect(reactor: Any, tub: Tub, furl: Furl) -> Any:
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
