"""A world for the routine: cloud, payment service and hosts outlive the daemon.

A daemon is started, killed and started again on the same journal; all of it in one
process, on one clock, with no sockets.
"""

from __future__ import annotations

import json
import secrets
from pathlib import Path
from random import Random

from attrs import Factory, define, field
from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import Clock
from zope.interface import implementer

from lae_flapp.backup.continuous import Unbacked
from lae_flapp.cell_settings import CellSettings, HostProgram, PortSettings
from lae_flapp.effects.bounded import bounded
from lae_flapp.effects.payments import CheckoutRequest, payment_key
from lae_flapp.grid import moves
from lae_flapp.grid.crew import Crew
from lae_flapp.grid.dues import Dues
from lae_flapp.grid.limits import Limits
from lae_flapp.grid.workshop import Workshop
from lae_flapp.journal import (
    cells,
    contacts,
    effects,
    events,
    hosts,
    identities,
    outbox,
    sessions,
    signups,
)
from lae_flapp.journal.cells import Cell
from lae_flapp.journal.errors import StateChanged, Unknown
from lae_flapp.journal.signups import Agreement
from lae_flapp.life import telling
from lae_flapp.money import payment
from lae_protocol.furl import Furl
from lae_protocol.ids import (
    OwnerSecret,
    base32,
    new_grid_label,
    signup_id_of_form,
)
from lae_protocol.messages import Plan
from lae_protocol.secret import Secret
from tests.twins.cloud import Cloud, moment
from tests.twins.doors import (
    Line,
    MemoryAddresses,
    MemoryBuckets,
    MemoryHosts,
    MemoryRoles,
    MemoryVault,
)
from tests.twins.ground import START
from tests.twins.identities import MemoryIdentities, MemorySealer
from tests.twins.journal import open_journal
from tests.twins.payments import Account, MemoryPayments
from tests.twins.weather import Fault, fair

CELL = Cell("c1", "s4test", "000000000000", "eu-west-1", "eu-west-1a", "grid.example")
PLAN = Plan("small", "Small", 500, "eur", "month", 10**10, 10**10, "2026-11")
PLACE = CellSettings(
    name=CELL.name,
    zone=CELL.zone,
    dns_zone=CELL.dns_zone,
    dns_zone_id="Z1",
    image_id="ami-12345678",
    instance_type="t3a.small",
    subnet_id="subnet-1",
    security_groups=("sg-1",),
    boundary_arn="arn:aws:iam::000000000000:policy/s4/boundary",
    role_path="/s4/",
    program=HostProgram(command=("lae-host",)),
    ports=PortSettings(3456, 3457),
)
#: 2026-11-23, so that times look like times.


class Crashed(BaseException):
    """The daemon died here, as by kill -9: no ``except Exception`` sees it."""


@implementer(IReactorTime)
@define(eq=False)
class ProcessClock:
    """The world's clock, as one process has it: its timers die with it."""

    clock: Clock
    dead: bool = False

    def seconds(self):
        return self.clock.seconds()

    def callLater(self, delay, call, *args, **kwargs):
        def alive():
            if not self.dead:
                call(*args, **kwargs)

        return self.clock.callLater(delay, alive)

    def getDelayedCalls(self):
        return self.clock.getDelayedCalls()


def new_furl():
    return Furl(
        base32(secrets.token_bytes(20)),
        ("127.0.0.1:1",),
        base32(secrets.token_bytes(20)),
    )


def user_data(bootstrap, label, image):
    return Secret(json.dumps({"bootstrap": bootstrap.reveal(), "image": image}))


