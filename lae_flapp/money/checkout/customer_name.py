"""Stripe's customer is told whose it is.

Checkout makes the customer, so our metadata is written to it after the payment: an
operator who looks there finds the signup, and so does a restored journal.  It is an
effect like any other, but nobody waits for it.
"""

from __future__ import annotations

from twisted.internet.task import deferLater
from twisted.logger import Logger

from lae_flapp.effects.carrying_out import Rendered
from lae_flapp.effects.payments import NameCustomer
from lae_flapp.grid.workshop import Workshop
from lae_flapp.journal import effects, signups
from lae_flapp.journal.effects import EffectKey, Ticket
from lae_flapp.journal.transaction import ReadTx
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

    async def write(self, signup_id: SignupId, later: float = LATER) -> None:
        """Write it *later* (seconds), unless that was done; a daemon that dies until
        then finds it begun.  Raises nothing that a door raises.
        """
        shop = self._shop
        customer = await shop.journal.read(_unnamed, signup_id)
        if customer is None:
            return

        async def render(ticket: Ticket) -> Rendered:
            request = NameCustomer(signup_id, ticket.attempt, shop.deployment, customer)
            return Rendered(wire.encode(request))

        async def send(request: bytes) -> str:
            asked = wire.decode(NameCustomer, request)
            if later:
                await deferLater(shop.clock, later)
            await shop.payments.name_customer(asked)
            return customer

        try:
            await shop.effects.carry_out(
                _key(signup_id), render, send, lambda _tx, _effect, name: name
            )
        except (TryLater, DeadlinePassed) as e:
            self._log.info("a customer has no name yet: {problem}", problem=str(e))
        except Refused as e:
            self._log.error("a customer has no name: {problem}", problem=str(e))


def _key(signup_id: SignupId) -> EffectKey:
    return EffectKey(signup_id, STEP, "name-customer")


def _unnamed(tx: ReadTx, signup_id: SignupId) -> str | None:
    """The customer to write to, unless that was done, or refused."""
    last = effects.last(tx, _key(signup_id))
    payment = signups.get(tx, signup_id).payment
    if payment is None or (last is not None and last.state != "begun"):
        return None
    return payment.customer
