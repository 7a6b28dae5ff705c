"""What is due at the payment service goes before anything that is built; that the plan
says so, and the worker waits for it, is all that the routine knows of money.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from attrs import define

from lae_flapp.effects.payments import Purpose
from lae_flapp.grid.workshop import Workshop
from lae_flapp.journal.sessions import Session
from lae_protocol.ids import SignupId


@define(frozen=True)
class Dues:
    """How dues are settled; see :mod:`lae_flapp.money`.

    *give_back* cancels and refunds one payment; *tell* tells Stripe what was decided of
    a subscription.  Both raise what :class:`~lae_flapp.effects.payments.IPayments`
    raises, and are safe to repeat.
    """

    give_back: Callable[[Workshop, Session, Purpose], Awaitable[None]]
    tell: Callable[[Workshop, SignupId], Awaitable[None]]
