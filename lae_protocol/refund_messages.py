"""What operators give back of a customer's last payment.

See :mod:`lae_protocol.messages` for what holds of all messages.
"""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar

from attrs import define

from lae_protocol.ids import SignupId
from lae_protocol.messages import Done
from lae_protocol.question import KB, Question


@define(frozen=True)
class PaymentView:
    """What a customer was charged last, and what of it went back until now; in the
    smallest unit of *currency*.
    """

    amount: int
    given_back: int
    currency: str
    paid_at: datetime

    @property
    def left(self) -> int:
        """What can still be given back."""
        return max(0, self.amount - self.given_back)


@define(frozen=True)
class AskLastPayment(Question[PaymentView]):
    """Ask what of a customer's payments can be given back."""

    signup_id: SignupId


@define(frozen=True)
class RefundPayment(Question[Done]):
    """Give *amount* of the last payment back; the subscription goes on as it does.

    *seen* is what the operator saw: if another payment came by now, or more went back,
    nothing changes.
    """

    LARGEST: ClassVar[int] = 8 * KB

    signup_id: SignupId
    amount: int
    seen: PaymentView
    why: str
