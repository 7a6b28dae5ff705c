"""A paid session of ours whose signup the journal does not know: taken in.

The journal was restored from a backup that is older than the payment.  Stripe knows
who ordered what, the state bucket the grid's keys, the cloud the host: from these the
row is made again, and the routine goes on from there.  Nothing is charged again, and
nothing is built a second time: each step finds what is there.  The host is replaced,
since what it was told of this daemon is forgotten; the furl stays.

What cannot be served on these terms any more is paid back, as long as nothing was
built for it: with a row, so that the routine does it and the customer is told, or where
nobody can be written to, at once.  Where a grid exists, and so perhaps data, a person
decides.

What cannot be recovered is the right of the owner's browser (the journal had the hash
of its secret): the customer's page shows the progress, and not the furl any more.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Sequence
from typing import Literal

from attrs import define, field
from twisted.logger import Logger

from lae_flapp.effects.payments import CheckoutSession, GiveBack
from lae_flapp.grid import moves
from lae_flapp.grid.requests import IDENTITY_GENERATION
from lae_flapp.grid.workshop import Workshop
from lae_flapp.journal import cells, contacts, events, hosts, ports, signups
from lae_flapp.journal.cells import Cell
from lae_flapp.journal.errors import NoPortLeft
from lae_flapp.journal.signups import Agreement
from lae_flapp.journal.transaction import WriteTx
from lae_flapp.money import payment
from lae_flapp.money.checkout.settlement import Adopted
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
#: A payment of which there is no row goes back; it is back.
PAYING_BACK, PAID_BACK = "orphan-paying-back", "orphan-paid-back"
#: The terms of a plan that is not sold any more.
NOT_AGREED = "not known"
_SECRET_BYTES = 32
_PORT = re.compile(r"tcp:(\d+)")


class CannotAdopt(Exception):
    """It cannot be served; the sentence says why.  *order* is what was ordered, where
    its customer is told.
    """

    def __init__(self, why: str, order: Order | None = None) -> None:
        super().__init__(why)
        self.order = order


@define(frozen=True)
class Left:
    """What is left of a signup in the state bucket and in the cloud."""

    signup_id: SignupId
    identity: NodeIdentity | None = field(repr=False)
    host: Host | None

    @property
    def is_built(self) -> bool:
        """Whether a grid was begun, so that there may be data."""
        return self.identity is not None or self.host is not None

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
class ToAdopt:
    """All that is left of it, and what Stripe knows."""

    left: Left
    address: Address = field(repr=False)
    agreed: Plan
    language: str


@define(frozen=True)
class Adoption:
    """Takes signups in; *plans* are those that are sold now."""

    shop: Workshop
    orders: IOrders
    plans: tuple[Plan, ...]
    cell: Cell
    _log = Logger()

    async def adopt(self, session: CheckoutSession) -> Adopted:
        """Make the row, which the caller then settles; or pay it back; or tell an
        operator, once.  Raises what the doors raise.
        """
        signup_id = session.signup_id
        assert signup_id is not None
        left = await self._look(signup_id)
        try:
            found = await self._judge(session, left)
        except CannotAdopt as e:
            if left.is_built:
                await self.shop.journal.write(_tell_once, session, str(e))
                return "undecided"
            return await self._pay_back(session, e)
        try:
            await self.shop.journal.write(self._take_in, found, session)
        except NoPortLeft as e:
            await self.shop.journal.write(_tell_once, session, str(e))
            return "undecided"
        self._log.critical(
            "{signup_id} is adopted: Stripe had its payment, and the journal did not "
            "know it (an older backup was restored)",
            signup_id=signup_id,
        )
        return "row"

    async def _judge(self, session: CheckoutSession, left: Left) -> ToAdopt:
        order = await self.orders.fetch(session)
        if order is None:
            raise CannotAdopt("Stripe does not know what was ordered, or by whom")
        address = address_of(order)
        if not order.lives:
            raise CannotAdopt("its subscription is over")
        agreed = agreed_plan(order, self.plans)
        return ToAdopt(left, address, agreed, order.language)

    async def _pay_back(self, session: CheckoutSession, why: CannotAdopt) -> Adopted:
        """Nothing was built for it, and nothing will be."""
        shop, signup_id = self.shop, session.signup_id
        assert signup_id is not None
        self._log.critical(
            "{signup_id} is paid back: the journal did not know its payment, and it"
            " cannot be served: {problem}",
            signup_id=signup_id,
            problem=str(why),
        )
        agreed = None if why.order is None else plan_as_paid(why.order)
        if why.order is not None and agreed is not None:
            left = Left(signup_id, None, None)
            found = ToAdopt(left, address_of(why.order), agreed, why.order.language)
            await shop.journal.write(self._take_in_to_pay_back, found, session, why)
            return "row"
        said = f"{session.session_id}: {why}"
        if await shop.journal.read(events.noted, PAID_BACK, said):
            return "paid-back"
        await shop.journal.write(events.note, None, PAYING_BACK, WHO, said)
        await shop.payments.give_back(
            GiveBack(
                signup_id=signup_id,
                purpose="unserved",
                attempt=1,
                session_id=session.session_id,
                subscription=session.subscription,
            )
        )
        await shop.journal.write(events.note, None, PAID_BACK, WHO, said)
        return "paid-back"

    async def _look(self, signup_id: SignupId) -> Left:
        shop = self.shop
        key = identity_key(signup_id, IDENTITY_GENERATION)
        sealed: Sealed | None = await shop.vault.get(key)
        identity = None
        if sealed is not None:
            held = sealed
            identity = await shop.identities.open(held)
        listed: Sequence[Host] = await shop.hosts.list(shop.deployment)
        return Left(signup_id, identity, newest(listed, signup_id))

    def _take_in_to_pay_back(
        self, tx: WriteTx, found: ToAdopt, session: CheckoutSession, why: CannotAdopt
    ) -> None:
        signup_id = found.left.signup_id
        if signups.find(tx, signup_id) is not None:
            return
        self._register(tx, found)
        # In this one transaction: no worker sees it paid, and builds.
        payment.settle(tx, signup_id, session)
        moves.give_up(tx, signup_id, WHO, str(why))

    def _take_in(self, tx: WriteTx, found: ToAdopt, session: CheckoutSession) -> None:
        left = found.left
        signup_id = left.signup_id
        if signups.find(tx, signup_id) is not None:
            return
        self._register(tx, found)
        if self.shop.cells[self.cell.name].ports.span is not None:
            ports.keep(tx, signup_id, self.cell.name, left.ports)
        if left.host is not None:
            host = left.host
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

    def _register(self, tx: WriteTx, found: ToAdopt) -> None:
        signup_id, address = found.left.signup_id, found.address
        cells.put(tx, self.cell)
        signups.register(
            tx,
            signup_id,
            OwnerSecret(base32(secrets.token_bytes(_SECRET_BYTES))),
            grid_label=found.left.label,
            cell=self.cell,
            agreement=Agreement(found.agreed, tx.now, found.language),
        )
        contacts.put(tx, signup_id, address.as_typed, address.for_smtp)


def agreed_plan(order: Order, plans: tuple[Plan, ...]) -> Plan:
    """What was agreed: the plan of that name, at the price that Stripe takes.  Pure.

    Raises :class:`CannotAdopt`.
    """
    price = order.price
    for plan in plans:
        if plan.plan_id == price.lookup_key:
            if not price.agrees(plan.price, plan.currency, plan.interval):
                why = f"the plan {plan.plan_id} had another price then"
                raise CannotAdopt(why, order)
            return plan
    raise CannotAdopt(f"no plan {price.lookup_key!r} is sold any more", order)


def plan_as_paid(order: Order) -> Plan | None:
    """Tell what was paid for, to pay it back: nothing is built on it.  Pure."""
    price = order.price
    if price.amount is None:
        return None
    name = price.lookup_key or price.price_id
    interval: Literal["month", "year"] = "year" if price.interval == "year" else "month"
    return Plan(name, name, price.amount, price.currency, interval, 0, 0, NOT_AGREED)


def address_of(order: Order) -> Address:
    """Where its customer is written to.  Raises :class:`CannotAdopt`."""
    try:
        return parse_address(order.email.reveal())
    except AddressRefused:
        raise CannotAdopt("the address at Stripe cannot be used") from None


def newest(listed: Sequence[Host], signup_id: SignupId) -> Host | None:
    """The host of the highest generation of one signup.  Pure."""
    own = [host for host in listed if host.key.signup_id == signup_id]
    return max(own, key=lambda host: host.key.generation, default=None)


def _tell_once(tx: WriteTx, session: CheckoutSession, why: str) -> None:
    said = f"{session.session_id} of {session.signup_id}: {why}"
    if not events.noted(tx, "unknown-session", said):
        events.note(tx, None, "unknown-session", WHO, said)
