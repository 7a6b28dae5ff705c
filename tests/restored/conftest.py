"""A world whose daemon adopts, and whose journal can be put back to an older copy."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from attrs import define, field
from twisted.internet.defer import Deferred

from lae_flapp.effects.payments import CheckoutSession
from lae_flapp.grid.lost_hosts import LostHosts
from lae_flapp.life.looking import Subscriptions
from lae_flapp.money import payment
from lae_flapp.money.stripe.prices import FoundPrice
from lae_flapp.restored.adoption import Adoption
from lae_flapp.restored.lives import Lives
from lae_flapp.restored.orders import IOrders, Order
from lae_protocol.secret import Secret
from tests.grid.world import CELL, PLAN, World, now

PRICE = FoundPrice("price_1", "small", 500, "eur", "month", 1, livemode=False)


@define(frozen=True)
class Ordered(IOrders):
    """The same order for every session."""

    order: Order

    async def fetch(self, session: CheckoutSession) -> Order | None:
        """See there."""
        return self.order


@define(eq=False)
class Restorable(World):
    """*order* is what Stripe knows of every session."""

    order: Order = field(
        factory=lambda: Order(Secret("alice@example.org"), PRICE, "de", lives=True)
    )

    def back_up(self) -> Path:
        """The journal as it is now."""
        self.kill()
        copy = self.folder.with_name("backup")
        shutil.copytree(self.folder, copy)
        self.start()
        return copy

    def restore(self, copy: Path) -> None:
        """The journal is lost, and the copy put in its place."""
        self.kill()
        shutil.rmtree(self.folder)
        shutil.copytree(copy, self.folder)
        self.start()

    def adopt(self, session_id: str) -> str:
        """News of a session that the journal does not know."""
        shop = self.crew.shop
        adoption = Adoption(shop, Ordered(self.order), (PLAN,), CELL)
        session = self.account.sessions[session_id]
        assert now(Deferred.fromCoroutine(payment.take(shop, session))) == "unknown"
        adopted = now(Deferred.fromCoroutine(adoption.adopt(session)))
        if adopted == "row":
            assert self.news(session_id) == "kept"
        return adopted

    def hear_of(self, subscription: str) -> None:
        """Stripe's news of a subscription come, or are read back."""
        looking = Subscriptions(self.crew.shop)
        now(Deferred.fromCoroutine(looking.look(subscription, "webhook")))

    def look(self) -> None:
        looking = LostHosts(self.crew.shop)
        now(Deferred.fromCoroutine(looking.look()))

    def claim(self) -> Lives:
        lives = Lives(self.crew.shop, f"life {self.starts}")
        now(Deferred.fromCoroutine(lives.claim()))
        return lives


@pytest.fixture
def world(tmp_path):
    made = Restorable(tmp_path / "journal")
    made.start()
    yield made
    made.kill()
