"""Whatever is decided, paid and not paid in whatever order, what must be true is true.

Hypothesis plays the customer with two tabs, Stripe's dashboard, the bank, the weather,
months that pass, and the daemon's deaths.
"""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from twisted.internet.defer import Deferred

from lae_flapp.grid.limits import Limits
from lae_flapp.journal import identities, receipts, signups
from lae_flapp.journal.errors import JournalClosed, StateChanged
from lae_protocol.process.crash import on_crash_point
from lae_provision.errors import ProvisionError, Refused
from tests.grid.world import Crashed
from tests.life.conftest import LivingWorld
from tests.twins.weather import Fault, fair

MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None
FAULTS = st.sampled_from(
    [Fault.NONE, Fault.THROTTLED, Fault.REPLY_LOST, Fault.DOUBLED, Fault.LATE]
)
RUNNING = {"active", "past-due", "suspended"}


class Lives(RuleBasedStateMachine):
    """One customer's years."""

    def __init__(self):
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="s4-life-", dir=MEMORY))
        limits = Limits(claim=120, hosts=100, serve_within=3600, together=4)
        self.world = LivingWorld(self.folder / "state", limits=limits)
        self.world.start()
        self.unheard: list[str] = []
        self.faults: list[Fault] = []
        self.crash_after: int | None = None
        self.sealed: bytes | None = None
        self.world.weather = self.met
        on_crash_point(self.strike)

    def met(self, call):
        return self.faults.pop() if self.faults else Fault.NONE

    def strike(self, name):
        if self.crash_after is None:
            return
        self.crash_after -= 1
        if self.crash_after <= 0:
            self.crash_after = None
            self.world.perish()
            raise Crashed(name)

    def survive(self, act):
        if not self.world.up:
            self.world.start()
        try:
            with contextlib.suppress(Crashed, StateChanged):
                act()
        except JournalClosed:
            # It died at its very start, or beside what we did.
            assert self.world.perished
        if self.world.perished:
            self.world.kill()

    @initialize()
    def sign_up(self):
        self.signup_id = self.world.served()

    @rule(
        days=st.sampled_from([0, 0, 1, 6, 8, 15, 31]),
        faults=st.lists(FAULTS, max_size=8),
        crash_after=st.none() | st.integers(1, 10),
    )
    def time_passes(self, days, faults, crash_after):
        self.faults, self.crash_after = faults, crash_after

        def act():
            self.world.clock.advance(days * 86_400)
            self.hear()
            if self.world.up:
                self.drive(self.world.times.look())
                self.world.advance(90, step=3)

        self.survive(act)

    @rule(at_once=st.booleans(), crash_after=st.none() | st.integers(1, 8))
    def cancels(self, at_once, crash_after):
        self.crash_after = crash_after

        def act():
            self.world.cancel(self.signup_id, at_once=at_once)
            self.world.advance(5)

        self.survive(act)

    @rule()
    def stays(self):
        self.survive(lambda: self.world.stay(self.signup_id))

    @rule(tabs=st.integers(1, 2), days=st.sampled_from([0, 29, 31]))
    def comes_back(self, tabs, days):
        """Only who has ended is offered a payment page; two tabs may both pay."""

        def act():
            self.world.clock.advance(days * 86_400)
            # A death that was begun before may strike while time passes.
            if not self.world.up or self.world.state(self.signup_id) != "ended":
                return
            for _ in range(tabs):
                attempt = len(self.world.account.sessions) + 1
                session_id = self.world.checkout(self.signup_id, attempt)
                self.world.pay(session_id)
                self.unheard.append(session_id)

        self.survive(act)

    @rule(status=st.sampled_from(["past_due", "active", "unpaid", "canceled"]))
    def stripe_says(self, status):
        """The bank, Stripe's retries or its dashboard; the webhook comes later."""
        name = self.subscription()
        if name is not None and self.world.account.known[name].status != "canceled":
            self.world.account.become(name, status=status)

    @rule(seconds=st.sampled_from([10, 86_400]))
    def down_for_a_while(self, seconds):
        self.world.kill()
        self.world.clock.advance(seconds)

    def subscription(self):
        if not self.world.up:
            self.world.start()
        paid = self.world.read(signups.get, self.signup_id).payment
        return None if paid is None else paid.subscription

    def hear(self):
        """All news comes, some of it again."""
        for session_id in self.unheard:
            if self.world.up:
                self.world.news(session_id)
        for name in list(self.world.account.known):
            if self.world.up:
                self.drive(self.world.subscriptions.look(name, "webhook"))

    def drive(self, work):
        """Stripe may be away: then the webhook is repeated."""
        running = Deferred.fromCoroutine(work)
        # ... and a daemon that dies in it takes it up again.
        expected = (ProvisionError, Refused, StateChanged, Crashed)
        running.addErrback(lambda f: f.trap(*expected))

    # What is true at every moment.

    @invariant()
    def one_live_host_at_most(self):
        if hasattr(self, "signup_id"):
            assert self.world.live_hosts() <= 1

    @invariant()
    def the_data_is_there_until_it_is_deleted(self):
        """Nothing but the deletion takes the bucket and the keys."""
        if not self.world.up or not hasattr(self, "signup_id"):
            return
        state = self.world.state(self.signup_id)
        if state in {"deleting", "deleted"}:
            return
        assert len(self.world.cloud.buckets) == 1
        kept = self.world.read(identities.latest, self.signup_id)
        assert self.sealed in {None, kept.sealed}
        self.sealed = kept.sealed

    @invariant()
    def a_receipt_for_what_is_deleted(self):
        if not self.world.up or not hasattr(self, "signup_id"):
            return
        deleted = self.world.state(self.signup_id) == "deleted"
        receipt = self.world.read(receipts.find, self.signup_id)
        assert (receipt is not None) == deleted
        assert not deleted or not self.world.cloud.buckets

    def teardown(self):
        world = self.world
        try:
            self.crash_after, self.faults = None, []
            world.weather = fair
            if not world.up:
                world.start()
            world.advance(90, step=3)
            for _ in range(3):
                self.hear()
                world.retry(self.signup_id)
                world.advance(240, step=3)
            self.settled()
        finally:
            on_crash_point(None)
            world.kill()
            shutil.rmtree(self.folder)

    def settled(self):
        world, account = self.world, self.world.account
        state = world.state(self.signup_id)
        name = self.subscription()
        assert not world.crew.busy(), state
        if state in RUNNING | {"stopped"}:
            # At most one subscription lives, and it is the one that is served.
            assert account.subscriptions == {name}
            assert world.live_hosts() == (state in RUNNING)
            assert len(world.cloud.records) == (state in RUNNING)
        else:
            assert state in {"ended", "deleted"}
            assert account.subscriptions == set()
            assert world.live_hosts() == 0
            assert not world.cloud.roles
            assert not world.cloud.records
        assert len(world.cloud.buckets) == (state != "deleted")


Lives.TestCase.settings = settings(
    max_examples=15,
    stateful_step_count=10,
    suppress_health_check=list(HealthCheck),
)
TestLives = Lives.TestCase
