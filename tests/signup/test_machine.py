"""Whatever happens in whatever order, what must always be true is true.

Hypothesis plays weather, time, customers, operators, and the daemon's deaths.
"""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from twisted.internet.defer import Deferred

from lae_flapp.journal import hosts, identities, signups
from lae_flapp.journal.errors import StateChanged
from lae_flapp.signup.limits import Limits
from lae_protocol.process.crash import on_crash_point
from lae_provision.memory.weather import Fault, fair
from tests.signup.world import (
    Crashed,
    World,
    check_money,
    check_refunded,
    check_served,
    now,
)

PASSING = [
    Fault.NONE,
    Fault.NONE,
    Fault.THROTTLED,
    Fault.REPLY_LOST,
    Fault.DOUBLED,
    Fault.LATE,
]


class Signups(RuleBasedStateMachine):
    """Signups of two customers, in a world where everything goes wrong."""

    def __init__(self):
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="s4-machine-"))
        limits = Limits(claim=120, hosts=100, serve_within=3600, together=4)
        self.world = World(self.folder / "state", limits=limits)
        self.world.cloud.boot = 3
        self.world.start()
        self.customers = []
        self.unheard = []
        self.furls = {}
        self.faults = []
        self.crash_after = None
        self.world.weather = self.met
        on_crash_point(self.strike)

    # What the world does to the daemon.

    def met(self, call):
        fault = self.faults.pop() if self.faults else Fault.NONE
        if fault is Fault.NO_CAPACITY and call != "hosts.make":
            return Fault.NONE
        return fault

    def strike(self, name):
        if self.crash_after is None:
            return
        self.crash_after -= 1
        if self.crash_after <= 0:
            self.crash_after = None
            self.world.perish()
            raise Crashed(name)

    def survive(self, act):
        with contextlib.suppress(Crashed):
            act()
        if self.world.perished:
            self.world.kill()

    # Rules.

    @precondition(lambda self: self.world.up and len(self.customers) < 2)
    @rule()
    def register(self):
        number = len(self.customers)
        signup_id = self.world.register(b"%d" % number)
        self.customers.append(signup_id)
        self.furls[signup_id] = None

    @precondition(lambda self: self.world.up and self.customers)
    @rule(which=st.integers(0, 1), attempt=st.integers(1, 3))
    def pay(self, which, attempt):
        signup_id = self.customers[which % len(self.customers)]
        session_id = self.world.checkout(signup_id, attempt)
        if self.world.account.sessions[session_id].status == "open":
            self.world.pay(session_id)
            self.unheard.append(session_id)

    @precondition(lambda self: self.world.up and self.unheard)
    @rule(keep=st.booleans())
    def webhook(self, keep):
        session_id = self.unheard[0]

        def act():
            self.world.news(session_id)
            if not keep:
                self.unheard.pop(0)

        self.survive(act)

    @rule(faults=st.lists(st.sampled_from([*PASSING, Fault.NO_CAPACITY]), max_size=8))
    def foul_weather(self, faults):
        self.faults = faults

    @rule(visibility=st.sampled_from([0, 0, 5, 40]))
    def slow_cloud(self, visibility):
        self.world.cloud.visibility = visibility

    @rule(work=st.booleans())
    def hosts_work(self, work):
        self.world.hosts_work = work

    @precondition(lambda self: self.world.up)
    @rule(points=st.integers(1, 12))
    def crash_soon(self, points):
        self.crash_after = points

    @precondition(lambda self: self.world.up)
    @rule()
    def kill(self):
        self.world.kill()

    @precondition(lambda self: not self.world.up)
    @rule()
    def start(self):
        self.survive(self.world.start)

    @rule(seconds=st.sampled_from([1, 10, 70, 200]))
    def time_passes(self, seconds):
        self.survive(lambda: self.world.advance(seconds))

    @precondition(lambda self: self.world.up and self.customers)
    @rule(which=st.integers(0, 1), retry=st.booleans())
    def operator(self, which, retry):
        signup_id = self.customers[which % len(self.customers)]

        def act():
            if retry:
                self.world.crew.retry(signup_id)
                return
            try:
                give_up = self.world.crew.give_up(signup_id, "op", "decided")
                now(Deferred.fromCoroutine(give_up))
            except StateChanged:
                pass

        self.survive(act)

    # What is true at every moment.

    @invariant()
    def one_live_host_at_most(self):
        """Promise 2."""
        for signup_id in self.customers:
            assert self.world.live_hosts(signup_id) <= 1

    @invariant()
    def every_host_has_its_row(self):
        """Promise 3: nothing lives in the cloud that the journal does not know."""
        if not self.world.up:
            return
        for instance in self.world.cloud.live():
            key = instance.request.key
            row = self.world.read(hosts.find, key.signup_id, key.generation)
            assert row is not None
            assert row.state != "gone"

    @invariant()
    def furl_never_changes(self):
        """Promise 4: what was sealed first stays."""
        if not self.world.up:
            return
        for signup_id in self.customers:
            kept = self.world.read(identities.latest, signup_id)
            if kept is None or kept.vaulted_at is None:
                assert self.furls[signup_id] is None
                continue
            assert self.world.cloud.vault[kept.vault_key].body == kept.sealed
            assert self.furls[signup_id] in {None, kept.sealed}
            self.furls[signup_id] = kept.sealed

    @invariant()
    def nobody_is_charged_for_nothing(self):
        """Promise 8: who is refunded has no live subscription."""
        if not self.world.up:
            return
        for signup_id in self.customers:
            row = self.world.read(signups.get, signup_id)
            if row.state == "refunded":
                assert row.payment.subscription not in self.world.account.subscriptions

    def teardown(self):
        """In the end, with fair weather, each payment is served or refunded."""
        world = self.world
        try:
            self.crash_after, self.faults = None, []
            world.weather, world.hosts_work, world.cloud.visibility = fair, True, 0
            if not world.up:
                world.start()
            for session_id in self.unheard:
                world.news(session_id)
            for signup_id in self.customers:
                world.crew.retry(signup_id)
            world.advance(600, step=2)
            self.all_settled()
        finally:
            on_crash_point(None)
            world.kill()
            shutil.rmtree(self.folder)

    def all_settled(self):
        served = 0
        for signup_id in self.customers:
            match self.world.state(signup_id):
                case "registered" | "paying":
                    assert self.world.live_hosts(signup_id) == 0
                case "active":
                    served += 1
                    check_served(self.world, signup_id)
                case _:
                    check_refunded(self.world, signup_id)
        check_money(self.world, subscriptions=served)
        assert len(self.world.cloud.live()) == served
        assert len(self.world.cloud.buckets) == served
        assert len(self.world.cloud.roles) == served
        assert len(self.world.cloud.records) == served
        assert not self.world.crew.busy()


Signups.TestCase.settings = settings(
    max_examples=40,
    stateful_step_count=25,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
TestSignups = Signups.TestCase
