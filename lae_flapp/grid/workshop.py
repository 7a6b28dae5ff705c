"""What all workers share: the journal, the doors, the clock."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from random import Random

from attrs import Factory, define, field
from twisted.internet.interfaces import IReactorTime

from lae_flapp.backup.continuous import IBackup, Unbacked
from lae_flapp.cell_settings import CellSettings
from lae_flapp.effects.carrying_out import Effects
from lae_flapp.effects.payments import IPayments
from lae_flapp.grid.limits import Limits
from lae_flapp.journal.journal import Journal
from lae_protocol.furl import Furl
from lae_protocol.ids import GridLabel
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
from lae_provision.errors import TryLater


@define
class LookedBack:
    """Whether what a restored journal may not know was looked for; no host is launched
    before.

    *unfenced_at* is when the state bucket was last asked, and had no news of a recovery
    elsewhere (:mod:`lae_flapp.restored.fencing`): good for *unfenced_for* seconds.
    """

    done: bool = True
    unfenced_at: float = float("inf")
    unfenced_for: float = 0.0

    def is_unfenced(self, now: float) -> bool:
        """Whether no other machine can have recovered this deployment by now."""
        return now < self.unfenced_at + self.unfenced_for

    def raise_unless_alone(self, now: float) -> None:
        """Raise TryLater where another daemon may work for this deployment."""
        if not self.is_unfenced(now):
            raise TryLater(
                "fence", "it is not known whether another machine has taken over"
            )


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
    render_user_data: Callable[[Furl, GridLabel, str | None], Secret]
    new_bootstrap: Callable[[], Furl]
    cells: Mapping[str, CellSettings]
    deployment: str
    livemode: bool
    limits: Limits = field(factory=Limits)
    random: Random = field(factory=Random)
    #: What may not be lost with this machine waits for it.
    backup: IBackup = field(factory=Unbacked)
    looked_back: LookedBack = field(factory=LookedBack)
    #: When this daemon began, on its clock.
    began_at: float = field(
        init=False, default=Factory(lambda self: self.clock.seconds(), takes_self=True)
    )

    @property
    def effects(self) -> Effects:
        """How to carry out an effect."""
        return Effects(self.journal, self.sealer)
