"""What all workers share: the journal, the doors, the clock, and how to call out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from random import Random
from typing import Any, TypeVar

from attrs import Factory, define, field
from twisted.internet.defer import Deferred, DeferredSemaphore
from twisted.internet.interfaces import IReactorTime

from lae_flapp.effects.carrying_out import Effects
from lae_flapp.grid.doors import NewBootstrap, RenderUserData
from lae_flapp.grid.limits import Limits
from lae_flapp.grid.requests import Ground
from lae_flapp.journal.journal import Journal
from lae_protocol.process.deadline import with_deadline
from lae_provision.doors import Sealer

T = TypeVar("T")


@define(frozen=True)
class Workshop:
    """Made once, in the daemon's ``service.py``.

    The doors are providers of :mod:`lae_provision.doors` and of
    :class:`~lae_flapp.effects.payments.IPayments`.  *grounds* has a
    :class:`~lae_flapp.grid.requests.Ground` for each cell, by its name;
    *livemode* is Stripe's.
    """

    journal: Journal
    clock: IReactorTime
    buckets: Any
    roles: Any
    hosts: Any
    addresses: Any
    vault: Any
    identities: Any
    payments: Any
    sealer: Sealer
    render_user_data: RenderUserData
    new_bootstrap: NewBootstrap
    grounds: Mapping[str, Ground]
    deployment: str
    livemode: bool
    limits: Limits = field(factory=Limits)
    random: Random = field(factory=Random)
    #: Whether what a restored journal may not know was looked for: no host before.
    looked_back: Callable[[], bool] = lambda: True
    #: When this daemon began, on its clock.
    began_at: float = field(
        init=False, default=Factory(lambda self: self.clock.seconds(), takes_self=True)
    )
    _gates: dict[str, DeferredSemaphore] = field(factory=dict, init=False)

    @property
    def effects(self) -> Effects:
        """How to carry out an effect."""
        return Effects(self.journal, self.sealer)

    def outside(self, what: str, ask: Callable[[], Deferred[T]]) -> Deferred[T]:
        """Ask a door: not too many at a time, and never without an end.

        *what* is ``door.method``; each door has a gate of its own, so that one that
        hangs keeps nobody from the others.

        Raises what the door does, and
        :class:`~lae_protocol.process.deadline.DeadlinePassed`.
        """

        def bounded() -> Deferred[T]:
            return with_deadline(self.clock, self.limits.call, what, ask())

        door = what.partition(".")[0]
        gate = self._gates.get(door)
        if gate is None:
            gate = self._gates[door] = DeferredSemaphore(self.limits.together)
        asked: Deferred[T] = gate.run(bounded)
        return asked
