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
    """Cannot be served: on the one way back.  *money_back* once it was given."""

    generation: int
    money_back: bool


@define(frozen=True)
class Over:
    """Refunded or cancelled, and nothing is left in the cloud."""


Standing = Unpaid | Building | Retiring | Served | Withdrawing | Over


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


Goal = Rest | Serve | Replace | Withdraw


def goal_of(standing: Standing) -> Goal:
    """What the routine is to bring about."""
    match standing:
        case Unpaid() | Served() | Over():
            return Rest()
        case Building(generation):
            return Serve(generation)
        case Retiring(generation):
            return Replace(generation)
        case Withdrawing(generation, money_back):
            return Withdraw(generation, money_back)
        case _:
            assert_never(standing)
