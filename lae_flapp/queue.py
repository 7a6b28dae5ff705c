"""Working off rows of the journal that become due: the inbox and the outbox alike."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Any, Generic, TypeVar

from twisted.application.service import Service
from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from lae_flapp.journal.errors import JournalClosed, JournalError
from lae_flapp.journal.journal import OF_THE_FILE, Journal
from lae_flapp.journal.transaction import Noun, ReadTx

Row = TypeVar("Row")

#: Seconds: look again at least so often; so long after the journal or a row failed;
#: and so often while what is due is in work and hides what is due next.
AT_LEAST, AFTER_FAILURE, BESIDE_WORK = 60.0, 5.0, 2.0


class Queue(Service, Generic[Row]):
    """Takes due rows, a few at once; looks when a commit touched *noun*, when more are
    due, and from time to time.

    *work* settles or puts off its row itself.  When it raises, that is logged and the
    row held back for a while, so that rows that always fail take nobody's place.  One
    row is never in work twice.
    """

    _log = Logger()

    def __init__(
        self,
        noun: Noun,
        clock: IReactorTime,
        journal: Journal,
        *,
        due: Callable[[ReadTx], Sequence[Row]],
        next_due_at: Callable[[ReadTx], datetime | None],
        number_of: Callable[[Row], object],
        work: Callable[[Row], Awaitable[object]],
        at_once: int,
    ) -> None:
        self.setName(noun)  # type: ignore[no-untyped-call]
        self._noun, self._clock, self._journal = noun, clock, journal
        self._due, self._next_due_at = due, next_due_at
        self._number_of, self._work, self._at_once = number_of, work, at_once
        self._in_work: dict[object, Deferred[Any]] = {}
        self._held_until: dict[object, float] = {}
        self._just_ended: set[object] = set()
        self._looking = False
        self._look_again = False
        self._timer: IDelayedCall | None = None

    def startService(self) -> None:
        """Begin with what was left."""
        super().startService()  # type: ignore[no-untyped-call]
        self._journal.hear_of(self._noun, self.look)
        self.look()

    def stopService(self) -> Deferred[Any]:
        """Take nothing more; fires when what is in work has ended or was cancelled."""
        super().stopService()  # type: ignore[no-untyped-call]
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        for running in list(self._in_work.values()):
            running.cancel()
        return DeferredList(list(self._in_work.values()), consumeErrors=True)

    def look(self) -> None:
        """Something may be due: look now."""
        if not self.running:
            return
        if self._looking:
            self._look_again = True
            return
        self._looking = True
        looked = Deferred.fromCoroutine(self._look_once())
        looked.addErrback(self._could_not_look)

    async def _look_once(self) -> None:
        ended, self._just_ended = self._just_ended, set()
        try:
            rows = await self._journal.read(self._due)
            self._forget_old_failures()
            self._hold_back(ended & {self._number_of(row) for row in rows})
            for row in rows:
                if len(self._in_work) >= self._at_once:
                    break
                if self._is_free(self._number_of(row)):
                    self._begin(row)
            at = await self._journal.read(self._next_due_at)
        finally:
            self._looking = False
        if self._look_again:
            self._look_again = False
            self.look()
        else:
            self._set_timer(self._pause(at))

    def _is_free(self, number: object) -> bool:
        # What ended since we asked may still stand in the answer as due.
        busy = (self._in_work, self._held_until, self._just_ended)
        return bool(self.running) and not any(number in where for where in busy)

    def _hold_back(self, unsettled: set[object]) -> None:
        """Work that ended before we asked and changed nothing would begin for ever."""
        for number in unsettled - set(self._held_until):
            self._log.error(
                "{queue}: {number} is still due", queue=self.name, number=number
            )
            self._held_until[number] = self._clock.seconds() + AFTER_FAILURE

    def _forget_old_failures(self) -> None:
        now = self._clock.seconds()
        held = self._held_until.items()
        self._held_until = {number: until for number, until in held if until > now}

    def _pause(self, at: datetime | None) -> float:
        """Seconds until something may be due that is not taken already."""
        if at is None or len(self._in_work) >= self._at_once:
            # We look again when what is in work ends.
            return AT_LEAST
        now = self._clock.seconds()
        pauses = [AT_LEAST, *(until - now for until in self._held_until.values())]
        if at.timestamp() > now:
            pauses.append(at.timestamp() - now)
        elif self._in_work or self._held_until:
            pauses.append(BESIDE_WORK)
        else:
            # It became due while we looked.
            pauses.append(0.0)
        return max(0.0, min(pauses))

    def _begin(self, row: Row) -> None:
        number = self._number_of(row)

        async def working() -> None:
            await self._work(row)

        def failed(failure: Any) -> None:
            self._held_until[number] = self._clock.seconds() + AFTER_FAILURE
            if self.running and not failure.check(JournalClosed):
                self._tell(failure, number)
            self.look()

        def ended(result: object) -> object:
            del self._in_work[number]
            self._just_ended.add(number)
            return result

        running = Deferred.fromCoroutine(working())
        self._in_work[number] = running
        running.addBoth(ended)
        running.addCallbacks(lambda _: self.look(), failed)

    def _tell(self, failure: Any, number: object) -> None:
        if failure.check(*OF_THE_FILE):
            # No fault of this row: a full disk has no traceback to look at.
            problem = failure.getErrorMessage()
            self._log.error("{queue}: {problem}", queue=self.name, problem=problem)
        else:
            self._log.failure(
                "{queue}: {number} failed", failure, queue=self.name, number=number
            )

    def _set_timer(self, seconds: float) -> None:
        if not self.running:
            return
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._timer = self._clock.callLater(seconds, self.look)

    def _could_not_look(self, failure: Any) -> None:
        self._looking = False
        if failure.check(JournalClosed) or not self.running:
            return
        if failure.check(JournalError):
            self._log.error(
                "{queue}: {problem}", queue=self.name, problem=failure.getErrorMessage()
            )
        else:
            self._log.failure("{queue}: cannot look", failure, queue=self.name)
        self._set_timer(AFTER_FAILURE)
