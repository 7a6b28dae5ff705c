"""Stripe's customer is told whose it is.

Checkout makes the customer, so our metadata is written to it after the payment: an
operator who looks there finds the signup, and so does a restored journal.  It is an
effect like any other, but nobody waits for it.
"""

from __future__ import annotations

from twisted.internet.task import deferLater
from twisted.logger import Logger

from lae_flapp.effects.payments import NameCustomer
from lae_flapp.grid.workshop import Workshop
from lae_flapp.journal import effects, signups
from lae_flapp.journal.effects import Effect, EffectKey
from lae_flapp.journal.transaction import WriteTx
from lae_protocol import wire
from lae_protocol.ids import SignupId
from lae_protocol.process.deadline import DeadlinePassed
from lae_provision.errors import Refused, TryLater

#: The step of effects that write to Stripe's customer.
STEP = "customer"
#: Seconds: not in the moment in which the customer waits for the furl.
LATER = 15.0


class CustomerName:
    """Writes it once for each signup; what fails is left to the reconciliation."""

    _log = Logger()

    def __init__(self, shop: Workshop) -> None:
        self._shop = shop

    async def write(self, signup_id: SignupId) -> None:
        """Write it a little later, unless that was done; a daemon that dies until then
        finds it begun.  Raises nothing that a door raises.
        """
        effect = await self._shop.journal.write(self._begun, signup_id)
        if effect is not None:
            await deferLater(self._shop.clock, LATER)
            await self.repeat(effect)

    async def repeat(self, effect: Effect) -> None:
        """Send the journaled request (again)."""
        shop = self._shop
        request = wire.decode(NameCustomer, effect.request or b"")
        try:
            await shop.outside(
                "payments.name_customer", lambda: shop.payments.name_customer(request)
            )
        except (TryLater, DeadlinePassed) as e:
            await shop.journal.write(effects.tried, effect.number, str(e))
        except Refused as e:
            self._log.error("a customer has no name: {problem}", problem=str(e))
            await shop.journal.write(effects.fail, effect.number, e.code)
        else:
            await shop.journal.write(effects.finish, effect.number, request.customer)

    @staticmethod
    def _begun(tx: WriteTx, signup_id: SignupId) -> Effect | None:
        signup = signups.get(tx, signup_id)
        key = EffectKey(signup_id, STEP, "name-customer")
        if effects.last(tx, key) is not None or signup.payment is None:
            return None
        upcoming = effects.upcoming(tx, key)
        if signup.payment.customer is None or isinstance(upcoming, Effect):
            return None
        request = NameCustomer(
            signup_id, upcoming.attempt, signup.cell.deployment, signup.payment.customer
        )
        return effects.begin(tx, upcoming, wire.encode(request))
