"""What the routine has seen of a step: journal and cloud taken together.

"Asked for without an answer" and "made but not visible yet" are states of their own:
in both the routine looks again, and never makes a second one.  Times are seconds on
the caller's clock.
"""

from __future__ import annotations

from enum import Enum

from attrs import define


class StepName(Enum):
    """The steps, in their order."""

    IDENTITY = "identity"
    BUCKET = "bucket"
    ROLE = "role"
    HOST = "host"
    ADDRESS = "address"
    CLAIMED = "claimed"
    SELF_TEST = "self-test"
    MAIL = "mail"


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
class Growing:
    """There, but of no use yet."""


@define(frozen=True)
class Broken:
    """There, and not as it should be: a stopped host, a record of another address."""


@define(frozen=True)
class Awaited:
    """Somebody else will do it, and is given until *deadline*."""

    deadline: float


@define(frozen=True)
class Present:
    """There, and as it should be."""


Sight = (
    Unlooked | Absent | Asked | Invisible | Spent | Growing | Broken | Awaited | Present
)


@define(frozen=True)
class Sights:
    """All steps as seen at *now*; what is not listed is not looked at yet."""

    now: float
    seen: tuple[tuple[StepName, Sight], ...] = ()

    def of(self, step: StepName) -> Sight:
        """What was seen of *step*."""
        return dict(self.seen).get(step, Unlooked())
