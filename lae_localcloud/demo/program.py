"""What the demo runs: programs, how each says it is ready, and what it waits for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from attrs import define, field


@define(frozen=True)
class Notifies:
    """Ready when it says ``READY=1`` on the socket that ``NOTIFY_SOCKET`` names."""


@define(frozen=True)
class FileAppears:
    """Ready when this file is there; it must be renamed into place, whole."""

    path: Path


@define(frozen=True)
class Answers:
    """Ready when a GET of this URL is answered with a status below 500."""

    url: str


@define(frozen=True)
class Ends:
    """Ready when it has ended well: what is done once."""


Readiness = Notifies | FileAppears | Answers | Ends


@define(frozen=True)
class Program:
    """One process.  Secrets are in files that *argv* names, never in it."""

    argv: tuple[str, ...]
    env: dict[str, str] = field(factory=dict, repr=False)
    ready: Readiness = field(factory=Notifies)


@define(frozen=True)
class Step:
    """A program by name, started when all in *after* are ready.

    *make* is called then, so that it can read what the others wrote (and write the
    configuration of its own).  *restart*: run it again when it dies, as systemd would;
    what forgets everything when it dies must not be.
    """

    name: str
    make: Callable[[], Program]
    after: tuple[str, ...] = ()
    restart: bool = False
    patience: float = 30.0
