"""A daemon's edge on a real journal, with the payment service in memory."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest
from attrs import Factory, define
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from lae_flapp.desk.front_desk import FrontDesk
from lae_flapp.desk.wishes import Wishes
from lae_flapp.flood import HourlyLimit
from lae_flapp.grid.furls import CustomerFurls
from lae_flapp.grid.workshop import Workshop
from lae_flapp.journal import inbox
from lae_flapp.journal.journal import Journal
from lae_flapp.life.links import Links
from lae_flapp.life.looking import Subscriptions
from lae_flapp.money.checkout.checkout import Checkout
from lae_flapp.money.checkout.selling import Selling
from lae_flapp.money.checkout.settlement import Settlement
from lae_flapp.money.inbox.intake import Intake
from lae_flapp.money.inbox.working_off import InboxWork
from lae_flapp.queue import Queue
from lae_protocol.ids import OwnerSecret, signup_id_of_form
from lae_protocol.messages import Owner, Plan, Pulse, Register
from lae_protocol.process.token_bucket import Rate
from tests.desk.post_office import Mails
from tests.twins.asking import ask
from tests.twins.cloud import Cloud
from tests.twins.doors import Line
from tests.twins.ground import CELL, PLAN, START
from tests.twins.identities import MemoryIdentities, MemorySealer
from tests.twins.journal import answer, open_journal
from tests.twins.payments import Account, MemoryPayments
from tests.twins.weather import Fault


def now(waiting: Any) -> Any:
    """What has happened by now: in the same thread everything answers at once."""
    return answer(Deferred.fromCoroutine(waiting))


@define(slots=False)
class Desk:
    """Everything a test asks or looks at; *faults* strike the calls named, in turn."""

    folder: Path
    clock: Clock
    account: Account = Factory(Account)
    faults: dict[str, list[Fault]] = Factory(dict)
    woken: list[str] = Factory(list)
    closed: str | None = None
    quota: int = 1000
    unpaid_share: float = 1.0
    an_hour: int = 1000
    pace: Rate | None = None
    short: bool = False
    ahead: float = 0.0
    journal: Journal = None
    queue: Queue = None
    to_adopt: list[str] = Factory(list)

    links = Links(MemorySealer(), "https://s4.example")

    def start(self) -> None:
        self.journal = open_journal(self.folder, self.clock)
        self.journal.hear_of_signups(lambda signup_id, _: self.woken.append(signup_id))
        payments = MemoryPayments(self.account, self.clock, self._weather)
        shop = Workshop(
            journal=self.journal,
            clock=self.clock,
            buckets=None,
            roles=None,
            hosts=None,
            addresses=None,
            vault=None,
            identities=None,
            payments=payments,
            sealer=MemorySealer(),
            render_user_data=None,
            new_bootstrap=None,
            cells={},
            deployment="s4test",
            livemode=False,
        )
        self.settlement = Settlement(shop, self._adopt)
        selling = Selling(
            (PLAN,),
            CELL,
            {"instances": self.quota},
            "https://s4.example",
            lambda: self.ahead,
            self.unpaid_share,
        )
        pace = self.pace or Rate(1_000_000, 1_000_000)
        short = lambda: self.short  # noqa: E731
        self.registering = HourlyLimit(
            self.clock, "registrations", self.an_hour, pace, short
        )
        self.hinting = HourlyLimit(self.clock, "events", self.an_hour, pace, short)
        self.checkout = Checkout(
            self.journal,
            payments,
            MemorySealer(),
            self.settlement,
            selling,
            limit=self.registering,
        )
        self.subscriptions = Subscriptions(shop)
        work = InboxWork(
            self.journal,
            self.settlement,
            self.subscriptions,
            Random(1),
        )
        self.queue = Queue(
            "inbox",
            self.clock,
            self.journal,
            due=inbox.due,
            next_due_at=inbox.next_due_at,
            number_of=lambda e: e.event_id,
            work=work,
            at_once=4,
        )
        self.queue.startService()
        self.wishes = Wishes(
            self.journal,
            plans=(PLAN,),
            environment="local",
            ready_for_business=lambda: self.closed,
            links=self.links,
        )
        furls = CustomerFurls(
            self.journal, MemoryIdentities(Line(Cloud(), self.clock)), MemorySealer()
        )
        self.front = FrontDesk(
            self.clock,
            self.journal,
            checkout=self.checkout,
            settlement=self.settlement,
            intake=Intake(self.journal),
            wishes=self.wishes,
            furls=furls,
            pulse=self.pulse,
            hint_limit=self.hinting,
        )

    async def pulse(self) -> Pulse:
        return Pulse("1.2", 60, healthy=True)

    def stop(self) -> None:
        self.queue.stopService()
        now(self.journal.close())

    def restart(self) -> None:
        self.stop()
        self.start()

    def _weather(self, call: str) -> Fault:
        waiting = self.faults.get(call, [])
        return waiting.pop(0) if waiting else Fault.NONE

    async def _adopt(self, session: Any) -> str:
        """Nobody adopts here; what was to be adopted is kept."""
        self.to_adopt.append(session.session_id)
        return "undecided"

    def ask(self, question: Any) -> Any:
        """Ask the front desk as the site does, by bytes."""
        return ask(self.front.facet(), question)

    def write(self, work: Any, *args: Any, **kwargs: Any) -> Any:
        return answer(self.journal.write(work, *args, **kwargs))

    def read(self, work: Any, *args: Any, **kwargs: Any) -> Any:
        return answer(self.journal.read(work, *args, **kwargs))


def form(number: int = 1, email: str = "o'neil+x&co@exämple.org", plan: Plan = PLAN):
    """The registration that form *number* makes, and its owner."""
    signup_id = signup_id_of_form(str(number).encode())
    secret = OwnerSecret(f"secret of {number}" + "x" * 30)
    return Register(signup_id, secret, email, plan, "en"), Owner(signup_id, secret)


@pytest.fixture
def desk(tmp_path: Path):
    """A running edge."""
    clock = Clock()
    clock.advance(START)
    made = Desk(tmp_path / "journal", clock)
    made.start()
    yield made
    made.stop()


@pytest.fixture
def new_desk(tmp_path_factory: pytest.TempPathFactory):
    """Make an edge with these settings, as often as asked."""
    made: list[Desk] = []

    def new(**settings: Any) -> Desk:
        clock = Clock()
        clock.advance(START)
        folder = tmp_path_factory.mktemp("desk") / "journal"
        desk = Desk(folder, clock, **settings)
        desk.start()
        made.append(desk)
        return desk

    yield new
    for desk in made:
        desk.stop()


@pytest.fixture
def a_form():
    return form


@pytest.fixture
def plan():
    return PLAN


@pytest.fixture
def mails(tmp_path: Path) -> Iterator[Mails]:
    clock = Clock()
    clock.advance(START)
    made = Mails(tmp_path / "journal", clock)
    made.start()
    yield made
    made.stop()
