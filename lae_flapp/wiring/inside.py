"""The daemon's inside, wired: one object graph, nothing of it started yet."""

from __future__ import annotations

import os
import secrets
import socket
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.metadata import version
from random import Random
from typing import Any, TypeVar

from attrs import define

from lae_flapp.desk.front_desk import FrontDesk
from lae_flapp.desk.hosts import HostDesk
from lae_flapp.desk.operators.backups import Backups
from lae_flapp.desk.operators.cancelling import Cancelling
from lae_flapp.desk.operators.desk import OperatorDesk, Process
from lae_flapp.desk.operators.facet import operator_facet
from lae_flapp.desk.tubs import (
    furl_of,
    new_name,
    serve_hosts,
    serve_operators,
    serving_tub,
)
from lae_flapp.desk.wishes import Wishes
from lae_flapp.effects.bounded import bounded
from lae_flapp.grid.crew import Crew
from lae_flapp.grid.furls import CustomerFurls
from lae_flapp.grid.limits import Limits
from lae_flapp.grid.lost_hosts import LostHosts
from lae_flapp.grid.workshop import LookedBack, Workshop
from lae_flapp.journal import inbox, outbox
from lae_flapp.journal.cells import Cell
from lae_flapp.journal.journal import Journal
from lae_flapp.life.links import Links
from lae_flapp.life.looking import Subscriptions
from lae_flapp.life.times import Times
from lae_flapp.mail.letter_facts import LetterSources
from lae_flapp.mail.sending import Sending
from lae_flapp.money.checkout.checkout import Checkout, Selling
from lae_flapp.money.checkout.settlement import Settlement
from lae_flapp.money.dues import StripeDues
from lae_flapp.money.inbox.intake import Intake
from lae_flapp.money.inbox.working_off import InboxWork
from lae_flapp.queue import Queue
from lae_flapp.restored.adoption import Adoption
from lae_flapp.restored.lives import Lives
from lae_flapp.restored.looking_back import LookingBack
from lae_flapp.restored.orders import StripeOrders
from lae_flapp.restored.reading_back import ReadingBack
from lae_flapp.settings import CellSettings, DaemonSettings
from lae_flapp.signs.vitals import Vitals
from lae_flapp.wiring.first_furls import kept_name, write_furl
from lae_flapp.wiring.opening import Opening
from lae_flapp.wiring.outside import CellUserData, Outside, cloud_keys, ground_of
from lae_protocol.address import parse_address
from lae_protocol.furl import Furl
from lae_protocol.messages import Plan
from lae_protocol.secret import Secret

D = TypeVar("D")

MAILS_AT_ONCE = 4
EVENTS_AT_ONCE = 8


@define(frozen=True)
class Inside:
    """What is started, in this order, and stopped in the other."""

    crew: Crew
    mails: Queue[Any]
    events: Queue[Any]
    settlement: Settlement
    lost_hosts: LostHosts
    looking_back: LookingBack
    reading_back: ReadingBack
    cancelling: Cancelling
    subscriptions: Subscriptions
    times: Times
    private_tub: Any
    hosts_tub: Any
    #: The name of the first operator's furl; the journal must know it.
    operator_name: Secret


