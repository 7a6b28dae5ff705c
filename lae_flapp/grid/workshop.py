"""What all workers share: the journal, the doors, the clock."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from random import Random

from attrs import Factory, define, field
from twisted.internet.interfaces import IReactorTime

from lae_flapp.effects.carrying_out import Effects
from lae_flapp.effects.payments import IPayments
from lae_flapp.grid.limits import Limits
from lae_flapp.journal.journal import Journal
from lae_flapp.settings import CellSettings
from lae_protocol.furl import Furl
from lae_protocol.secret import Secret
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

    Each door is a :func:`~lae_flapp.effects.bounded.bounded` one.  *cells* are what
    there is to build on, by name; *livemode* is Stripe's.  *new_bootstrap* makes the
    furl of one launch, with a fresh name on the hosts' Tub, and *render_user_data* the
    Ignition JSON that alone holds it.
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
    render_user_data: Callable[[Furl], Secret]
    new_bootstrap: Callable[[], Furl]
    cells: Mapping[str, CellSettings]
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
