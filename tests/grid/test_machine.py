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
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from lae_flapp.grid.limits import Limits
from lae_flapp.journal import hosts, identities, signups
from lae_flapp.journal.errors import StateChanged
from lae_protocol.process.crash import on_crash_point
from tests.grid.world import (
    Crashed,
    World,
    check_money,
    check_names,
    check_refunded,
    check_served,
)
from tests.twins.weather import Fault, fair

#: Hundreds of journals are written here; a disk would set the pace.
MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None

FAULTS = st.sampled_from(
    [
        Fault.NONE,
        Fault.THROTTLED,
        Fault.REPLY_LOST,
        Fault.DOUBLED,
        Fault.LATE,
        Fault.NO_CAPACITY,
    ]
)


class Signups(RuleBasedStateMachine):
    """Signups of two customers, in a world where everything goes wrong."""

    def __init__(self):
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="s4-machine-", dir=MEMORY))
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

    @initialize(customers=st.integers(1, 2), tabs=st.integers(1, 2))
    def register(self, customers, tabs):
        for number in range(customers):
            self.customers.append(self.world.register(b"%d" % number))
            for _ in range(tabs):
                self.pay(number)

    def pay(self, which):
        signup_id = self.customers[which % len(self.customers)]
        attempt = len(self.world.account.sessions) + 1
        session_id = self.world.checkout(signup_id, attempt)
        self.world.pay(session_id)
        self.unheard.append(session_id)

    @precondition(lambda self: self.world.up)
    @rule(which=st.integers(0, 1))
    def pay_again(self, which):
        self.pay(which)

    @rule(
        seconds=st.sampled_from([1, 10, 70, 200]),
        faults=st.lists(FAULTS, max_size=12),
        visibility=st.sampled_from([0, 0, 5, 40]),
        addressing=st.sampled_from([0, 0, 5, 90]),
        crash_after=st.none() | st.integers(1, 12),
        hosts_work=st.booleans(),
    )
    def time_passes(
        self, seconds, faults, visibility, addressing, crash_after, hosts_work
    ):
        """The daemon is up for a while, hears news, and perhaps dies."""
        self.faults, self.crash_after = faults, crash_after
        self.world.cloud.visibility = visibility
        self.world.cloud.addressing = addressing
        self.world.hosts_work = hosts_work

        def act():
            if not self.world.up:
                self.world.start()
            for session_id in self.unheard:
                if self.world.up:
                    self.world.news(session_id)
            if self.world.up:
                self.world.advance(seconds)

        self.survive(act)

    @rule(seconds=st.sampled_from([1, 30, 200]))
    def down_for_a_while(self, seconds):
        self.world.kill()
        self.world.advance(seconds)

    @precondition(lambda self: self.world.up)
    @rule(which=st.integers(0, 1), decision=st.sampled_from(["retry", "give up"]))
    def operator(self, which, decision):
        signup_id = self.customers[which % len(self.customers)]

        def act():
            if decision == "retry":
                self.world.retry(signup_id)
                return
            with contextlib.suppress(StateChanged):
                self.world.give_up(signup_id)

        self.survive(act)

    # What is true at every moment.

    @invariant()
    def one_live_host_at_most(self):
        """Promise 2."""
        for signup_id in self.customers:
            assert self.world.live_hosts(signup_id) <= 1

    @invariant()
    def no_name_leads_to_a_stranger(self):
        """Whatever dies when: the record goes before the address does."""
        check_names(self.world)

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
                assert self.furls.get(signup_id) is None
                continue
            assert self.world.cloud.vault[kept.vault_key].body == kept.sealed
            assert self.furls.get(signup_id) in {None, kept.sealed}
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
            world.cloud.addressing = 0
            if not world.up:
                world.start()
            for session_id in self.unheard:
                world.news(session_id)
            for signup_id in self.customers:
                world.retry(signup_id)
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
    max_examples=30,
    stateful_step_count=15,
    suppress_health_check=list(HealthCheck),
)
TestSignups = Signups.TestCase
