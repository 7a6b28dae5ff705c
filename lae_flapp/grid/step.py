"""What a step is; the steps themselves are listed in :mod:`.makers`."""

from __future__ import annotations

from typing import Protocol

from lae_flapp.effects.carrying_out import Rendered
from lae_flapp.grid.record import Record
from lae_flapp.grid.sights import Glance, There
from lae_flapp.grid.workshop import Workshop
from lae_flapp.journal.effects import Ticket
from lae_flapp.journal.transaction import WriteTx


class NotYet(Exception):
    """What this step needs is not there yet, in words; look again after a moment."""


class Step(Protocol):
    """One step with an effect outside; see the module."""

    async def find(self, record: Record) -> Glance:
        """Look."""

    async def render(self, record: Record, ticket: Ticket, glance: Glance) -> Rendered:
        """Say what will be asked for.  May raise :class:`NotYet`."""

    async def send(self, record: Record, request: bytes) -> str:
        """Ask; what came of it, without secrets.  Safe to repeat."""

    def settled(self, tx: WriteTx, record: Record, outcome: str) -> None:
        """Journal what came of it, besides the effect's own outcome."""


class Removable(Step, Protocol):
    """A step whose work stands in the cloud and is removed when it is withdrawn."""

    async def unmake(self, record: Record, glance: Glance) -> None:
        """Remove what was seen."""


def glance_at(shop: Workshop, what: object) -> Glance:
    """Take a door's answer for what is there now."""
    there = There.NO if what is None else There.YES
    return Glance(shop.clock.seconds(), there, what)
