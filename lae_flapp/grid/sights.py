"""What the routine has seen of a step: journal and cloud taken together.

"Asked for without an answer" and "made but not visible yet" are states of their own:
in both the routine looks again, and never makes a second one.  Times are seconds on
the caller's clock.
"""

from __future__ import annotations

from enum import Enum
from typing import Any, assert_never

from attrs import define

from lae_flapp.grid.steps import StepName


@define(frozen=True)
class Unlooked:
    """This process has not looked yet, so nothing may be made."""


@define(frozen=True)
class Absent:
    """Not there, and nothing that was asked for is unanswered."""


@define(frozen=True)
class Asked:
    """Asked for at *since* (last), never answered; at *looked* it was not there."""

    since: float
    looked: float


@define(frozen=True)
class Invisible:
    """Made at *since*, as its outcome says; at *looked* it was not to be seen."""

    since: float
    looked: float


@define(frozen=True)
class Spent:
    """The last attempt, of *since*, failed so that the next one needs a new token.

    An earlier copy of the same request may still be on its way, so the next attempt
    waits as long as anything may stay invisible.
    """

    since: float
    looked: float


@define(frozen=True)
class Unsettled:
    """There, perhaps half made: what was asked for was never answered."""


@define(frozen=True)
class Broken:
    """There, and not as it should be: a stopped host, a record of another address."""


@define(frozen=True)
class Astray:
    """There, and leading to what is not ours any more: it is removed, whatever comes
    in its place.
    """


@define(frozen=True)
class Awaited:
    """Somebody else will do it, and is given until *deadline*."""

    deadline: float


@define(frozen=True)
class Present:
    """There, and as it should be."""


Sight = (
    Unlooked
    | Absent
    | Asked
    | Invisible
    | Spent
    | Unsettled
    | Broken
    | Astray
    | Awaited
    | Present
)


@define(frozen=True)
class NotAsked:
    """The journal knows of nothing that was asked for, or it was removed again."""


@define(frozen=True)
class Open:
    """The journal has the effect of *at* without an outcome."""

    at: float


@define(frozen=True)
class Made:
    """The journal has an outcome of *at*."""

    at: float


@define(frozen=True)
class Failed:
    """The last attempt failed for good at *at*."""

    at: float


Written = NotAsked | Open | Made | Failed


class There(Enum):
    """What looking showed."""

    NO = "no"
    YES = "yes"
    BROKEN = "broken"
    ASTRAY = "astray"


@define(frozen=True)
class Glance:
    """A look at the cloud, at *at*; *what* is what the door answered."""

    at: float
    there: There
    what: Any = None


def sight_of(written: Written, glance: Glance | None, sent: float) -> Sight:
    """Take journal and cloud together.

    *sent* is when this process, or one before it, may last have sent the request.
    """
    if glance is None:
        return Unlooked()
    if glance.there is There.NO:
        return _missing(written, glance.at, sent)
    match written:
        case Made() if glance.there is There.YES:
            return Present()
        case Open():
            return Unsettled()
        case _ if glance.there is There.ASTRAY:
            return Astray()
        case _:
            return Broken()


def _missing(written: Written, looked: float, sent: float) -> Sight:
    match written:
        case NotAsked():
            return Absent()
        case Open(at):
            return Asked(max(at, sent), looked)
        case Made(at):
            return Invisible(at, looked)
        case Failed(at):
            return Spent(at, looked)
        case _:
            assert_never(written)


@define(frozen=True)
class Sights:
    """All steps as seen at *now*; what is not listed is not looked at yet.

    *owed* are payments of this signup that are not kept and not given back yet;
    *granted* says whether an operator gives some of the kept one back, *untold* whether
    Stripe does not know yet what was decided.
    """

    now: float
    seen: tuple[tuple[StepName, Sight], ...] = ()
    owed: tuple[str, ...] = ()
    granted: bool = False
    untold: bool = False

    def of(self, step: StepName) -> Sight:
        """What was seen of *step*."""
        return dict(self.seen).get(step, Unlooked())
