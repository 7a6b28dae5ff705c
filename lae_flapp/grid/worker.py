"""One worker brings one signup to where it should be.

:meth:`Worker.run` is the whole loop; its docstring numbers what it does.  What to do
is decided in :mod:`.plan`; how, in :mod:`.effect` and the steps.
"""

from __future__ import annotations

import math
from collections import defaultdict
from typing import assert_never

from twisted.internet.defer import CancelledError
from twisted.logger import Logger
from twisted.python.failure import Failure

from lae_flapp.effects.payments import Purpose
from lae_flapp.grid import moves, record
from lae_flapp.grid.bell import Bell
from lae_flapp.grid.dues import Dues
from lae_flapp.grid.effect import make, unmake
from lae_flapp.grid.failing import Failing, code_of, subject_of
from lae_flapp.grid.makers import made, removable
from lae_flapp.grid.plan import (
    Action,
    Await,
    Close,
    GiveBack,
    GivePartBack,
    Look,
    LookAgain,
    Make,
    NextHost,
    Patience,
    PayBack,
    Repeat,
    Retire,
    TellStripe,
    Unmake,
    plan,
)
from lae_flapp.grid.record import Record
from lae_flapp.grid.sights import Glance
from lae_flapp.grid.step import NotYet
from lae_flapp.grid.steps import HOSTING, StepName
from lae_flapp.grid.workshop import Workshop
from lae_flapp.journal.errors import (
    EffectOpen,
    JournalBusy,
    JournalClosed,
    JournalDamaged,
    JournalFull,
    StaleEpoch,
    StateChanged,
)
from lae_flapp.journal.watchers import WRITES_FOR
from lae_protocol.ids import SignupId
from lae_protocol.process.crash import crash_point, declare
from lae_protocol.process.deadline import DeadlinePassed
from lae_protocol.process.retry import pause
from lae_provision.errors import (
    NoCapacity,
    Refused,
    TokenSpent,
    TryLater,
)

_log = Logger()

#: Passes by itself; a signup waits and goes on.
_PASSING = (
    TryLater,
    NoCapacity,
    TokenSpent,
    DeadlinePassed,
    CancelledError,
)


#: Of the journal itself, not of one signup.
_JOURNAL = (JournalClosed, StaleEpoch, JournalBusy, JournalFull, JournalDamaged)


for _name, _sentence in (
    ("ready", "the state, the event and the mail's row are journaled"),
    ("retire", "the host is to be replaced"),
    ("next-host", "the old host is gone, the next one's turn has come"),
    ("give-up", "the signup is on its way back"),
    ("close", "nothing is left, and it is over"),
):
    declare(f"signup.{_name}.before", f"not yet: {_sentence}")
    declare(f"signup.{_name}.after", _sentence)


