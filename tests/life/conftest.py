"""A served customer, in a world with a payment service that can be played."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from twisted.internet.defer import Deferred

from lae_flapp.journal import hosts, identities, lifecycles, outbox, receipts, signups
from lae_flapp.life import ending
from lae_flapp.life.links import Links
from lae_flapp.life.looking import Subscriptions
from lae_flapp.life.times import Times
from tests.grid.world import PLAN, World, now
from tests.twins.cloud import moment
from tests.twins.identities import MemorySealer

LINKS = Links(MemorySealer(), "https://s4.example")


class LivingWorld(World):
    """A world in which subscriptions are looked at, and time brings its turns."""

    def start(self) -> None:
        super().start()
        shop = self.crew.shop
        self.subscriptions = Subscriptions(shop)
        self.times = Times(shop, self.subscriptions)

    def served(self, nonce=b"form"):
        signup_id = self.paid(nonce)
        self.advance(10)
        assert self.state(signup_id) == "active"
        return signup_id

    def subscription(self, signup_id):
        return self.read(signups.get, signup_id).payment.subscription

    def life(self, signup_id):
        return self.read(lifecycles.get, signup_id)

    def stripe(self, signup_id, **changed):
        """Stripe changes something, and its webhook comes."""
        name = self.subscription(signup_id)
        self.account.become(name, **changed)
        return self.webhook(name)

    def webhook(self, name):
        return now(Deferred.fromCoroutine(self.subscriptions.look(name, "webhook")))

    def cancel(self, signup_id, *, at_once=False):
        return self.write(ending.cancel, signup_id, "owner", "wished", at_once=at_once)

    def stay(self, signup_id):
        self.write(ending.stay, signup_id, "owner", "wished")

    def days(self, days):
        """Days pass, in which the daemon looks at its times."""
        for _ in range(int(days)):
            self.clock.advance(86_400)
            self.turn()

    def turn(self):
        self._drive(self.times.look())
        self.advance(8)

    def come_back(self, signup_id):
        """A former customer pays again; the daemon hears of it."""
        session_id = self.checkout(signup_id, len(self.account.sessions) + 1)
        self.pay(session_id)
        return self.news(session_id)

    def sealed(self, signup_id):
        kept = self.read(identities.latest, signup_id)
        return None if kept is None else kept.sealed

    def receipt(self, signup_id):
        return self.read(receipts.find, signup_id)

    def instances(self):
        return [i.shown(self.clock.seconds()).state for i in self.cloud.live()]

    def occasions(self, signup_id, kind):
        mails = self.read(outbox.of, signup_id)
        return [m for m in mails if m.kind == kind]

    def generation(self, signup_id):
        host = self.read(hosts.live, signup_id)
        return None if host is None else host.generation

    def seconds_to(self, when):
        return (when - moment(self.clock.seconds())).total_seconds()


@pytest.fixture
def world(tmp_path: Path) -> Iterator[LivingWorld]:
    made = LivingWorld(tmp_path / "state")
    made.start()
    yield made
    made.kill()


def check_kept(world, signup_id):
    """What must be true of a signup that ended: only the data and the keys are left."""
    assert world.state(signup_id) == "ended"
    assert world.live_hosts(signup_id) == 0
    assert not world.cloud.roles
    assert not world.cloud.records
    assert len(world.cloud.buckets) == 1
    life = world.life(signup_id)
    kept = timedelta(seconds=PLAN.data_kept)
    assert life.kept_until == life.ended_at + kept
    assert (life.wish, life.told) == ("end", "end")
    assert world.subscription(signup_id) not in world.account.subscriptions
    assert world.mails(signup_id).count("ended") >= 1
