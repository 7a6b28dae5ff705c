"""The daemon, alive: what starts in which order, and how it ends."""

from __future__ import annotations

import atexit
import os
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.metadata import version
from random import SystemRandom
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from lae_flapp.checkout.desk import CheckoutDesk, Selling
from lae_flapp.checkout.settlement import Settlement
from lae_flapp.facets.front_desk import FrontDesk
from lae_flapp.facets.furls import CustomerFurls
from lae_flapp.facets.hosts import HostDesk
from lae_flapp.facets.tubs import (
    furl_of,
    new_name,
    serve_hosts,
    serve_operators,
    serving_tub,
)
from lae_flapp.facets.wishes import Wishes
from lae_flapp.first_furls import kept_name, write_furl
from lae_flapp.inbox.intake import Intake
from lae_flapp.inbox.working_off import InboxWork
from lae_flapp.journal import inbox, operators, outbox, retention
from lae_flapp.journal.cells import Cell
from lae_flapp.journal.journal import Journal
from lae_flapp.journal.meta import Home
from lae_flapp.journal.threads import JournalThreads
from lae_flapp.opening import Opening
from lae_flapp.operator.facet import OperatorDesk, OperatorFacet
from lae_flapp.outbox.sending import Sending
from lae_flapp.outside import CellUserData, Outside, Secrets, ground_of, open_outside
from lae_flapp.payments.check import Wanted
from lae_flapp.queue import Queue
from lae_flapp.settings import CellSettings, DaemonSettings
from lae_flapp.signup.crew import Crew
from lae_flapp.signup.limits import Limits
from lae_flapp.signup.workshop import Workshop
from lae_protocol.address import parse_address
from lae_protocol.furl import Furl
from lae_protocol.messages import Plan
from lae_protocol.process import readiness
from lae_protocol.process.deadline import DeadlinePassed, with_deadline
from lae_protocol.secret import Secret

#: Seconds that one part may take to end: a frozen client must not hold up the rest.
STOP_AT_MOST = 3.0
DAY = 86_400.0
FIRST_OPERATOR = "first-operator"
MAILS_AT_ONCE, EVENTS_AT_ONCE = 4, 8


