"""Steps 4 and 5: the customer's host, and the name that leads to it."""

from __future__ import annotations

from datetime import datetime

from attrs import define
from twisted.internet.task import deferLater
from twisted.logger import Logger

from lae_flapp.cell_settings import CellSettings
from lae_flapp.effects.carrying_out import Rendered
from lae_flapp.grid import requests
from lae_flapp.grid.moves import WHO
from lae_flapp.grid.record import Record
from lae_flapp.grid.sights import Glance, There
from lae_flapp.grid.step import NotYet, glance_at
from lae_flapp.grid.steps import StepName
from lae_flapp.grid.workshop import Workshop
from lae_flapp.journal import effects, events, hosts, images, rollouts
from lae_flapp.journal.effects import Ticket
from lae_flapp.journal.transaction import ReadTx, WriteTx
from lae_protocol import wire
from lae_protocol.process.deadline import DeadlinePassed
from lae_protocol.secret import Secret
from lae_provision.doors import Host, LaunchRequest
from lae_provision.errors import TryLater

_log = Logger()

#: Between looks whether a name is served; Route 53 answers an account five calls a
#: second, and takes half a minute.
FIRST_PAUSE = 0.1  # s
LONGEST_PAUSE = 20.0  # s

_ALIVE = frozenset({"pending", "running"})


@define(frozen=True)
class AddressRequest:
    """One record."""

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
        shop.looked_back.raise_unless_alone(shop.clock.seconds())
        furl = shop.new_bootstrap()
        cell = shop.cells[signup.cell.name]
        image = await shop.journal.read(_image_of, cell)
        user_data = shop.render_user_data(furl, signup.grid_label, image)
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
            images.note(tx, signup.signup_id, generation, image)

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


def _image_of(tx: ReadTx, cell: CellSettings) -> str | None:
    """What hosts are launched with: the image of the newest rollout that was finished,
    else that of the settings; None where they run a command.
    """
    finished = rollouts.newest_finished(tx, cell.name)
    if cell.program.image is None or finished is None:
        return cell.program.image
    return finished.image


@define(frozen=True)
class AddressStep:
    """5. The name in the furl leads to the host."""

    shop: Workshop

    async def find(self, record: Record) -> Glance:
        """Look where the name leads, and where it should."""
        now = self.shop.clock.seconds()
        name = requests.record_name(record.signup)
        found = await self.shop.addresses.find(name)
        if found is None:
            return Glance(now, There.NO)
        address = await self._address(record)
        if address is None:
            return Glance(now, There.ASTRAY)
        return Glance(now, There.YES if found == address else There.BROKEN)

    async def render(self, record: Record, ticket: Ticket, glance: Glance) -> Rendered:  # noqa: ARG002  (Step)
        """Wait until the host has an address."""
        address = await self._address(record)
        if address is None:
            raise NotYet("the host shows no public address")
        name = requests.record_name(record.signup)
        return Rendered(wire.encode(AddressRequest(name, address)))

    async def send(self, record: Record, request: bytes) -> str:  # noqa: ARG002  (Step)
        """Create or change the record, and wait until it is served: the host boots
        meanwhile, and nobody is told a furl whose name leads nowhere.
        """
        asked = wire.decode(AddressRequest, request)
        change = await self.shop.addresses.make(asked.name, asked.address)
        await self._until_served(change)
        return str(asked.address)

    def settled(self, tx: WriteTx, record: Record, outcome: str) -> None:
        """The row says where the name leads."""
        signup_id, generation = record.signup.signup_id, record.generation
        hosts.set_address(tx, signup_id, generation, outcome)
        # Of a removal before it, whose outcome a death of ours kept from the journal.
        removal = effects.last(tx, record.key(StepName.ADDRESS, "unmake"))
        if removal is not None and removal.state == "begun":
            effects.finish(tx, removal.number, "removed")
        if record.host is not None and record.host.state == "ready":
            events.note(tx, signup_id, "address-followed", WHO, f"to {outcome}")

    async def unmake(self, record: Record, glance: Glance) -> None:  # noqa: ARG002  (Step)
        """Delete the record; as long as the address is ours, wait until no name server
        leads there any more.
        """
        change = await self.shop.addresses.unmake(requests.record_name(record.signup))
        if change is not None and await self._address(record) is not None:
            await self._until_served(change)

    async def _until_served(self, change: str) -> None:
        shop, limits = self.shop, self.shop.limits
        until, pause = shop.clock.seconds() + limits.naming, FIRST_PAUSE
        while not await self._is_served(change):
            if shop.clock.seconds() >= until:
                _log.warn(
                    "a change of a name is not served after {seconds} s",
                    seconds=limits.naming,
                )
                return
            await deferLater(shop.clock, pause)
            pause = min(LONGEST_PAUSE, pause * 4)

    async def _is_served(self, change: str) -> bool:
        try:
            return await self.shop.addresses.is_served(change)
        except (TryLater, DeadlinePassed):
            # To make the record again because of it would ask still more.
            return False

    async def _address(self, record: Record) -> str | None:
        shop = self.shop
        key = requests.host_key(record.signup, record.generation)
        host = await shop.hosts.find(key)
        return host.address if host is not None else None