class Worker:
    """See the module.  One at a time for one signup: :mod:`.crew` sees to it."""

    def __init__(
        self,
        signup_id: SignupId,
        shop: Workshop,
        dues: Dues,
        *,
        asked_for: bool = False,
    ) -> None:
        self.signup_id = signup_id
        #: An operator wants it tried: has seen its problem, if it has one.
        self._asked_for = asked_for
        #: Set before the run is cancelled, so that a door's own cancelling is not it.
        self.stopped = False
        self._shop, self._dues = shop, dues
        self._steps = made(shop)
        self._removable = removable(shop)
        self._bell = Bell(shop.clock)
        self._patience = Patience(shop.limits.visibility)
        began = shop.clock.seconds()
        #: When a request of a step may last have been sent, by us or before us.
        self._sent: dict[StepName, float] = defaultdict(lambda: began)
        self._glances: dict[StepName, Glance] = {}
        self._looks = 0
        #: Since when what a step needs is not there.
        self._waiting: float | None = None
        self._failing: Failing | None = None
        self._more_hosts = 0

    def hear(self) -> None:
        """Something was committed: look at once."""
        self._bell.ring()

    def has_news(self) -> bool:
        """Whether something was committed since it read the journal last."""
        return self._bell.rung

    def retry(self) -> None:
        """Go on at once, because an operator asks: whatever was refused, once more,
        and one host more than the limit.
        """
        self._more_hosts += 1
        self._asked_for = True
        self._failing = None
        self._glances.clear()
        self._bell.ring()

    async def run(self) -> None:
        """1. read the journal; 2. see what is overdue; 3. plan; 4. do the first
        action, or wait for what it waits for; 5. from the start, until nothing is
        left to do.
        """
        # What it writes itself must not cut its own waiting short.
        WRITES_FOR.set(self.signup_id)
        while True:
            try:
                if not await self._turn():
                    return
            except (JournalBusy, JournalFull, JournalDamaged) as e:
                await self._journal_failed(e)
            except (JournalClosed, StaleEpoch):
                return
            except Exception:
                if self.stopped:
                    return
                raise

    async def _turn(self) -> bool:
        # What was committed until now is in what it reads.
        self._bell.rung = False
        known = await self._shop.journal.read(record.read, self.signup_id)
        now = self._shop.clock.seconds()
        if self._overdue_at(known) <= now:
            await self._give_up()
            return True
        sights = record.sights_of(
            known, self._glances, self._sent, now, self._shop.limits
        )
        actions = plan(record.goal_of(known), sights, self._patience)
        if not actions:
            if self._asked_for and known.signup.problem is not None:
                await self._shop.journal.write(moves.go_on, self.signup_id)
            return False
        await self._try(actions[0], known)
        return True

    async def _try(self, action: Action, known: Record) -> None:
        try:
            await self._do(action, known)
        except Exception as e:
            if self.stopped or isinstance(e, _JOURNAL):
                raise
            await self._failed_with(e, action, known)
        else:
            await self._went_well(action, known)

    async def _failed_with(
        self, error: Exception, action: Action, known: Record
    ) -> None:
        match error:
            case StateChanged() | EffectOpen():
                _log.info(
                    "{signup_id} looks again: {why}",
                    signup_id=self.signup_id,
                    why=error,
                )
                self._glances.clear()
                await self._look_again()
            case NotYet() if self._waited() < self._shop.limits.not_yet:
                await self._look_again()
            case NotYet():
                await self._put_off(action, known, TryLater("not-yet", str(error)))
            case Refused(code=code, message=message):
                await self._stuck(action, known, f"{code}: {message}", code)
            case _ if isinstance(error, _PASSING):
                await self._put_off(action, known, error)
            case _:
                # A bug in one step stops one signup.
                _log.failure(
                    "{signup_id}: {action}",
                    Failure(error),  # type: ignore[no-untyped-call]
                    signup_id=self.signup_id,
                    action=action,
                )
                name = type(error).__name__
                await self._stuck(action, known, f"a bug: {name}", name)

    async def _do(self, action: Action, known: Record) -> None:  # noqa: C901, PLR0912  (one line per kind of action)
        shop = self._shop
        match action:
            case Look(step):
                self._glances[step] = await self._steps[step].find(known)
            case Make(StepName.MAIL):
                await self._ready(known)
            case Make(step):
                await self._make(step, known)
            case Repeat(step):
                await self._send(step, known)
            case Unmake(step):
                await self._unmake(step, known)
            case LookAgain(step):
                self._glances.pop(step, None)
                await self._look_again()
            case Await(_, deadline):
                until = min(deadline, self._overdue_at(known))
                await self._bell.wait(until - shop.clock.seconds())
            case Retire():
                crash_point("signup.retire.before")
                await shop.journal.write(moves.retire, known)
                crash_point("signup.retire.after")
            case NextHost():
                crash_point("signup.next-host.before")
                await shop.journal.write(moves.next_host, known)
                crash_point("signup.next-host.after")
                self._forget_host()
            case PayBack(session_id):
                session = next(s for s in known.sessions if s.session_id == session_id)
                await self._dues.give_back(shop, session, "second-session")
            case GiveBack() | GivePartBack():
                kept = known.kept()
                assert kept is not None
                purpose: Purpose = (
                    "unserved" if isinstance(action, GiveBack) else "goodwill"
                )
                await self._dues.give_back(shop, kept, purpose)
            case TellStripe():
                await self._dues.tell(shop, self.signup_id)
            case Close():
                crash_point("signup.close.before")
                await shop.journal.write(moves.close, known)
                crash_point("signup.close.after")
            case _:
                assert_never(action)

    async def _make(self, step: StepName, known: Record) -> None:
        limit = self._shop.limits.hosts + self._more_hosts
        if step is StepName.HOST and known.launched() >= limit:
            raise Refused("too-many-hosts", f"{limit} hosts were launched in vain")
        await self._send(step, known)

    async def _send(self, step: StepName, known: Record) -> None:
        """Whatever comes of it, it may have been sent until now, and we look again."""
        glance = self._glances.pop(step)
        try:
            await make(self._shop, step, self._steps[step], known, glance)
        finally:
            self._sent[step] = self._shop.clock.seconds()

    async def _unmake(self, step: StepName, known: Record) -> None:
        if known.deletions_paused is not None:
            raise TryLater("paused", "deletions are paused by an operator")
        glance = self._glances.pop(step)
        await unmake(self._shop, step, self._removable[step], known, glance)

    async def _ready(self, known: Record) -> None:
        crash_point("signup.ready.before")
        await self._shop.journal.write(moves.ready, known)
        crash_point("signup.ready.after")

    async def _give_up(self) -> None:
        """Refund what could not be served in time."""
        crash_point("signup.give-up.before")
        why = "it could not be served in time"
        _log.error(
            "{signup_id} is refunded: {problem}", signup_id=self.signup_id, problem=why
        )
        await self._shop.journal.write(moves.give_up, self.signup_id, moves.WHO, why)
        crash_point("signup.give-up.after")
        self._glances.clear()

    def _overdue_at(self, known: Record) -> float:
        """When a signup that is not served must be refunded (seconds)."""
        paid = known.signup.payment
        if known.signup.state != "paid" or paid is None:
            return math.inf
        limits = self._shop.limits
        tried = self._shop.began_at + min(limits.tries_at_least, limits.serve_within)
        return max(paid.paid_at.timestamp() + limits.serve_within, tried)

    def _forget_host(self) -> None:
        for step in HOSTING:
            self._glances.pop(step, None)

    async def _went_well(self, action: Action, known: Record) -> None:
        if isinstance(action, Look | LookAgain | Await):
            return
        self._failing, self._waiting, self._looks = None, None, 0
        if known.signup.problem is not None:
            await self._shop.journal.write(moves.go_on, self.signup_id)

    def _waited(self) -> float:
        """Tell how long what a step needs has not been there (seconds)."""
        now = self._shop.clock.seconds()
        if self._waiting is None:
            self._waiting = now
        return now - self._waiting

    async def _look_again(self) -> None:
        limits = self._shop.limits
        seconds = min(limits.look_again_cap, limits.look_again * 1.5**self._looks)
        self._looks += 1
        await self._bell.wait(seconds * self._shop.random.uniform(0.8, 1.2))

    async def _put_off(self, action: Action, known: Record, error: Exception) -> None:
        """Wait a little longer after each failure; say so when it lasts."""
        failing = self._failed()
        now, limits = self._shop.clock.seconds(), self._shop.limits
        cause = f"{subject_of(action)}:{code_of(error)}"
        problem = f"{subject_of(action)} waits: {error}"
        _log.warn("{signup_id}: {problem}", signup_id=self.signup_id, problem=problem)
        since = known.signup.problem_at
        if since is not None and now >= since.timestamp() + limits.troubled_after:
            await self._tell(cause, problem)
        elif now >= failing.since + limits.delayed_after:
            await self._shop.journal.write(moves.delay, self.signup_id, problem)
        seconds = pause(
            failing.count, self._shop.random, limits.retry_base, limits.retry_cap
        )
        await self._bell.wait(min(seconds, self._overdue_at(known) - now))

    async def _stuck(
        self, action: Action, known: Record, problem: str, code: str
    ) -> None:
        """What is refused for good needs a person: tell one, and wait long."""
        self._failed()
        subject = subject_of(action)
        problem = f"{subject} is refused: {problem}"
        _log.error(
            "{signup_id} needs a person: {problem}",
            signup_id=self.signup_id,
            problem=problem,
        )
        await self._tell(f"{subject}:{code}", problem)
        left = self._overdue_at(known) - self._shop.clock.seconds()
        await self._bell.wait(min(self._shop.limits.refused_again, left))

    async def _tell(self, cause: str, problem: str) -> None:
        await self._shop.journal.write(moves.trouble, self.signup_id, cause, problem)

    async def _journal_failed(self, error: Exception) -> None:
        """Nothing can be written now, so nothing is told."""
        failing, limits = self._failed(), self._shop.limits
        _log.warn("{signup_id}: {why}", signup_id=self.signup_id, why=error)
        rng = self._shop.random
        seconds = pause(failing.count, rng, limits.retry_base, limits.retry_cap)
        await self._bell.wait(seconds)

    def _failed(self) -> Failing:
        if self._failing is None:
            self._failing = Failing(self._shop.clock.seconds())
        self._failing.count += 1
        return self._failing
