"""The connection that a call came over, for whoever answers the call."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar

from attrs import define


@define(frozen=True, eq=False)
class Peer:
    """The other end of a connection.

    *address* is its neighbourhood.  *refused* is told the name of the share for which
    a call was too much.
    """

    address: str
    refused: Callable[[str], object]


def _ignore(_: str) -> None:
    """A call that came over no connection of a gate is answered at once."""


NO_CONNECTION = Peer("local", _ignore)
#: Who called what runs in this context, and what it awaits.
ASKED_FROM: ContextVar[Peer] = ContextVar("ASKED_FROM", default=NO_CONNECTION)
