"""Where a signup stands, and what the routine is to bring about for it.

One frozen class per standing, each with only what is true in it; :func:`goal_of` is
total.  Pure: no I/O, no Twisted, no clock.
"""

from __future__ import annotations

from typing import assert_never

from attrs import define


@define(frozen=True)
class Unpaid:
    """Registered, paying, or never paid: nothing is built."""


@define(frozen=True)
class Building:
    """Paid, and not served yet.  *generation* is that of the host being made."""

    generation: int


@define(frozen=True)
class Retiring:
    """Paid; the host of *generation* is not coming and makes room for the next."""

    generation: int


@define(frozen=True)
class Served:
    """Active: the host has proved itself, and the mail is in the outbox."""

    generation: int


@define(frozen=True)
class Withdrawing:
    """Cannot be served: on the one way back.  *money_back* once it was given; *data*
    where a former customer came back, whose bucket stays.
    """

    generation: int
    money_back: bool
    data: bool = False


@define(frozen=True)
class Stopping:
    """Not paid for longer than agreed: the host is shut down, and nothing deleted."""

    generation: int


@define(frozen=True)
class Ending:
    """The subscription is over: all goes but the data and the sealed identity."""

    generation: int


@define(frozen=True)
class Kept:
    """Ended; the data waits for its owner to come back, or for its time."""


@define(frozen=True)
class Erasing:
    """The time of the data is over: one way."""


@define(frozen=True)
class Over:
    """Refunded, cancelled or deleted, and nothing is left in the cloud."""


Standing = (
    Unpaid
    | Building
    | Retiring
    | Served
    | Withdrawing
    | Stopping
    | Ending
    | Kept
    | Erasing
    | Over
)


@define(frozen=True)
class Rest:
    """Change nothing."""


@define(frozen=True)
class Serve:
    """Everything exists, and a host of this generation has proved itself."""

    generation: int


@define(frozen=True)
class Replace:
    """The host of this generation is gone; then the next one's turn comes."""

    generation: int


@define(frozen=True)
class Withdraw:
    """The customer has their money back, and nothing is left in the cloud."""

    generation: int
    money_back: bool
    data: bool = False


@define(frozen=True)
class Stop:
    """The host of this generation is shut down."""

    generation: int


@define(frozen=True)
class End:
    """No host, role or record is left."""


@define(frozen=True)
class Erase:
    """No data is left."""


Goal = Rest | Serve | Replace | Withdraw | Stop | End | Erase


def goal_of(  # noqa: PLR0911  (one line per standing: the table)
    standing: Standing,
) -> Goal:
    """What the routine is to bring about."""
    match standing:
        case Unpaid() | Served() | Kept() | Over():
            return Rest()
        case Building(generation):
            return Serve(generation)
        case Retiring(generation):
            return Replace(generation)
        case Withdrawing(generation, money_back, data):
            return Withdraw(generation, money_back, data)
        case Stopping(generation):
            return Stop(generation)
        case Ending():
            return End()
        case Erasing():
            return Erase()
        case _:
            assert_never(standing)
