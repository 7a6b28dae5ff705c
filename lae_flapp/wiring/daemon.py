"""The daemon, alive: what starts in which order, and how it ends."""

from __future__ import annotations

import atexit
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from random import SystemRandom
from typing import Any

from prometheus_client import CollectorRegistry
from twisted.application.service import Service
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from lae_flapp.desk.operators.backups import Backups
from lae_flapp.journal import operators, retention
from lae_flapp.journal.errors import JournalClosed, JournalError
from lae_flapp.journal.figures import last_moment
from lae_flapp.journal.journal import OF_THE_FILE, Journal
from lae_flapp.journal.threads import JournalThreads
from lae_flapp.money.stripe.check import Wanted
from lae_flapp.settings import DaemonSettings
from lae_flapp.signs.calls import CallFigures
from lae_flapp.signs.vitals import Vitals
from lae_flapp.wiring.inside import Inside, Wiring
from lae_flapp.wiring.opening import Opening, WrongAccount
from lae_flapp.wiring.outside import Outside, Secrets, open_outside
from lae_flapp.wiring.place import copies_of, home_of, journal_path
from lae_flapp.wiring.signs import Signs, wire_health, wire_signs
from lae_protocol.messages import Plan
from lae_protocol.process import readiness
from lae_protocol.process.deadline import DeadlinePassed, with_deadline
from lae_protocol.process.figures_port import Figures, FiguresPort
from lae_protocol.process.own_figures import OwnFigures
from lae_protocol.process.steady import SteadyClock

