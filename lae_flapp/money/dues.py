"""What the routine has done at Stripe, first of all that a signup needs."""

from __future__ import annotations

from attrs import define

from lae_flapp.effects.payments import Purpose
from lae_flapp.grid.workshop import Workshop
from lae_flapp.journal.sessions import Session
from lae_flapp.life import telling
from lae_flapp.money import payment
from lae_protocol.ids import SignupId


@define(frozen=True)
class StripeDues:
    """See :class:`~lae_flapp.grid.doors.Dues`."""

    shop: Workshop

    async def give_back(self, session: Session, purpose: Purpose) -> None:
        """See there."""
        await payment.give_back(self.shop, session, purpose)

    async def tell(self, signup_id: SignupId) -> None:
        """See there."""
        await telling.tell(self.shop, signup_id)
