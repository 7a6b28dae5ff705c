"""Stories that pass every crash point of the routine, and how each must end."""

from __future__ import annotations

from lae_flapp.signup.limits import Limits
from tests.signup.world import (
    World,
    check_money,
    check_refunded,
    check_served,
)


class Served:
    """A signup is paid and served."""

    def limit(self, world: World) -> None:
        """How patient the routine is in this story."""

    def begin(self, world: World) -> None:
        self.limit(world)
        self.signup_id = world.register()
        self.session_id = world.checkout(self.signup_id)
        world.pay(self.session_id)

    def turn(self, world: World) -> None:
        """What comes again until it was heard: Stripe repeats its news."""
        self.news(world, self.session_id)

    def news(self, world: World, session_id: str) -> None:
        heard = self.__dict__.setdefault("heard", set())
        if session_id not in heard:
            world.news(session_id)
            heard.add(session_id)

    def seconds(self) -> int:
        return 200

    def check(self, world: World) -> None:
        check_served(world, self.signup_id)
        check_money(world, subscriptions=1)
        assert world.cloud.launches == 1
        assert len(world.cloud.vault) == 1
        assert len(world.cloud.buckets) == len(world.cloud.roles) == 1


class Replaced(Served):
    """The first host never claims, and is replaced."""

    def limit(self, world: World) -> None:
        world.limits = Limits(claim=60, hosts=5)
        world.hosts_work = False
        world.kill()
        world.start()

    def turn(self, world: World) -> None:
        super().turn(world)
        # The hosts work from the second on.
        keys = [i.request.key.generation for i in world.cloud.live()]
        world.hosts_work = any(generation > 1 for generation in keys)

    def seconds(self) -> int:
        return 400

    def check(self, world: World) -> None:
        check_served(world, self.signup_id)
        check_money(world, subscriptions=1)
        assert world.cloud.launches == 2
        assert len(world.cloud.vault) == 1


class Unserved(Served):
    """No host ever claims, and after some minutes the money goes back."""

    def limit(self, world: World) -> None:
        world.limits = Limits(serve_within=240)
        world.hosts_work = False
        world.kill()
        world.start()

    def seconds(self) -> int:
        return 600

    def check(self, world: World) -> None:
        check_refunded(world, self.signup_id)
        check_money(world, subscriptions=0)
        assert world.cloud.empty()


class PaidTwice(Served):
    """Two tabs, and both pay."""

    def begin(self, world: World) -> None:
        super().begin(world)
        self.second = world.checkout(self.signup_id, attempt=2)
        world.pay(self.second)

    def turn(self, world: World) -> None:
        super().turn(world)
        if world.up:
            self.news(world, self.second)


STORIES = {
    "served": Served,
    "replaced": Replaced,
    "unserved": Unserved,
    "paid-twice": PaidTwice,
}


def story_of(point: str) -> str:
    """Which story passes this point."""
    name = point.removeprefix("signup.")
    if name.startswith("second-session"):
        return "paid-twice"
    if name.startswith(("retire", "next-host")):
        return "replaced"
    if "unma" in name or name.startswith(("unserved", "give-up", "close")):
        return "unserved"
    return "served"