@define(eq=False)
class World:
    """See the module.  *weather* meets every call; *hosts_work* boots hosts."""

    folder: Path
    weather: object = fair
    limits: Limits = Factory(Limits)
    place: CellSettings = PLACE
    hosts_work: bool = True
    backup: object = Factory(Unbacked)
    clock: Clock = Factory(Clock)
    cloud: Cloud = Factory(Cloud)
    account: Account = Factory(Account)
    crew: Crew | None = None
    journal: object = None
    starts: int = 0
    perished: bool = False
    _process: ProcessClock | None = field(default=None)

    def __attrs_post_init__(self):
        self.clock.advance(START)

    # The daemon's life.

    def start(self):
        self.starts += 1
        self.perished = False
        self._process = ProcessClock(self.clock)
        self.journal = open_journal(self.folder, self._process)
        shop = self._workshop()
        self.crew = Crew(shop, Dues(payment.give_back, telling.tell))
        self._drive(self.crew.start())

    def kill(self):
        """End it at once: nothing of it runs any more, and its lock is free."""
        if self._process is not None:
            self._process.dead = True
            self._process = None
            if not self.perished:
                now(Deferred.fromCoroutine(self.journal.close()))
            self.crew = None

    def stop(self):
        self._drive(self.crew.stop())
        self.kill()

    def perish(self):
        """The process is gone in the middle of something: it writes nothing more."""
        self.perished = True
        self._process.dead = True
        now(Deferred.fromCoroutine(self.journal.close()))

    @property
    def up(self):
        return self._process is not None and not self._process.dead

    def _workshop(self):
        line = self.line()

        def door(made, name):
            return bounded(
                made,
                name,
                self._process,
                seconds=self.limits.call,
                together=self.limits.together,
            )

        return Workshop(
            journal=self.journal,
            clock=self._process,
            buckets=door(MemoryBuckets(line), "buckets"),
            roles=door(MemoryRoles(line), "roles"),
            hosts=door(MemoryHosts(line), "hosts"),
            addresses=door(MemoryAddresses(line), "addresses"),
            vault=door(MemoryVault(line), "vault"),
            identities=door(MemoryIdentities(line), "identities"),
            payments=door(
                MemoryPayments(self.account, self.clock, self._met, saved=line.saved),
                "payments",
            ),
            sealer=MemorySealer(),
            render_user_data=user_data,
            new_bootstrap=new_furl,
            cells={"c1": self.place},
            deployment="s4test",
            livemode=False,
            limits=self.limits,
            random=Random(self.starts),
            backup=self.backup,
        )

    def line(self):
        return Line(self.cloud, self.clock, self._met)

    def _met(self, call):
        """The weather of this moment: tests change it."""
        return self.weather(call)

    def _drive(self, coroutine):
        """Run it as far as it goes; it may hang until time passes."""
        return Deferred.fromCoroutine(coroutine)

    # What the journal says.

    def read(self, work, *args, **kwargs):
        return now(self.journal.read(work, *args, **kwargs))

    def write(self, work, *args, **kwargs):
        return now(self.journal.write(work, *args, **kwargs))

    def state(self, signup_id):
        return self.read(signups.get, signup_id).state

    def kinds(self, signup_id):
        return [e.kind for e in self.read(events.since, signup_id, 0) if e.public]

    def mails(self, signup_id):
        return [m.kind for m in self.read(outbox.of, signup_id)]

    def may_write(self):
        """Whether IAM lets the one customer's host change shares."""
        (role,) = self.cloud.roles.values()
        return role.request.writes

    def live_hosts(self, signup_id=None):
        every = [i.request.key.signup_id for i in self.cloud.live()]
        return len([s for s in every if signup_id in {None, s}])

    # The customer.

    def register(self, nonce=b"form"):
        signup_id = signup_id_of_form(nonce)
        secret = OwnerSecret(base32(secrets.token_bytes(32)))

        def work(tx):
            cells.put(tx, CELL)
            agreement = Agreement(PLAN, tx.now, "en")
            label = new_grid_label()
            signups.register(
                tx, signup_id, secret, grid_label=label, cell=CELL, agreement=agreement
            )
            contacts.put(tx, signup_id, "alice@example.org", "alice@example.org")

        self.write(work)
        return signup_id

    def checkout(self, signup_id, attempt=1):
        """Open a session, without weather: it is not the routine's."""
        payments = MemoryPayments(self.account, self.clock)
        request = CheckoutRequest(
            signup_id, attempt, "s4test", "small", 500, "eur", "month",
            Secret("alice@example.org"), "en", "https://s/", "https://s/",
            moment(self.clock.seconds() + 1800),
        )  # fmt: skip
        # The same attempt again is the same request, whenever it is asked.
        key = payment_key(signup_id, "checkout", attempt)
        request = self.account.keys.get(key, (request,))[0]
        session = now(payments.open_checkout(request))

        def work(tx):
            sessions.opened(
                tx, signup_id, session.session_id, session.url, session.expires_at
            )

        self.write(work)
        return session.session_id

    def pay(self, session_id):
        """The customer pays; the daemon does not know yet."""
        return self.account.pay(session_id)

    def news(self, session_id):
        """News of the session reaches the daemon, as from inbox or return."""
        session = self.account.sessions[session_id]
        return now(Deferred.fromCoroutine(payment.take(self.crew.shop, session)))

    def retry(self, signup_id):
        """An operator has it tried again."""
        self.write(signups.try_again, signup_id, "op")

    def refund(self, signup_id, amount):
        """An operator gives so much of the last payment back."""
        name = self.read(signups.get, signup_id).payment.subscription
        payments = MemoryPayments(self.account, self.clock)
        last = now(payments.last_payment(name))
        ticket = self.read(payment.next_refund, signup_id)
        self.write(payment.wish_refund, ticket, last, amount, "operator ann", "sorry")

    def give_up(self, signup_id, who="op", why="decided"):
        """It is refunded: cancelled, or decided so."""
        self.write(moves.give_up, signup_id, who, why)

    def paid(self, nonce=b"form"):
        signup_id = self.register(nonce)
        session_id = self.checkout(signup_id)
        self.pay(session_id)
        assert self.news(session_id) == "kept"
        return signup_id

    # Time, and the hosts.

    def advance(self, seconds, step=1.0):
        """Let time pass, with hosts that boot, claim and report."""
        for _ in range(int(seconds / step)):
            self.clock.advance(step)
            if self.perished:
                return
            self.boot()

    def boot(self):
        if not (self.up and self.hosts_work):
            return
        for instance in self.cloud.live():
            host = instance.shown(self.clock.seconds())
            if host.state == "running" and self.up:
                self._agent(instance.request, host)

    def _agent(self, request, host):
        """What an agent does: claim, then report; both again and again."""
        text = json.loads(request.user_data.reveal())["bootstrap"]
        swissnum = Secret(Furl.parse(text).swissnum)
        key = (request.key.signup_id, request.key.generation)

        row = self.read(hosts.find, *key)
        if row is None or row.state not in {"launched", "claimed"}:
            return

        def turn(tx):
            if hosts.by_bootstrap(tx, swissnum) is None:
                return
            if row.state == "launched":
                claim = hosts.claim(tx, *key, b"k" * 32)
                if claim in {"bound", "repeated"}:
                    moves.claimed(tx, *key)
            else:
                moves.self_test_passed(tx, *key)

        try:
            self.write(turn)
        except (StateChanged, Unknown):
            return


