"""Stories that pass every crash point of the routine, and how each must end."""

from __future__ import annotations

from twisted.internet.defer import Deferred

from lae_flapp.grid.limits import Limits
from lae_flapp.grid.lost_hosts import LostHosts
from lae_flapp.journal import effects, events, hosts, lifecycles, receipts, signups
from lae_flapp.life import ending
from lae_flapp.life.looking import Subscriptions
from lae_flapp.life.times import Times
from tests.grid.world import (
    World,
    check_money,
    check_names,
    check_refunded,
    check_served,
    now,
)

DAY = 86_400


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

    def check_meanwhile(self, world: World) -> None:
        """What is true all the time, a daemon that died included."""
        check_names(world)

    def check(self, world: World) -> None:
        check_served(world, self.signup_id)
        check_money(world, subscriptions=1)
        assert world.cloud.launches == 1
        assert len(world.cloud.vault) == 1
        assert len(world.cloud.buckets) == len(world.cloud.roles) == 1
        assert world.may_write()


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
        # A daemon that was away tries for a minute: the story has time for two deaths.
        world.limits = Limits(serve_within=240, tries_at_least=60)
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


class Consoled(Served):
    """Served, a customer is given some money back, twice, and nothing ends."""

    def turn(self, world: World) -> None:
        super().turn(world)
        if not world.up or world.state(self.signup_id) == "paid":
            return
        asked = [e for e in world.read(effects.of, self.signup_id) if is_refund(e)]
        if len(asked) < len(PARTS) and all(e.state == "done" for e in asked):
            world.refund(self.signup_id, PARTS[len(asked)])

    def check(self, world: World) -> None:
        super().check(world)
        every = world.account.refunds.values()
        assert [refund.amount for refund in every] == list(PARTS)
        assert world.mails(self.signup_id).count("goodwill") == len(PARTS)
        told = [e.kind for e in world.read(events.since, self.signup_id, 0)]
        assert told.count("money-back") == len(PARTS)


#: Of 500, in the smallest unit.
PARTS = (150, 50)


def is_refund(effect: effects.Effect) -> bool:
    """Whether an operator gave money back by it."""
    return effect.key.purpose == "goodwill"


class Life(Served):
    """A customer is served, and something is decided of the subscription later."""

    def limit(self, world: World) -> None:
        """The world of these stories knows times."""

    def turn(self, world: World) -> None:
        super().turn(world)
        if not world.up or world.state(self.signup_id) == "paid":
            return
        self.decide(world)
        if world.up:
            living(world).look()

    def decide(self, world: World) -> None:
        """What happens next, by the state."""

    def became(self, world: World, **changed: object) -> None:
        """Stripe changes something, and its webhook comes, again and again."""
        name = world.read(signups.get, self.signup_id).payment.subscription
        world.account.become(name, **changed)
        living(world).hear(name)


class Left(Life):
    """Cancelled, it ends with the period; the data's time passes; it is deleted."""

    def decide(self, world: World) -> None:
        match world.state(self.signup_id):
            case "active" if world.read(lifecycles.get, self.signup_id).wish == "stay":
                world.write(ending.cancel, self.signup_id, "owner", "wished")
            case "active" if world.read(lifecycles.get, self.signup_id).told == "leave":
                self.became(world, status="canceled")
            case "ended":
                world.clock.advance(3 * DAY)

    def seconds(self) -> int:
        return 400

    def check(self, world: World) -> None:
        assert world.state(self.signup_id) == "deleted"
        assert world.cloud.empty()
        assert not world.account.subscriptions
        assert world.read(receipts.find, self.signup_id) is not None
        for kind in ("leaving", "ended", "reminder", "deleted"):
            assert world.mails(self.signup_id).count(kind) == 1, kind
        done = world.read(effects.of, self.signup_id)
        assert not [e for e in done if e.state == "begun"]


class Unpaid(Life):
    """A payment fails until the host is ended; then it is paid again."""

    def decide(self, world: World) -> None:
        match world.state(self.signup_id):
            case "active" if "stopped" not in world.kinds(self.signup_id):
                self.became(world, status="past_due")
            case "past-due" | "suspended":
                world.clock.advance(7 * DAY)
            case "stopped" if not world.crew.busy():
                if world.read(hosts.live, self.signup_id) is None:
                    assert not world.cloud.records
                    self.became(world, status="active")

    def seconds(self) -> int:
        return 300

    def check(self, world: World) -> None:
        check_served(world, self.signup_id)
        check_money(world, subscriptions=1)
        assert world.cloud.launches == 2
        assert world.may_write()
        for kind in ("past-due", "suspended", "stopped", "recovered"):
            assert world.mails(self.signup_id).count(kind) == 1, kind


class Moved(Served):
    """A served customer's host is stopped and started at the console, twice."""

    def turn(self, world: World) -> None:
        super().turn(world)
        instances = world.cloud.live()
        if not world.up or world.state(self.signup_id) == "paid" or not instances:
            return
        (instance,) = instances
        if instance.stopped:
            instance.start(world.clock.seconds(), late=7)
        elif instance.moves < 2 and self.is_led(world, instance.address):
            instance.stop()
        now(Deferred.fromCoroutine(LostHosts(world.crew.shop).look()))

    def check_meanwhile(self, world: World) -> None:
        """Nobody asks us before an instance is stopped at the console."""

    def is_led(self, world: World, address: str) -> bool:
        host = world.read(hosts.live, self.signup_id)
        return host.address == address

    def check(self, world: World) -> None:
        super().check(world)
        (instance,) = world.cloud.live()
        assert instance.moves == 2
        assert list(world.cloud.records.values()) == [instance.address]
        assert self.is_led(world, instance.address)


class Living:
    """What the daemon looks at beside the routine."""

    def __init__(self, world: World) -> None:
        crew = world.crew
        self._subscriptions = Subscriptions(crew.shop)
        self._times = Times(crew.shop, self._subscriptions)

    def look(self) -> None:
        self._run(self._times.look())

    def hear(self, subscription: str) -> None:
        self._run(self._subscriptions.look(subscription, "webhook"))

    @staticmethod
    def _run(work) -> None:
        now(Deferred.fromCoroutine(work))


def living(world: World) -> Living:
    """Made anew in each life of the daemon."""
    return Living(world)


STORIES = {
    "served": Served,
    "replaced": Replaced,
    "unserved": Unserved,
    "paid-twice": PaidTwice,
    "consoled": Consoled,
    "left": Left,
    "unpaid": Unpaid,
}


def story_of(point: str) -> str:
    """Which story passes this point."""
    name = point.removeprefix("signup.")
    if name.startswith(("billing", "lifecycle")):
        return "left"
    if name.startswith("second-session"):
        return "paid-twice"
    if name.startswith("goodwill"):
        return "consoled"
    if name.startswith(("retire", "next-host")):
        return "replaced"
    if "unma" in name or name.startswith(("unserved", "give-up", "close")):
        return "unserved"
    return "served"