#: Seconds that one part may take to end: a frozen client must not hold up the rest.
STOP_AT_MOST = 3.0
#: Seconds that the supervisor waits for the first look outside.
FIRST_LOOK = 10.0
DAY = 86_400.0
FIRST_OPERATOR = "first-operator"


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
        registry: CollectorRegistry,
        steady: SteadyClock,
    ) -> None:
        self._reactor, self._settings, self._held = reactor, settings, held
        self._plans, self._take_over = plans, take_over
        self._rng, self._registry, self._steady = SystemRandom(), registry, steady
        self._ends: list[tuple[str, Callable[[], Any]]] = []
        self._starting: Deferred[None] | None = None
        self._vitals: Vitals | None = None

    def startService(self) -> None:
        """Begin; what cannot start ends the process, with its reason in the log."""
        super().startService()  # type: ignore[no-untyped-call]
        self._starting = Deferred.fromCoroutine(self._start())
        self._starting.addErrback(self._could_not_start)

    def stopService(self) -> Deferred[None]:
        """End in reverse order, each part within a bound."""
        super().stopService()  # type: ignore[no-untyped-call]
        readiness.notify("STOPPING=1")
        if self._vitals is not None:
            self._vitals.ready = False
        if self._starting is not None:
            self._starting.cancel()
        return Deferred.fromCoroutine(self._stop())

    async def _start(self) -> None:
        """1. the doors; 2. the journal, with lock and epoch; 3. metrics and health;
        4. the crew, inbox and outbox take up what was left; 5. the Tubs, so that
        sites, hosts and operators can come; 6. what is looked at from time to time;
        7. the first look whether customers can be taken; 8. the supervisor is told.
        """
        reactor, settings = self._reactor, self._settings
        settings.state.mkdir(mode=0o700, parents=True, exist_ok=True)
        calls = CallFigures(self._registry, reactor)
        outside = open_outside(reactor, self._rng, settings, self._held, calls)
        self._begin("keys", outside.key_pool)
        self._begin("payments", outside.payments)

        journal = self._journal()
        await journal.open(by_force=self._take_over)
        self._ends.append(("journal", lambda: Deferred.fromCoroutine(journal.close())))

        await self._go_on_from(journal)

        opening = self._opening(outside)
        backups = Backups(copies_of(settings.state))
        self._ends.append(("backup", backups.stop))
        rng, registry = self._rng, self._registry
        health = wire_health(
            reactor=reactor, settings=settings, journal=journal, opening=opening
        )
        vitals = self._vitals = health.vitals
        inside = Wiring(
            reactor=reactor,
            rng=rng,
            settings=settings,
            plans=self._plans,
            outside=outside,
            journal=journal,
            opening=opening,
            vitals=vitals,
            ahead=self._steady.offset,
            backups=backups,
        ).inside()
        signs = wire_signs(
            reactor=reactor,
            rng=rng,
            settings=settings,
            registry=registry,
            calls=calls,
            journal=journal,
            outside=outside,
            opening=opening,
            ahead=self._steady.offset,
            health=health,
            inside=inside,
        )
        own = OwnFigures(
            reactor, registry, "daemon", vitals.release, self._steady.offset
        )
        port = Figures(registry, vitals.report, signs.figures.refresh)
        self._begin("own figures", own)
        self._begin("metrics", FiguresPort(reactor, settings.metrics_listen, port))
        # Events and steps are counted from here on.
        await signs.figures.refresh()
        await self._begin_work(inside, signs, journal)
        vitals.ready = True
        await self._look_outside(opening)
        readiness.notify("READY=1")
        self._log.info("ready: {deployment}", deployment=settings.deployment)

    async def _go_on_from(self, journal: Journal) -> None:
        """Time never goes back, from one daemon to the next either: what was put off
        until then, or holds until then, does so whatever was done to the clock.
        """
        last = await journal.read(last_moment)
        if last is None or self._steady.at_least(last.timestamp()):
            return
        self._log.critical(
            "the journal was written at {last}, which is far ahead of this machine's"
            " clock: one of them is wrong",
            last=last.isoformat(timespec="seconds"),
        )

    async def _begin_work(self, inside: Inside, signs: Signs, journal: Journal) -> None:
        # Before anything is written: what Stripe told since then is read back.
        await inside.reading_back.begin()
        if not await journal.write(
            operators.install, FIRST_OPERATOR, inside.operator_name, "daemon"
        ):
            self._log.warn("the first operator's furl is revoked: operator.furl")
        self._look_back(inside)
        crew, settlement = inside.crew, inside.settlement
        self._ends.append(("crew", lambda: Deferred.fromCoroutine(crew.stop())))
        self._begin("outbox", inside.mails)
        self._begin("notices", signs.notices)
        self._begin("inbox", inside.events)
        await crew.start()
        self._begin("private tub", inside.private_tub)
        self._begin("hosts tub", inside.hosts_tub)
        seconds = self._settings.patience.reconcile
        self._repeat("reconciliation", seconds, settlement.reconcile)
        self._repeat("subscriptions", seconds, inside.subscriptions.reconcile)
        self._repeat("what is left undone", seconds, crew.take_up, now=False)
        self._repeat("reading back", seconds, inside.reading_back.look, now=False)
        seconds = self._settings.patience.lost_hosts
        self._repeat("lost hosts", seconds, inside.lost_hosts.look)
        self._repeat("watch", self._settings.patience.watch, signs.watch.look)
        seconds = self._settings.patience.reconcile
        self._repeat("gifts that end", seconds, inside.cancelling.end_gifts)
        seconds = self._settings.patience.lifecycle
        self._repeat("what the time brings", seconds, inside.times.look)
        self._repeat("retention", DAY, lambda: journal.write(retention.sweep))

    def _opening(self, outside: Outside) -> Opening:
        settings = self._settings
        wanted = Wanted(
            mode=settings.stripe.mode,
            plans=self._plans,
            webhook_url=f"{settings.site_url}/webhook/stripe",
            account_id=settings.stripe.account,
        )
        account = settings.aws.account
        return Opening(self._reactor, self._rng, outside, account, wanted)

    async def _look_outside(self, opening: Opening) -> None:
        """Look until all is well, but do not keep the supervisor waiting for it."""
        looking = Deferred.fromCoroutine(opening.until_open())
        looking.addErrback(self._could_not_start)
        self._ends.append(("opening", looking.cancel))
        with suppress(DeadlinePassed):
            await with_deadline(
                self._reactor, FIRST_LOOK, "the outside", opening.looked()
            )

    def _journal(self) -> Journal:
        path = journal_path(self._settings.state)
        path.parent.mkdir(mode=0o700, exist_ok=True)
        return Journal(
            path,
            home_of(self._settings),
            self._reactor,
            JournalThreads(self._reactor),
            self._superseded,
        )

    def _begin(self, name: str, service: Any) -> None:
        service.startService()
        self._ends.append((name, service.stopService))

    def _look_back(self, inside: Inside) -> None:
        """What an older backup does not know, before anything is launched."""

        def failed(failure: Failure) -> None:
            self._log.failure("looking back ended", failure)

        looking = Deferred.fromCoroutine(inside.looking_back.run())
        looking.addErrback(failed)
        self._ends.append(("looking back", looking.cancel))

    def _repeat(
        self, name: str, seconds: float, work: Callable[[], Any], *, now: bool = True
    ) -> None:
        """Do it now, and from time to time; a failure is logged, and not the end."""

        async def once() -> None:
            try:
                await work()
            except JournalClosed:
                # Stopping; what was looked at is looked at again at the next start.
                return
            except OF_THE_FILE as e:
                self._log.error("{name} failed: {problem}", name=name, problem=str(e))
            except Exception:  # noqa: BLE001  (it is tried again in its turn)
                self._log.failure("{name} failed", name=name)

        loop = LoopingCall(lambda: Deferred.fromCoroutine(once()))
        loop.clock = self._reactor
        loop.start(seconds, now=now)
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
        if self._vitals is not None:
            self._vitals.superseded = True
        self._end_as_failed()

    def _could_not_start(self, failure: Failure) -> None:
        if not self.running:
            return
        self._log.critical(
            "cannot start: {kind}: {problem}",
            kind=failure.type.__name__ if failure.type else "",
            problem=failure.getErrorMessage(),
        )
        if not isinstance(failure.value, (JournalError, WrongAccount)):
            # Theirs are sentences that say all; anything else needs its traceback.
            self._log.failure("cannot start", failure)
        self._end_as_failed()

    def _end_as_failed(self) -> None:
        """End the process with a status that tells its supervisor; twistd would
        exit with 0.  At exit, so that the pid file is gone by then.
        """
        atexit.register(_exit_with_failure)
        # What fails at once fails before twistd runs the reactor.
        self._reactor.callWhenRunning(self._reactor.stop)


def _exit_with_failure() -> None:
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(1)
