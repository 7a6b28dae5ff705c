"""What customers cost and pay in a month, as operators see it.

Amounts are in the currency that the customer agreed to, in its own units, to a
millionth.  See :mod:`lae_protocol.messages` for what holds of all messages.
"""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import ClassVar

from attrs import astuple, define

from lae_protocol.ids import SignupId
from lae_protocol.question import KB, Question

NOTHING = Decimal(0)


@define(frozen=True)
class MonthCosts:
    """What a month of one grid costs, by part.

    *tax* and *stripe* are taken from what is paid; *instance*, *volume* and *address*
    are the host's; *stored*, *older* (versions that are not current) and *requests*
    the bucket's; *egress* is traffic to clients.
    """

    tax: Decimal = NOTHING
    stripe: Decimal = NOTHING
    instance: Decimal = NOTHING
    volume: Decimal = NOTHING
    address: Decimal = NOTHING
    stored: Decimal = NOTHING
    older: Decimal = NOTHING
    requests: Decimal = NOTHING
    egress: Decimal = NOTHING

    @property
    def total(self) -> Decimal:
        """All parts."""
        return sum(astuple(self), NOTHING)

    def plus(self, other: MonthCosts) -> MonthCosts:
        """Both, part by part."""
        pairs = zip(astuple(self), astuple(other), strict=True)
        return MonthCosts(*(one + another for one, another in pairs))


@define(frozen=True)
class CostLine:
    """What one customer cost and paid, in *currency*."""

    signup_id: SignupId
    state: str
    email: str
    plan_id: str
    currency: str
    paid: Decimal
    costs: MonthCosts

    @property
    def left(self) -> Decimal:
        """What was earned."""
        return self.paid - self.costs.total


@define(frozen=True)
class CostsPage:
    """Some customers of a month, newest first; *cursor* is where the next page begins.

    The costs are those from *since* until *until*, which is now in the present month;
    the price list is of *as_of*, and *old* says where that is long ago.  *deployment*
    is what the deployment itself cost in that time, in *currency*.
    """

    lines: tuple[CostLine, ...]
    cursor: str | None
    since: datetime
    until: datetime
    as_of: date
    old: str | None
    currency: str
    deployment: Decimal


@define(frozen=True)
class ListCosts(Question[CostsPage]):
    """Ask what customers cost in *month* (``2026-11``; None is the present one)."""

    LARGEST_ANSWER: ClassVar[int] = 1024 * KB

    month: str | None = None
    cursor: str | None = None
    limit: int = 100
