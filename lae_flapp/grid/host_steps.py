"""Steps 4 and 5: the customer's host, and the name that leads to it."""

from __future__ import annotations

from datetime import datetime

from attrs import define

from lae_flapp.effects.carrying_out import Rendered
from lae_flapp.grid import requests
from lae_flapp.grid.record import Record, written_of
from lae_flapp.grid.sights import Glance, Made, There
from lae_flapp.grid.step import NotYet, glance_at
from lae_flapp.grid.steps import StepName
from lae_flapp.grid.workshop import Workshop
from lae_flapp.journal import hosts
from lae_flapp.journal.effects import Ticket
from lae_flapp.journal.transaction import WriteTx
from lae_protocol import wire
from lae_protocol.secret import Secret
from lae_provision.doors import Host, LaunchRequest
from lae_provision.errors import TryLater

_ALIVE = frozenset({"pending", "running"})


@define(frozen=True)
class AddressRequest:
    """One record; *address* is empty where names are not ours to make."""

    name: str
    address: str


@define(frozen=True)
class Launched:
    """The outcome of a launch."""

    instance_id: str
    launch_time: datetime


@define(frozen=True)
class HostStep:
    """4. The customer's host: one launch, one token, one furl for each generation."""

    shop: Workshop

    async def find(self, record: Record) -> Glance:
        """By its tags; a stopped or quarantined one is seen, and is to be replaced."""
        shop = self.shop
        key = requests.host_key(record.signup, record.generation)
        found = await shop.hosts.find(key)
        glance = glance_at(shop, found)
        quarantined = record.host is not None and record.host.state == "quarantined"
        if found is not None and (quarantined or found.state not in _ALIVE):
            return Glance(glance.at, There.BROKEN, found)
        return glance

    async def render(self, record: Record, ticket: Ticket, glance: Glance) -> Rendered:  # noqa: ARG002  (Step)
        """With a furl that nobody else gets; row, furl and effect are one commit."""
        shop, signup, generation = self.shop, record.signup, record.generation
        if record.launches_paused is not None:
            raise TryLater("paused", "launches are paused by an operator")
        if not shop.looked_back.done:
            raise TryLater("not-looked", "the cloud was not looked at since the start")
        furl = shop.new_bootstrap()
        cell = shop.cells[signup.cell.name]
        user_data = shop.render_user_data(furl)
        request = requests.launch(signup, cell, generation, ticket.token, user_data)

        def also(tx: WriteTx) -> None:
            begun = hosts.begin(tx, signup.signup_id)
            assert begun.generation == generation
            hosts.issue_bootstrap(
                tx,
                signup.signup_id,
                generation,
                Secret(furl.swissnum),
                tx.now + shop.limits.claim_span,
            )

        return Rendered(wire.encode(request), secret=True, also=also)

    async def send(self, record: Record, request: bytes) -> str:  # noqa: ARG002  (Step)
        """Launch; the same token again answers with the same instance."""
        shop, launch = self.shop, wire.decode(LaunchRequest, request)
        host = await shop.hosts.make(launch)
        return wire.encode(Launched(host.instance_id, host.launch_time)).decode()

    def settled(self, tx: WriteTx, record: Record, outcome: str) -> None:
        """The row names the instance; a claim must match it."""
        launched = wire.decode(Launched, outcome.encode())
        signup_id, generation = record.signup.signup_id, record.generation
        if hosts.get(tx, signup_id, generation).state == "wanted":
            hosts.launched(
                tx, signup_id, generation, launched.instance_id, launched.launch_time
            )

    async def unmake(self, record: Record, glance: Glance) -> None:  # noqa: ARG002  (Step)
        """Terminate the one that was seen."""
        assert isinstance(glance.what, Host)
        shop, instance_id = self.shop, glance.what.instance_id
        await shop.hosts.unmake(instance_id)


@define(frozen=True)
class AddressStep:
    """5. The name in the furl leads to the host."""

    shop: Workshop

    async def find(self, record: Record) -> Glance:
        """Look where the name leads, and where it should."""
        shop, now = self.shop, self.shop.clock.seconds()
        cell = shop.cells[record.signup.cell.name]
        if cell.host_name is not None:
            made = isinstance(written_of(record, StepName.ADDRESS), Made)
            return Glance(now, There.YES if made else There.NO)
        name = requests.host_name(record.signup, cell)
        found = await shop.addresses.find(name)
        if found is None:
            return Glance(now, There.NO)
        right = found == await self._address(record)
        return Glance(now, There.YES if right else There.BROKEN)

    async def render(self, record: Record, ticket: Ticket, glance: Glance) -> Rendered:  # noqa: ARG002  (Step)
        """Wait until the host has an address."""
        cell = self.shop.cells[record.signup.cell.name]
        address: str | None = ""
        if cell.host_name is None:
            address = await self._address(record)
        if address is None:
            raise NotYet
        name = requests.host_name(record.signup, cell)
        return Rendered(wire.encode(AddressRequest(name, address)))

    async def send(self, record: Record, request: bytes) -> str:  # noqa: ARG002  (Step)
        """Create or change the record."""
        shop, asked = self.shop, wire.decode(AddressRequest, request)
        if asked.address:
            await shop.addresses.make(asked.name, asked.address)
        return str(asked.address)

    def settled(self, tx: WriteTx, record: Record, outcome: str) -> None:
        """The row says where the name leads."""
        if outcome:
            signup_id = record.signup.signup_id
            hosts.set_address(tx, signup_id, record.generation, outcome)

    async def unmake(self, record: Record, glance: Glance) -> None:  # noqa: ARG002  (Step)
        """Delete the record."""
        shop = self.shop
        cell = shop.cells[record.signup.cell.name]
        if cell.host_name is None:
            name = requests.host_name(record.signup, cell)
            await shop.addresses.unmake(name)

    async def _address(self, record: Record) -> str | None:
        shop = self.shop
        key = requests.host_key(record.signup, record.generation)
        host = await shop.hosts.find(key)
        return host.address if host is not None else None
