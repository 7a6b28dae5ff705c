"""A paid session of ours whose signup the journal does not know: taken in.

The journal was restored from a backup that is older than the payment.  Stripe knows
who ordered what, the state bucket the grid's keys, the cloud the host: from these the
row is made again, and the routine goes on from there.  Nothing is charged again, and
nothing is built a second time: each step finds what is there.  The host is replaced,
since what it was told of this daemon is forgotten; the furl stays.

What cannot be recovered is the right of the owner's browser (the journal had the hash
of its secret): the customer's page shows the progress, and not the furl any more.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Sequence

from attrs import define, field
from twisted.logger import Logger

from lae_flapp.effects.payments import CheckoutSession
from lae_flapp.grid import moves
from lae_flapp.grid.requests import IDENTITY_GENERATION
from lae_flapp.grid.workshop import Workshop
from lae_flapp.journal import cells, contacts, events, hosts, ports, signups
from lae_flapp.journal.cells import Cell
from lae_flapp.journal.errors import NoPortLeft
from lae_flapp.journal.signups import Agreement
from lae_flapp.journal.transaction import WriteTx
from lae_flapp.restored.orders import IOrders, Order
from lae_protocol.address import Address, AddressRefused, parse_address
from lae_protocol.host_messages import NodeIdentity
from lae_protocol.ids import (
    Generation,
    GridLabel,
    OwnerSecret,
    SignupId,
    base32,
    new_grid_label,
)
from lae_protocol.messages import Plan
from lae_provision.doors import Host, Sealed, identity_key

WHO = "adoption"
_SECRET_BYTES = 32
_PORT = re.compile(r"tcp:(\d+)")


class CannotAdopt(Exception):
    """An operator must decide; the sentence says why."""


@define(frozen=True)
class ToAdopt:
    """All that is left of a signup outside the journal."""

    signup_id: SignupId
    address: Address = field(repr=False)
    agreed: Plan
    language: str
    identity: NodeIdentity | None = field(repr=False)
    host: Host | None

    @property
    def label(self) -> GridLabel:
        """That of the grid, where it has its keys; else nothing was built yet."""
        if self.identity is None:
            return new_grid_label()
        return GridLabel(self.identity.grid_label)

    @property
    def ports(self) -> dict[str, int]:
        """Where the grid listens."""
        if self.identity is None:
            return {}
        tubs = {
            "introducer": self.identity.introducer,
            "storage": self.identity.storage,
        }
        bound = {name: _PORT.match(tub.port) for name, tub in tubs.items()}
        return {name: int(found[1]) for name, found in bound.items() if found}


@define(frozen=True)
class Adoption:
    """Takes signups in; *plans* are those that are sold now."""

    shop: Workshop
    orders: IOrders
    plans: tuple[Plan, ...]
    cell: Cell
    _log = Logger()

    async def adopt(self, session: CheckoutSession) -> bool:
        """Make the row; False where an operator must decide, who is told once.

        The caller then settles the session.  Raises what the doors raise.
        """
        signup_id = session.signup_id
        assert signup_id is not None
        try:
            found = await self._find(session, signup_id)
        except CannotAdopt as e:
            await self.shop.journal.write(_tell_once, session, str(e))
            return False
        try:
            await self.shop.journal.write(self._take_in, found, session)
        except NoPortLeft as e:
            await self.shop.journal.write(_tell_once, session, str(e))
            return False
        self._log.critical(
            "{signup_id} is adopted: Stripe had its payment, and the journal did not "
            "know it (an older backup was restored)",
            signup_id=signup_id,
        )
        return True

    async def _find(self, session: CheckoutSession, signup_id: SignupId) -> ToAdopt:
        shop = self.shop
        order = await self.orders.fetch(session)
        if order is None:
            raise CannotAdopt("Stripe does not know what was ordered, or by whom")
        if not order.lives:
            raise CannotAdopt("its subscription is over")
        agreed = agreed_plan(order, self.plans)
        try:
            address = parse_address(order.email.reveal())
        except AddressRefused:
            raise CannotAdopt("the address at Stripe cannot be used") from None
        key = identity_key(signup_id, IDENTITY_GENERATION)
        sealed: Sealed | None = await shop.vault.get(key)
        identity = None
        if sealed is not None:
            held = sealed
            identity = await shop.identities.open(held)
        listed: Sequence[Host] = await shop.hosts.list(shop.deployment)
        host = newest(listed, signup_id)
        return ToAdopt(signup_id, address, agreed, order.language, identity, host)

    def _take_in(self, tx: WriteTx, found: ToAdopt, session: CheckoutSession) -> None:
        signup_id = found.signup_id
        if signups.find(tx, signup_id) is not None:
            return
        cells.put(tx, self.cell)
        signups.register(
            tx,
            signup_id,
            OwnerSecret(base32(secrets.token_bytes(_SECRET_BYTES))),
            grid_label=found.label,
            cell=self.cell,
            agreement=Agreement(found.agreed, tx.now, found.language),
        )
        address = found.address
        contacts.put(tx, signup_id, address.as_typed, address.for_smtp)
        if self.shop.cells[self.cell.name].ports.span is not None:
            ports.keep(tx, signup_id, self.cell.name, found.ports)
        if found.host is not None:
            host = found.host
            hosts.take_in(
                tx,
                signup_id,
                Generation(host.key.generation),
                host.instance_id,
                host.launch_time,
            )
        why = f"{session.session_id}: paid, and not in the restored journal"
        events.note(tx, signup_id, "adopted", WHO, why)
        moves.trouble(
            tx,
            signup_id,
            "adopted",
            "It was paid and the restored journal did not know it; it is served again."
            " The customer's own page cannot show the furl: it was mailed.",
        )


def agreed_plan(order: Order, plans: tuple[Plan, ...]) -> Plan:
    """What was agreed: the plan of that name, at the price that Stripe takes.  Pure.

    Raises :class:`CannotAdopt`.
    """
    price = order.price
    for plan in plans:
        if plan.plan_id == price.lookup_key:
            if not price.agrees(plan.price, plan.currency, plan.interval):
                raise CannotAdopt(f"the plan {plan.plan_id} had another price then")
            return plan
    raise CannotAdopt(f"no plan {price.lookup_key!r} is sold any more")


def newest(listed: Sequence[Host], signup_id: SignupId) -> Host | None:
    """The host of the highest generation of one signup.  Pure."""
    own = [host for host in listed if host.key.signup_id == signup_id]
    return max(own, key=lambda host: host.key.generation, default=None)


def _tell_once(tx: WriteTx, session: CheckoutSession, why: str) -> None:
    said = f"{session.session_id} of {session.signup_id}: {why}"
    if not events.noted(tx, "unknown-session", said):
        events.note(tx, None, "unknown-session", WHO, said)
