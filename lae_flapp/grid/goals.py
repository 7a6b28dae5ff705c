"""What the routine is to bring about for a signup.

One frozen class per goal, each with only what is true in it;
:func:`lae_flapp.grid.record.goal_of` says which one a signup has.  Pure: no I/O, no
Twisted, no clock.
"""

from __future__ import annotations

from attrs import define


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
class Permit:
    """The role lets the host do what its customer's state allows: write, or only read.
    All else stays as it is.
    """


@define(frozen=True)
class Lead:
    """The name leads to the host's address, which may be another than it was."""


@define(frozen=True)
class Withdraw:
    """Cannot be served: the customer has their money back (*money_back* once it was
    given), and nothing is left in the cloud; or, with *data*, the bucket of a former
    customer who came back.
    """

    money_back: bool
    data: bool = False


@define(frozen=True)
class Stop:
    """Not paid for longer than agreed: no host of this generation and no name of one is
    left.  All else stays, so that the next generation is built when it is paid.
    """

    generation: int


@define(frozen=True)
class End:
    """The subscription is over: no host, role or record is left."""


@define(frozen=True)
class Erase:
    """The time of the data is over: none is left."""


Goal = Rest | Serve | Permit | Lead | Replace | Withdraw | Stop | End | Erase