def now(asked):
    """The result of something that has happened already."""
    results, failures = [], []
    ensureDeferred(asked).addCallbacks(results.append, failures.append)
    if failures:
        failures[0].raiseException()
    assert results, "nothing yet"
    return results[0]


def weather(*faults):
    """Each named call meets its faults once, in their order; then it is fair."""
    left = {}
    for call, fault in faults:
        left.setdefault(call, []).append(fault)

    def met(call):
        return left[call].pop(0) if left.get(call) else Fault.NONE

    return met


def always(call, fault):
    """One call always meets this fault."""
    return lambda asked: fault if asked == call else Fault.NONE


def check_served(world, signup_id):
    """What must be true of a signup that is served, however it came to it."""
    assert world.state(signup_id) == "active"
    assert world.live_hosts(signup_id) == 1
    host = world.read(hosts.live, signup_id)
    assert host.state == "ready"
    live = [i for i in world.cloud.live() if i.request.key.signup_id == signup_id]
    assert live[0].instance_id == host.instance_id
    assert world.mails(signup_id).count("active") == 1
    assert world.kinds(signup_id).count("ready") == 1
    assert world.kinds(signup_id).count("identity-sealed") == 1
    identity = world.read(identities.latest, signup_id)
    assert world.cloud.vault[identity.vault_key].body == identity.sealed
    assert not [e for e in world.read(effects.of, signup_id) if e.state == "begun"]
    kept = world.read(signups.get, signup_id).payment.subscription
    assert kept in world.account.subscriptions


def check_names(world):
    """No name leads to an address that the cloud may give to somebody else."""
    held = {i.address for i in world.cloud.live() if not i.stopped}
    assert set(world.cloud.records.values()) <= held


def check_refunded(world, signup_id):
    """What must be true of a signup that could not be served."""
    assert world.state(signup_id) == "refunded"
    assert world.live_hosts(signup_id) == 0
    assert world.mails(signup_id).count("refunded") == 1
    assert world.kinds(signup_id).count("refunded") == 1
    assert not [e for e in world.read(effects.of, signup_id) if e.state == "begun"]
    assert not [e for e in world.read(effects.of, signup_id) if e.state == "begun"]
    kept = world.read(signups.get, signup_id).payment.subscription
    assert kept not in world.account.subscriptions
    assert kept not in world.account.kept()


def check_money(world, subscriptions):
    """So many subscriptions are live, and each of them was charged once."""
    assert len(world.account.subscriptions) == subscriptions
    assert set(world.account.kept()) == world.account.subscriptions
