"""Steps 2 and 3: where the shares lie, and who may touch them."""

from __future__ import annotations

from attrs import define

from lae_flapp.effects.carrying_out import Rendered
from lae_flapp.grid import requests
from lae_flapp.grid.moves import WHO
from lae_flapp.grid.record import READ_ONLY, Record
from lae_flapp.grid.sights import Glance
from lae_flapp.grid.step import glance_at
from lae_flapp.grid.workshop import Workshop
from lae_flapp.journal import events
from lae_flapp.journal.effects import Ticket
from lae_flapp.journal.transaction import WriteTx
from lae_protocol import wire
from lae_provision.doors import BucketRequest, RoleRequest


@define(frozen=True)
class BucketStep:
    """2. The customer's bucket."""

    shop: Workshop

    async def find(self, record: Record) -> Glance:
        """By its name."""
        shop, name = self.shop, requests.resource_name(record.signup)
        found = await shop.buckets.find(name)
        return glance_at(shop, found)

    async def render(self, record: Record, ticket: Ticket, glance: Glance) -> Rendered:  # noqa: ARG002  (Step)
        """Everything from the row."""
        cell = self.shop.cells[record.signup.cell.name]
        return Rendered(wire.encode(requests.bucket(record.signup, cell)))

    async def send(self, record: Record, request: bytes) -> str:  # noqa: ARG002  (Step)
        """Make it, or what is missing of it."""
        shop, bucket = self.shop, wire.decode(BucketRequest, request)
        await shop.buckets.make(bucket)
        return str(bucket.name)

    def settled(self, tx: WriteTx, record: Record, outcome: str) -> None:
        """Nothing but the effect."""

    async def unmake(self, record: Record, glance: Glance) -> None:  # noqa: ARG002  (Step)
        """Objects and all."""
        shop, name = self.shop, requests.resource_name(record.signup)
        # A journal that was lost does not know who came back meanwhile.
        shop.looked_back.raise_unless_alone(shop.clock.seconds())
        await shop.buckets.unmake(name)


@define(frozen=True)
class RoleStep:
    """3. What the customer's host may do: its own bucket."""

    shop: Workshop

    async def find(self, record: Record) -> Glance:
        """By its name."""
        shop, name = self.shop, requests.resource_name(record.signup)
        found = await shop.roles.find(name)
        return glance_at(shop, found)

    async def render(self, record: Record, ticket: Ticket, glance: Glance) -> Rendered:  # noqa: ARG002  (Step)
        """Everything from the row."""
        cell = self.shop.cells[record.signup.cell.name]
        return Rendered(wire.encode(requests.role(record.signup, cell)))

    async def send(self, record: Record, request: bytes) -> str:  # noqa: ARG002  (Step)
        """Make it, or what is missing of it; what it may do is replaced."""
        shop, role = self.shop, wire.decode(RoleRequest, request)
        arn = await shop.roles.make(role)
        return arn if role.writes else arn + READ_ONLY

    def settled(self, tx: WriteTx, record: Record, outcome: str) -> None:
        """Say what it may do now, where that was changed for a customer."""
        if record.signup.state != "paid":
            events.note(tx, record.signup.signup_id, "role-changed", WHO, outcome)

    async def unmake(self, record: Record, glance: Glance) -> None:  # noqa: ARG002  (Step)
        """Role, policy and instance profile."""
        shop, name = self.shop, requests.resource_name(record.signup)
        await shop.roles.unmake(name)
