"""What a step is; the steps themselves are listed in :mod:`.steps`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from attrs import define

from lae_flapp.grid.record import Record
from lae_flapp.grid.sights import Glance, There
from lae_flapp.grid.workshop import Workshop
from lae_flapp.journal.effects import Effect, Ticket
from lae_flapp.journal.events import PublicKind
from lae_flapp.journal.transaction import WriteTx


class NotYet(Exception):
    """What this step needs is not there yet; look again after a moment."""


@define(frozen=True)
class Rendered:
    """A request as bytes; *secret* ones are sealed; *also* is journaled with it."""

    request: bytes
    secret: bool = False
    also: Callable[[WriteTx], object] = lambda _: None


class Step(Protocol):
    """One step with an effect outside; see the module."""

    @property
    def announces(self) -> PublicKind:
        """The event that customers see when it is settled."""

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


def context_of(effect: Effect | Ticket) -> str:
    """What a sealed request is bound to."""
    return effect_context(effect.token)


def effect_context(token: str) -> str:
    """The same, by the effect's token."""
    return f"effect {token}"