class Daemon(Service):
    """Starts after twistd's fork; :meth:`_start` has the order, numbered."""

    _log = Logger()

    def __init__(
        self,
        reactor: Any,
        settings: DaemonSettings,
        held: Secrets,
        plans: tuple[Plan, ...],
        *,
        take_over: bool,
    ) -> None:
        self._reactor, self._settings, self._held = reactor, settings, held
        self._plans, self._take_over = plans, take_over
        self._rng = SystemRandom()
        self._ends: list[tuple[str, Callable[[], Any]]] = []
        self._starting: Deferred[None] | None = None

    def startService(self) -> None:
        """Begin; what cannot start ends the process, with its reason in the log."""
        super().startService()  # type: ignore[no-untyped-call]
        self._starting = Deferred.fromCoroutine(self._start())
        self._starting.addErrback(self._could_not_start)

    def stopService(self) -> Deferred[None]:
        """End in reverse order, each part within a bound."""
        super().stopService()  # type: ignore[no-untyped-call]
        readiness.notify("STOPPING=1")
        if self._starting is not None:
            self._starting.cancel()
        return Deferred.fromCoroutine(self._stop())

    async def _start(self) -> None:
        """1. the doors; 2. the journal, with lock and epoch; 3. the cloud's account
        and the canary; 4. the crew, inbox and outbox take up what was left; 5. the
        Tubs, so that sites, hosts and operators can come; 6. what is looked at from
        time to time; 7. the supervisor is told.
        """
        reactor, settings = self._reactor, self._settings
        settings.state.mkdir(mode=0o700, parents=True, exist_ok=True)
        outside = open_outside(reactor, self._rng, settings, self._held)
        self._begin("keys", outside.key_pool)
        self._begin("payments", outside.payments)

        journal = self._journal()
        await journal.open(by_force=self._take_over)
        self._ends.append(("journal", lambda: Deferred.fromCoroutine(journal.close())))

        wanted = Wanted(
            mode=settings.stripe.mode,
            plans=self._plans,
            webhook_url=f"{settings.site_url}/webhook/stripe",
            account_id=settings.stripe.account,
        )
        opening = Opening(reactor, self._rng, outside, settings.aws.account, wanted)
        if not await opening.try_once():
            later = Deferred.fromCoroutine(opening.until_open())
            later.addErrback(self._could_not_start)
            self._ends.append(("opening", later.cancel))

        await self._begin_work(outside, journal, opening)
        readiness.notify("READY=1")
        self._log.info("ready: {deployment}", deployment=settings.deployment)

    async def _begin_work(
        self, outside: Outside, journal: Journal, opening: Opening
    ) -> None:
        reactor, settings = self._reactor, self._settings
        hosts_tub = serving_tub(settings.hosts_tub, settings.state / "hosts.pem")
        private_tub = serving_tub(settings.private_tub, settings.state / "private.pem")
        shop = self._workshop(outside, journal, hosts_tub)
        crew = Crew(shop)
        settlement = Settlement(shop, crew.nudge)
        furls = CustomerFurls(journal, outside.identities)

        mails = self._outbox(outside, shop, furls)
        events = Queue(
            "inbox",
            reactor,
            journal,
            due=inbox.due,
            next_due_at=inbox.next_due_at,
            number_of=lambda event: event.event_id,
            work=InboxWork(journal, settlement, self._rng),
            at_once=EVENTS_AT_ONCE,
        )
        self._ends.append(("crew", lambda: Deferred.fromCoroutine(crew.stop())))
        await crew.start()
        for queue in (mails, events):
            self._begin(str(queue.name), queue)
        self._wake_on_events(journal, mails)

        cell = settings.cells[0]
        selling = Selling(
            self._plans, _cell(settings, cell), _quotas(cell), settings.site_url
        )
        front_desk = FrontDesk(
            reactor,
            journal,
            checkout=CheckoutDesk(
                journal, outside.payments.payments, outside.sealer, settlement, selling
            ),
            settlement=settlement,
            intake=Intake(journal, events.wake),
            wishes=Wishes(
                journal,
                plans=self._plans,
                environment=settings.environment,
                ready_for_business=opening.closed_because,
                new_message_id=shop.new_message_id,
                mail_waits=mails.wake,
            ),
            furls=furls,
        )
        self._serve_site(private_tub, front_desk)
        await self._serve_operators(private_tub, journal, crew, opening)
        serve_hosts(
            hosts_tub,
            HostDesk(
                journal=journal,
                furls=furls,
                sealer=outside.sealer,
                s3_endpoint=cell.s3_endpoint,
                host_furl=lambda name: furl_of(
                    hosts_tub, settings.hosts_tub.location, name
                ),
                nudge=crew.nudge,
                new_message_id=shop.new_message_id,
            ),
        )
        self._begin("private tub", private_tub)
        self._begin("hosts tub", hosts_tub)
        self._repeat(
            "reconciliation", settings.patience.reconcile, settlement.reconcile
        )
        self._repeat("retention", DAY, lambda: journal.write(retention.sweep))

    def _journal(self) -> Journal:
        settings = self._settings
        home = Home(
            settings.environment,
            settings.deployment,
            settings.aws.account,
            settings.stripe.mode,
        )
        folder = settings.state / "journal"
        folder.mkdir(mode=0o700, exist_ok=True)
        return Journal(
            folder / "journal.sqlite",
            home,
            self._reactor,
            JournalThreads(self._reactor),
            self._superseded,
        )

    def _workshop(self, outside: Outside, journal: Journal, hosts_tub: Any) -> Workshop:
        settings = self._settings
        patience = settings.patience
        location = settings.hosts_tub.location
        return Workshop(
            journal=journal,
            clock=self._reactor,
            buckets=outside.cloud.buckets,
            roles=outside.cloud.roles,
            hosts=outside.cloud.hosts,
            addresses=outside.addresses,
            vault=outside.vault,
            identities=outside.identities,
            payments=outside.payments.payments,
            sealer=outside.sealer,
            render_user_data=CellUserData(settings.cells[0], settings.aws),
            new_bootstrap=lambda: Furl.parse(
                furl_of(hosts_tub, location, new_name("b"))
            ),
            grounds={cell.name: ground_of(cell) for cell in settings.cells},
            deployment=settings.deployment,
            livemode=settings.stripe.mode == "live",
            mail_domain=outside.sender.address.domain_a_label,
            limits=Limits(
                together=settings.workers,
                claim=patience.claim,
                serve_within=patience.give_up,
                troubled_after=patience.operator_alert,
                visibility=patience.visibility,
            ),
            random=self._rng,
        )

    def _outbox(
        self, outside: Outside, shop: Workshop, furls: CustomerFurls
    ) -> Queue[Any]:
        journal = shop.journal
        sending = Sending(
            journal,
            outside.mail,
            furls=furls,
            sender=outside.sender,
            operators=tuple(map(parse_address, self._settings.mail.operators)),
            rng=self._rng,
            new_message_id=shop.new_message_id,
        )
        return Queue(
            "outbox",
            self._reactor,
            journal,
            due=outbox.due,
            next_due_at=outbox.next_due_at,
            number_of=lambda mail: mail.number,
            work=sending,
            at_once=MAILS_AT_ONCE,
        )

    def _serve_site(self, tub: Any, front_desk: FrontDesk) -> None:
        path = self._settings.state / "front-desk.furl"
        name = kept_name(path, new_name("f"))
        tub.registerReference(front_desk, name)
        location = self._settings.private_tub.location
        write_furl(path, Furl.parse(furl_of(tub, location, name)))

    async def _serve_operators(
        self, tub: Any, journal: Journal, crew: Crew, opening: Opening
    ) -> None:
        path = self._settings.state / "operator.furl"
        name = kept_name(path, new_name("o"))
        location = self._settings.private_tub.location
        await journal.write(operators.add, FIRST_OPERATOR, Secret(name), "daemon")
        write_furl(path, Furl.parse(furl_of(tub, location, name)))
        desk = OperatorDesk(
            clock=self._reactor,
            journal=journal,
            retry=crew.retry,
            environment=self._settings.environment,
            release=version("s4"),
            started_at=datetime.now(UTC),
            canary_opened=lambda: opening.opened,
            closed_because=opening.closed_because,
        )
        serve_operators(tub, lambda swissnum: OperatorFacet(desk, swissnum))

    def _wake_on_events(self, journal: Journal, mails: Queue[Any]) -> None:
        """Whatever happens to a signup may have put a mail into the outbox."""

        async def watching() -> None:
            since = 0
            while True:
                since = await journal.watch(None, since)
                mails.wake()

        watcher = Deferred.fromCoroutine(watching())
        # It ends with the journal, or by being cancelled.
        watcher.addErrback(lambda _: None)
        self._ends.append(("outbox watch", watcher.cancel))

    def _begin(self, name: str, service: Any) -> None:
        service.startService()
        self._ends.append((name, service.stopService))

    def _repeat(self, name: str, seconds: float, work: Callable[[], Any]) -> None:
        """Do it now, and from time to time; a failure is logged, and not the end."""

        async def once() -> None:
            try:
                await work()
            except Exception:  # noqa: BLE001  (it is tried again in its turn)
                self._log.failure("{name} failed", name=name)

        loop = LoopingCall(lambda: Deferred.fromCoroutine(once()))
        loop.clock = self._reactor
        loop.start(seconds)
        self._ends.append((name, loop.stop))

    async def _stop(self) -> None:
        while self._ends:
            name, end = self._ends.pop()
            try:
                await with_deadline(
                    self._reactor, STOP_AT_MOST, name, maybeDeferred(end)
                )
            except DeadlinePassed:
                self._log.warn("{name} did not end in time", name=name)
            except Exception:  # noqa: BLE001  (the rest must end too)
                self._log.failure("while ending {name}", name=name)

    def _superseded(self) -> None:
        self._log.critical("another daemon took over this journal; ending")
        self._end_as_failed()

    def _could_not_start(self, failure: Failure) -> None:
        if not self.running:
            return
        self._log.critical(
            "cannot start: {kind}: {problem}",
            kind=failure.type.__name__ if failure.type else "",
            problem=failure.getErrorMessage(),
        )
        self._log.failure("cannot start", failure)
        self._end_as_failed()

    def _end_as_failed(self) -> None:
        """End the process with a status that tells its supervisor; twistd would
        exit with 0.  At exit, so that the pid file is gone by then.
        """
        atexit.register(_exit_with_failure)
        self._reactor.stop()


def _exit_with_failure() -> None:
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(1)


def _cell(settings: DaemonSettings, cell: CellSettings) -> Cell:
    return Cell(
        cell.name,
        settings.deployment,
        settings.aws.account,
        settings.aws.region,
        cell.zone,
        cell.dns_zone,
    )


def _quotas(cell: CellSettings) -> dict[Any, int]:
    quotas = cell.quotas
    return {
        "instances": quotas.instances,
        "roles": quotas.roles,
        "profiles": quotas.instance_profiles,
        "buckets": quotas.buckets,
        "addresses": quotas.addresses,
        "records": quotas.records,
    }
