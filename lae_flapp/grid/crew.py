"""All workers: one for each signup that has something to do, many at once.

The crew starts when the journal is open, and stops before it closes.  Whatever is
committed for a signup wakes its worker, or begins one (:meth:`Crew.hear`).
"""

from __future__ import annotations

from attrs import Factory, define
from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from lae_flapp.grid import moves
from lae_flapp.grid.dues import Dues
from lae_flapp.grid.record import GOODWILL, READ_ONLY
from lae_flapp.grid.worker import Worker
from lae_flapp.grid.workshop import Workshop
from lae_flapp.journal import effects, hosts, lifecycles, sessions, signups
from lae_flapp.journal.transaction import ReadTx
from lae_protocol.ids import SignupId

_log = Logger()


@define(eq=False)
class Crew:
    """See the module."""

    shop: Workshop
    dues: Dues
    _workers: dict[SignupId, Worker] = Factory(dict)
    _running: dict[SignupId, Deferred[None]] = Factory(dict)
    #: One timer for each signup whose worker died and is begun again after a while.
    _later: dict[SignupId, IDelayedCall] = Factory(dict)
    _stopped: bool = False

    async def start(self) -> None:
        """Hear of every commit from here on, and take up what was left before."""
        self.shop.journal.hear_of_signups(self.hear)
        self.shop.journal.hear_of("switches", self._resumed)
        await self.take_up()

    async def take_up(self) -> None:
        """Take up everything that is left undone."""
        for signup_id in await self.shop.journal.read(_undone):
            self.hear(signup_id)

    async def stop(self) -> None:
        """End all workers where they are; what is undone is in the journal."""
        self._stopped = True
        for again in self._later.values():
            again.cancel()
        for worker in self._workers.values():
            worker.stopped = True
        running = list(self._running.values())
        for one in running:
            one.cancel()
        await DeferredList(running)

    def hear(self, signup_id: SignupId, again: bool = False) -> None:  # noqa: FBT001, FBT002  (told by the journal)
        """Something was committed for this signup: look at once; *again*, where an
        operator wants whatever was refused tried once more.
        """
        worker = self._workers.get(signup_id)
        if worker is None:
            self._begin(signup_id, again=again)
        elif again:
            worker.retry()
        else:
            worker.hear()

    def busy(self) -> frozenset[SignupId]:
        """Tell which signups have a worker now."""
        return frozenset(self._workers)

    def _resumed(self) -> None:
        taken_up = Deferred.fromCoroutine(self.take_up())
        taken_up.addErrback(lambda f: _log.failure("not taken up after a pause", f))

    def _begin(self, signup_id: SignupId, *, again: bool = False) -> None:
        if self._stopped:
            return
        later = self._later.pop(signup_id, None)
        if later is not None and later.active():
            later.cancel()
        worker = self._workers[signup_id] = Worker(
            signup_id, self.shop, self.dues, asked_for=again
        )
        running = Deferred.fromCoroutine(worker.run())
        self._running[signup_id] = running
        running.addBoth(self._ended, worker)

    def _ended(self, result: Failure | None, worker: Worker) -> None:
        del self._workers[worker.signup_id], self._running[worker.signup_id]
        if isinstance(result, Failure):
            _log.failure(
                "worker of {signup_id} died", result, signup_id=worker.signup_id
            )
            self._begin_later(worker.signup_id, result)
        elif worker.has_news():
            self._begin(worker.signup_id)

    def _begin_later(self, signup_id: SignupId, died: Failure) -> None:
        """A worker never ends for ever: its customer has paid.  An operator is told."""
        if self._stopped:
            return
        seconds = self.shop.limits.retry_cap
        self._later[signup_id] = self.shop.clock.callLater(
            seconds, self.hear, signup_id
        )
        kind = died.type.__name__ if died.type is not None else "unknown"
        problem = f"a worker died of {kind}; it is tried again"
        told = self.shop.journal.write(
            moves.trouble,
            signup_id,
            f"worker:{kind}",
            problem,
        )
        # What cannot be journaled now is in the log; the next death tells it again.
        told.addErrback(lambda f: _log.failure("an operator cannot be told", f))


def _undone(tx: ReadTx) -> tuple[SignupId, ...]:
    rows = signups.in_states(tx, {"paid", "refunding", "ending", "deleting"})
    owed = [session.signup_id for session in sessions.surplus(tx)]
    states = {row.signup_id: row.state for row in hosts.all_live(tx)}
    served = signups.in_states(tx, {"active", "past-due", "suspended"})
    unready = [r.signup_id for r in served if states.get(r.signup_id) != "ready"]
    unnamed = [row.signup_id for row in hosts.all_live(tx) if row.address is None]
    stopped = signups.in_states(tx, {"stopped"})
    unended = [row.signup_id for row in stopped if row.signup_id in states]
    untold = lifecycles.untold(tx)
    granted = [
        e.key.signup_id for e in effects.unfinished(tx) if e.key.purpose == GOODWILL
    ]
    # Those whose role may not do yet, or still does, what another state allowed.
    permitted = effects.of_purpose(tx, "make-role", ending=READ_ONLY)
    suspended = [row.signup_id for row in served if row.state == "suspended"]
    every = [
        *(row.signup_id for row in rows),
        *owed,
        *unready,
        *unnamed,
        *unended,
        *untold,
        *granted,
        *permitted,
        *suspended,
    ]
    return tuple(dict.fromkeys(every))
