"""What the routine is given: small callables for steps, and who settles dues."""

from __future__ import annotations

from typing import Protocol

from lae_flapp.effects.payments import Purpose
from lae_flapp.journal.sessions import Session
from lae_protocol.furl import Furl
from lae_protocol.ids import SignupId
from lae_protocol.secret import Secret
from lae_provision.doors import HostKey


class NewBootstrap(Protocol):
    """Make the furl of one launch: a fresh swissnum on the hosts' Tub; no effect.

    The routine journals the swissnum's hash (``hosts.issue_bootstrap``) together with
    the launch's effect, so that no launch has a furl that nobody knows.
    """

    def __call__(self) -> Furl:
        """The furl, which only the user-data of this launch will hold."""


class RenderUserData(Protocol):
    """Ignition JSON for a host (:mod:`lae_provision.hosts`); pure."""

    def __call__(self, key: HostKey, bootstrap: Furl) -> Secret:
        """The user-data, at most 16,384 bytes."""


class Dues(Protocol):
    """What is due at the payment service goes before anything that is built; that the
    plan says so, and the worker waits for it, is all that the routine knows of money.

    Both raise what :class:`~lae_flapp.effects.payments.IPayments` raises, and are safe
    to repeat.
    """

    async def give_back(self, session: Session, purpose: Purpose) -> None:
        """Cancel and refund one payment."""

    async def tell(self, signup_id: SignupId) -> None:
        """Tell Stripe what was decided of the subscription."""
