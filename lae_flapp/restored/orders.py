"""What was ordered with a Checkout session, as Stripe alone knows it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import stripe
from attrs import define

from lae_flapp.effects.payments import CheckoutSession
from lae_flapp.money.stripe.calls import StripeCalls
from lae_flapp.money.stripe.prices import FoundPrice, price_from
from lae_flapp.money.stripe.reading import plain
from lae_protocol.secret import Secret

#: A subscription in any other state is over, or never began.
_LIVES = frozenset({"active", "trialing", "past_due"})


@define(frozen=True)
class Order:
    """Who ordered what; *lives* tells whether the subscription goes on."""

    email: Secret
    price: FoundPrice
    language: str
    lives: bool


class IOrders(Protocol):
    """What was ordered, as the payment service knows it."""

    async def fetch(self, session: CheckoutSession) -> Order | None:
        """The order of a paid session; None where it has no subscription.

        Raises what :class:`~lae_flapp.effects.payments.IPayments` raises.
        """


@define(frozen=True)
class StripeOrders(IOrders):
    """Asks Stripe."""

    calls: StripeCalls

    async def fetch(self, session: CheckoutSession) -> Order | None:
        """See :meth:`IOrders.fetch`."""
        return await self.calls.ask("order", _fetching(session))


def _fetching(
    session: CheckoutSession,
) -> Callable[[stripe.StripeClient], Order | None]:
    def fetch(client: stripe.StripeClient) -> Order | None:
        if session.subscription is None or session.customer is None:
            return None
        held = plain(client.v1.subscriptions.retrieve(session.subscription))
        customer = plain(client.v1.customers.retrieve(session.customer))
        shown = plain(client.v1.checkout.sessions.retrieve(session.session_id))
        return order_from(held, customer, shown)

    return fetch


def order_from(
    subscription: dict[str, Any], customer: dict[str, Any], session: dict[str, Any]
) -> Order | None:
    """Read it; None where Stripe does not know whom to write to."""
    items = subscription["items"]["data"]
    details = session.get("customer_details") or {}
    email = customer.get("email") or details.get("email")
    if not email or len(items) != 1:
        return None
    language = session.get("locale")
    return Order(
        email=Secret(email),
        price=price_from(items[0]["price"]),
        language=language if language not in (None, "auto") else "en",
        lives=subscription["status"] in _LIVES,
    )