@define(frozen=True, kw_only=True)
class Wiring:
    """Everything that the inside is made of."""

    reactor: Any
    rng: Random
    settings: DaemonSettings
    plans: tuple[Plan, ...]
    outside: Outside
    journal: Journal
    opening: Opening
    vitals: Vitals
    #: How far the true time is ahead of the reactor's, in seconds.
    ahead: Callable[[], float]
    backups: Backups

    def inside(self) -> Inside:
        """Wire it: the routine, what feeds it, and what others may ask."""
        settings, state = self.settings, self.settings.state
        hosts_tub = serving_tub(self.reactor, settings.hosts_tub, state / "hosts.pem")
        private_tub = serving_tub(
            self.reactor, settings.private_tub, state / "private.pem"
        )
        # Nothing is launched before the first looks at bucket and cloud.
        looked_back = LookedBack(done=False)
        shop = self._workshop(hosts_tub, looked_back)
        crew = Crew(shop, StripeDues(shop))
        lost_hosts = LostHosts(shop)
        settlement = Settlement(shop, self._adoption(shop).adopt)
        furls = CustomerFurls(self.journal, self.outside.identities)
        mails = self._mails(shop, furls)
        subscriptions = Subscriptions(shop)
        events = self._events(settlement, subscriptions)
        checkout = self._checkout(settlement)
        intake = Intake(self.journal)
        reading_back = self._reading_back(intake)
        claim = Lives(shop, _life()).claim
        looking_back = LookingBack(
            clock=self.reactor,
            rng=self.rng,
            claim=claim,
            look=lost_hosts.look,
            read=reading_back.look,
            looked_back=looked_back,
        )
        front_desk = FrontDesk(
            self.reactor,
            self.journal,
            checkout=checkout,
            settlement=settlement,
            intake=intake,
            wishes=self._wishes(),
            furls=furls,
            pulse=self.vitals.pulse,
        )
        self._serve_site(private_tub, front_desk)
        cancelling = Cancelling(self.journal, checkout.expire_sessions)
        operator_name = self._serve_operators(private_tub, shop, cancelling)
        serve_hosts(hosts_tub, self._host_desk(furls, hosts_tub))
        return Inside(
            crew=crew,
            mails=mails,
            events=events,
            settlement=settlement,
            lost_hosts=lost_hosts,
            looking_back=looking_back,
            reading_back=reading_back,
            cancelling=cancelling,
            subscriptions=subscriptions,
            times=Times(shop, subscriptions),
            private_tub=private_tub,
            hosts_tub=hosts_tub,
            operator_name=operator_name,
        )

    def _adoption(self, shop: Workshop) -> Adoption:
        orders = self._bounded(
            StripeOrders(self.outside.payments.payments.calls), "orders"
        )
        cell = cell_of(self.settings, self.settings.cells[0])
        return Adoption(shop, orders, self.plans, cell)

    def _limits(self) -> Limits:
        patience = self.settings.patience
        return Limits(
            together=self.settings.workers,
            claim=patience.claim,
            serve_within=patience.give_up,
            troubled_after=patience.operator_alert,
            visibility=patience.visibility,
        )

    def _bounded(self, door: D, name: str) -> D:
        limits = self._limits()
        return bounded(
            door, name, self.reactor, seconds=limits.call, together=limits.together
        )

    def _reading_back(self, intake: Intake) -> ReadingBack:
        payments = self.outside.payments.payments
        return ReadingBack(self.journal, payments.hints_since, intake)

    def _workshop(self, hosts_tub: Any, looked_back: LookedBack) -> Workshop:
        settings, outside = self.settings, self.outside
        location = settings.hosts_tub.location
        return Workshop(
            journal=self.journal,
            clock=self.reactor,
            buckets=self._bounded(outside.cloud.buckets, "buckets"),
            roles=self._bounded(outside.cloud.roles, "roles"),
            hosts=self._bounded(outside.cloud.hosts, "hosts"),
            addresses=self._bounded(outside.addresses, "addresses"),
            vault=self._bounded(outside.vault, "vault"),
            identities=self._bounded(outside.identities, "identities"),
            payments=self._bounded(outside.payments.payments, "payments"),
            sealer=outside.sealer,
            render_user_data=CellUserData(settings.cells[0], settings.aws),
            new_bootstrap=lambda: Furl.parse(
                furl_of(hosts_tub, location, new_name("b"))
            ),
            grounds={cell.name: ground_of(cell) for cell in settings.cells},
            deployment=settings.deployment,
            livemode=settings.stripe.mode == "live",
            limits=self._limits(),
            random=self.rng,
            looked_back=looked_back,
        )

    def _checkout(self, settlement: Settlement) -> Checkout:
        outside = self.outside
        payments = outside.payments.payments
        return Checkout(
            self.journal, payments, outside.sealer, settlement, self._selling()
        )

    def _selling(self) -> Selling:
        cell = self.settings.cells[0]
        return Selling(
            self.plans,
            cell_of(self.settings, cell),
            quotas_of(cell),
            self.settings.site_url,
            self.ahead,
        )

    def _wishes(self) -> Wishes:
        return Wishes(
            self.journal,
            plans=self.plans,
            environment=self.settings.environment,
            ready_for_business=self.vitals.closed_because,
            links=self._links(),
        )

    def _links(self) -> Links:
        return Links(self.outside.sealer, self.settings.site_url)

    def _events(
        self, settlement: Settlement, subscriptions: Subscriptions
    ) -> Queue[Any]:
        return Queue(
            "inbox",
            self.reactor,
            self.journal,
            due=inbox.due,
            next_due_at=inbox.next_due_at,
            number_of=lambda event: event.event_id,
            work=InboxWork(self.journal, settlement, subscriptions, self.rng),
            at_once=EVENTS_AT_ONCE,
        )

    def _mails(self, shop: Workshop, furls: CustomerFurls) -> Queue[Any]:
        sending = Sending(
            self.journal,
            self.outside.mail,
            sources=LetterSources(
                furls,
                shop.payments.fetch_subscription,
                self._links(),
            ),
            sender=self.outside.sender,
            operators=tuple(map(parse_address, self.settings.mail.operators)),
            rng=self.rng,
        )
        return Queue(
            "outbox",
            self.reactor,
            self.journal,
            due=outbox.due,
            next_due_at=outbox.next_due_at,
            number_of=lambda mail: mail.number,
            work=sending,
            at_once=MAILS_AT_ONCE,
        )

    def _host_desk(self, furls: CustomerFurls, tub: Any) -> HostDesk:
        location = self.settings.hosts_tub.location
        return HostDesk(
            journal=self.journal,
            furls=furls,
            sealer=self.outside.sealer,
            s3_endpoint=self.settings.cells[0].s3_endpoint,
            host_furl=lambda name: furl_of(tub, location, name),
            cloud_keys=cloud_keys(self.settings.cells[0]),
        )

    def _serve_site(self, tub: Any, front_desk: FrontDesk) -> None:
        path = self.settings.state / "front-desk.furl"
        name = kept_name(path, new_name("f"))
        tub.registerReference(front_desk.facet(), name)
        location = self.settings.private_tub.location
        write_furl(path, Furl.parse(furl_of(tub, location, name)))

    def _serve_operators(
        self,
        tub: Any,
        shop: Workshop,
        cancelling: Cancelling,
    ) -> Secret:
        path = self.settings.state / "operator.furl"
        name = kept_name(path, new_name("o"))
        location = self.settings.private_tub.location
        write_furl(path, Furl.parse(furl_of(tub, location, name)))

        def new_furl() -> tuple[Furl, Secret]:
            fresh = new_name("o")
            return Furl.parse(furl_of(tub, location, fresh)), Secret(fresh)

        desk = OperatorDesk(
            shop=shop,
            process=Process(
                environment=self.settings.environment,
                release=version("s4"),
                started_at=datetime.now(UTC),
                canary_opened=lambda: self.opening.opened,
                closed_because=self.vitals.closed_because,
            ),
            selling=self._selling(),
            cancel=cancelling.cancel,
            new_furl=new_furl,
            back_up=self.backups.begin_or_tell,
        )
        serve_operators(tub, lambda swissnum: operator_facet(desk, swissnum))
        return Secret(name)


def _life() -> str:
    """What tells this life of the daemon from every other."""
    return f"{socket.gethostname()} {os.getpid()} {secrets.token_hex(16)}"


def cell_of(settings: DaemonSettings, cell: CellSettings) -> Cell:
    """The cell as the journal knows it."""
    return Cell(
        cell.name,
        settings.deployment,
        settings.aws.account,
        settings.aws.region,
        cell.zone,
        cell.dns_zone,
    )


def quotas_of(cell: CellSettings) -> dict[Any, int]:
    """How much of each there is."""
    quotas = cell.quotas
    return {
        "instances": quotas.instances,
        "roles": quotas.roles,
        "profiles": quotas.instance_profiles,
        "buckets": quotas.buckets,
        "addresses": quotas.addresses,
        "records": quotas.records,
    }
