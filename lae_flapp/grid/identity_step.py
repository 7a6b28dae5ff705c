"""Step 1: the grid's keys."""

from __future__ import annotations

from attrs import define

from lae_flapp.effects.carrying_out import Rendered
from lae_flapp.grid import requests
from lae_flapp.grid.record import Record
from lae_flapp.grid.sights import Glance
from lae_flapp.grid.step import glance_at
from lae_flapp.grid.workshop import Workshop
from lae_flapp.journal import identities
from lae_flapp.journal.effects import Ticket
from lae_flapp.journal.transaction import WriteTx
from lae_protocol import wire
from lae_protocol.ids import Generation
from lae_provision.doors import Sealed, identity_key
from lae_provision.errors import Refused

#: The vault's documents describe themselves, the key that sealed them included.
_KEY_ID = "in the document"


@define(frozen=True)
class IdentityStep:
    """1. The grid's keys, sealed off this machine before anybody sees the furl."""

    shop: Workshop

    async def find(self, record: Record) -> Glance:
        """Look into the vault; what lies there is the identity, whoever put it."""
        shop, signup = self.shop, record.signup
        key = identity_key(signup.signup_id, requests.IDENTITY_GENERATION)
        found = await shop.vault.get(key)
        kept = record.identity
        if found is not None and kept is not None and kept.sealed != found.body:
            raise Refused("identity-differs", "journal and vault have two identities")
        return glance_at(shop, found)

    async def render(self, record: Record, ticket: Ticket, glance: Glance) -> Rendered:
        """Take the one there is, in the vault or in the journal; else make one."""
        kept = record.identity
        if isinstance(glance.what, Sealed):
            sealed = glance.what
        elif kept is not None:
            sealed = Sealed(kept.vault_key, kept.sealed)
        else:
            sealed = await self._fresh(record)

        def also(tx: WriteTx) -> None:
            identities.put(
                tx,
                ticket.key.signup_id,
                Generation(requests.IDENTITY_GENERATION),
                sealed.body,
                key_id=_KEY_ID,
                vault_key=sealed.key,
            )

        return Rendered(wire.encode(sealed), also=also)

    async def send(self, record: Record, request: bytes) -> str:  # noqa: ARG002  (Step)
        """Put it into the vault, never over another; and see that the journal's backup
        has it, before anybody sees the furl.
        """
        shop, sealed = self.shop, wire.decode(Sealed, request)
        await shop.vault.put(sealed)
        await shop.backup.secure()
        return str(sealed.key)

    def settled(self, tx: WriteTx, record: Record, outcome: str) -> None:  # noqa: ARG002  (Step)
        """From here on the furl is shown."""
        generation = Generation(requests.IDENTITY_GENERATION)
        identities.vaulted(tx, record.signup.signup_id, generation)

    async def _fresh(self, record: Record) -> Sealed:
        shop, signup = self.shop, record.signup
        cell = shop.cells[signup.cell.name]
        ports = await shop.journal.write(requests.ports, signup, cell)
        request = requests.identity(signup, cell, ports)
        made = await shop.identities.make(request)
        sealed: Sealed = made.sealed
        return sealed
