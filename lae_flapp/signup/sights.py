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
    """The journal has an effect without an outcome, and looking finds nothing."""

    since: float


@define(frozen=True)
class Invisible:
    """Made, as its outcome says; looking does not find it (yet)."""

    since: float


@define(frozen=True)
class Growing:
    """There, but of no use yet: a host without an address."""


@define(frozen=True)
class Awaited:
    """Somebody else will do it, and is given until *deadline*."""

    deadline: float


@define(frozen=True)
class Spent:
    """The last attempt ended so that the next one needs a new token."""


@define(frozen=True)
class Lost:
    """It was there and is gone."""


@define(frozen=True)
class Present:
    """There, and as it should be."""


Sight = (
    Unlooked | Absent | Asked | Invisible | Growing | Awaited | Spent | Lost | Present
)


@define(frozen=True)
class Sights:
    """All steps as seen at *now*; what is not listed is not looked at yet."""

    now: float
    seen: tuple[tuple[StepName, Sight], ...] = ()

    def of(self, step: StepName) -> Sight:
        """What was seen of *step*."""
        return dict(self.seen).get(step, Unlooked())
