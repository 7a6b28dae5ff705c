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

from lae_flapp.backup.continuous import LOOK_EVERY
from lae_flapp.journal import operators, retention
from lae_flapp.journal.errors import JournalClosed, JournalError
from lae_flapp.journal.figures import last_moment
from lae_flapp.journal.journal import OF_THE_FILE, Journal
from lae_flapp.journal.meta import home_of
from lae_flapp.journal.threads import JournalThreads
from lae_flapp.restored.looking_back import LookingBack
from lae_flapp.settings import DaemonSettings
from lae_flapp.signs.availability import Availability, WrongAccount
from lae_flapp.signs.calls import CallFigures
from lae_flapp.signs.vitals import Vitals
from lae_flapp.wiring.backing_up import await_litestream, build_backup
from lae_flapp.wiring.build import DaemonParts, build
from lae_flapp.wiring.doors import Secrets, open_doors
from lae_flapp.wiring.taking_over import refuse_taken_ports
from lae_protocol.furl import Furl
from lae_protocol.messages import Plan
from lae_protocol.process import readiness
from lae_protocol.process.deadline import DeadlinePassed, with_deadline
from lae_protocol.process.figures_port import Figures, FiguresPort
from lae_protocol.process.own_figures import OwnFigures
from lae_protocol.process.steady import SteadyClock
from lae_protocol.secret import Secret

#: How long one part may take to end: a frozen client must not hold up the rest.
STOP_AT_MOST = 3.0  # s
#: How long the supervisor waits for the first look at AWS and Stripe.
FIRST_LOOK = 10.0  # s
DAY = 86_400.0  # s


class Daemon(Service):
    """Starts after twistd's fork; :meth:`_start` has the order, numbered."""

    _log = Logger()

    def __init__(
        self,
        *,
        reactor: Any,
        settings: DaemonSettings,
        secrets: Secrets,
        plans: tuple[Plan, ...],
        take_over: bool,
        registry: CollectorRegistry,
        steady: SteadyClock,
    ) -> None:
        self._reactor, self._settings, self._secrets = reactor, settings, secrets
        self._plans, self._take_over = plans, take_over
        self._registry, self._steady = registry, steady
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
        """1. the doors; 2. the journal, with lock and epoch; 3. all parts are built;
        4. metrics and health; 5. the work that was left; 6. the Tubs, so that sites,
        hosts and operators can come; 7. what is looked at from time to time; 8. the
        first look whether customers can be taken; 9. the supervisor is told.
        """
        reactor, settings, registry = self._reactor, self._settings, self._registry
        settings.state.mkdir(mode=0o700, parents=True, exist_ok=True)
        rng, ahead = SystemRandom(), self._steady.offset
        calls = CallFigures(registry, reactor)
        doors = open_doors(reactor, rng, settings, self._secrets, calls)
        self._begin("keys", doors.key_pool)
        self._begin("payments", doors.payments)

        journal = Journal(
            settings.journal,
            home_of(settings),
            reactor,
            JournalThreads(reactor),
            self._superseded,
            backed_up=settings.backup is not None,
        )
        if self._take_over:
            await refuse_taken_ports(reactor, settings)
        if settings.backup is not None:
            await await_litestream(reactor, settings)
        await journal.open(by_force=self._take_over)
        self._ends.append(("journal", lambda: Deferred.fromCoroutine(journal.close())))
        await self._go_on_from(journal)

        parts = build(
            reactor=reactor,
            rng=rng,
            settings=settings,
            plans=self._plans,
            doors=doors,
            journal=journal,
            backing_up=build_backup(reactor, settings, journal, doors.backup),
            calls=calls,
            registry=registry,
            ahead=ahead,
            fenced=self._end_as_failed,
        )
        self._ends.append(("backup", parts.backups.stop))
        vitals = self._vitals = parts.vitals
        health = Figures(registry, vitals.report, parts.figures.refresh)
        self._begin(
            "own figures",
            OwnFigures(reactor, registry, "daemon", vitals.release, ahead),
        )
        self._begin("metrics", FiguresPort(reactor, settings.metrics_listen, health))
        # Events and steps are counted from here on.
        await parts.figures.refresh()

        # Before anything is written: what Stripe told since then is read back.
        await parts.reading_back.begin()
        await self._install_operator(journal, parts.operator_furl)
        self._look_back(parts.looking_back)
        self._ends.append(("crew", lambda: Deferred.fromCoroutine(parts.crew.stop())))
        self._begin("outbox", parts.mails)
        self._begin("notices", parts.notices)
        self._begin("inbox", parts.events)
        await parts.crew.start()
        self._begin("private tub", parts.private_tub)
        self._begin("hosts tub", parts.hosts_tub)
        self._repeat_looks(parts, journal)
        vitals.ready = True
        await self._await_first_look(parts.availability)
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

    async def _install_operator(self, journal: Journal, furl: Furl) -> None:
        name = Secret(furl.swissnum)
        if not await journal.write(operators.install, operators.FIRST, name, "daemon"):
            self._log.warn("the first operator's furl is revoked: operator.furl")

    def _look_back(self, looking_back: LookingBack) -> None:
        """What an older backup does not know, before anything is launched."""

        def failed(failure: Failure) -> None:
            self._log.failure("looking back ended", failure)

        looking = Deferred.fromCoroutine(looking_back.run())
        looking.addErrback(failed)
        self._ends.append(("looking back", looking.cancel))

    def _repeat_looks(self, parts: DaemonParts, journal: Journal) -> None:
        every, repeat = self._settings.patience, self._repeat
        repeat("reconciliation", every.reconcile, parts.settlement.reconcile)
        repeat("subscriptions", every.reconcile, parts.subscriptions.reconcile)
        repeat("what is left undone", every.reconcile, parts.crew.take_up, now=False)
        repeat("reading back", every.reconcile, parts.reading_back.look, now=False)
        repeat("lost hosts", every.lost_hosts, parts.lost_hosts.look)
        # After a start hosts that waited for the daemon may claim first.
        repeat("late claims", every.lost_hosts, parts.late_claims.look, now=False)
        repeat("keys that are missing", every.reconcile, parts.lost_keys.look)
        if parts.care is not None:
            repeat("the backup", LOOK_EVERY, parts.care.look)
        repeat("watch", every.watch, parts.watch.look)
        repeat("fence", every.watch, parts.looking_back.fence.keep_looking, now=False)
        repeat("gifts that end", every.reconcile, parts.cancelling.end_gifts)
        repeat("what the time brings", every.lifecycle, parts.times.look)
        repeat("rollout", every.rollout, parts.rollout.look, now=False)
        repeat("retention", DAY, lambda: journal.write(retention.sweep))

    async def _await_first_look(self, availability: Availability) -> None:
        """Look until all is well, but do not keep the supervisor waiting for it."""
        looking = Deferred.fromCoroutine(availability.until_open())
        looking.addErrback(self._could_not_start)
        self._ends.append(("availability", looking.cancel))
        with suppress(DeadlinePassed):
            await with_deadline(
                self._reactor, FIRST_LOOK, "AWS and Stripe", availability.looked
            )

    def _begin(self, name: str, service: Any) -> None:
        service.startService()
        self._ends.append((name, service.stopService))

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
