"""What all workers share: the journal, the doors, the clock."""

from __future__ import annotations

from collections.abc import Mapping
from random import Random

from attrs import Factory, define, field
from twisted.internet.interfaces import IReactorTime

from lae_flapp.effects.carrying_out import Effects
from lae_flapp.effects.payments import IPayments
from lae_flapp.grid.doors import NewBootstrap, RenderUserData
from lae_flapp.grid.limits import Limits
from lae_flapp.grid.requests import Ground
from lae_flapp.journal.journal import Journal
from lae_provision.doors import (
    IAddresses,
    IBuckets,
    IHosts,
    IIdentities,
    IRoles,
    IVault,
    Sealer,
)


@define
class LookedBack:
    """Whether what a restored journal may not know was looked for; no host is launched
    before.
    """

    done: bool = True


@define(frozen=True)
class Workshop:
    """Made once, in the daemon's wiring.

    Each door is a :func:`~lae_flapp.effects.bounded.bounded` one.  *grounds* has a
    :class:`~lae_flapp.grid.requests.Ground` for each cell, by its name;
    *livemode* is Stripe's.
    """

    journal: Journal
    clock: IReactorTime
    buckets: IBuckets
    roles: IRoles
    hosts: IHosts
    addresses: IAddresses
    vault: IVault
    identities: IIdentities
    payments: IPayments
    sealer: Sealer
    render_user_data: RenderUserData
    new_bootstrap: NewBootstrap
    grounds: Mapping[str, Ground]
    deployment: str
    livemode: bool
    limits: Limits = field(factory=Limits)
    random: Random = field(factory=Random)
    looked_back: LookedBack = field(factory=LookedBack)
    #: When this daemon began, on its clock.
    began_at: float = field(
        init=False, default=Factory(lambda self: self.clock.seconds(), takes_self=True)
    )

    @property
    def effects(self) -> Effects:
        """How to carry out an effect."""
        return Effects(self.journal, self.sealer)
