"""A host in memory: what the engine does to it, and what can go wrong."""

from __future__ import annotations

from attrs import define, evolve, field

from lae_provision.deploy.engine import StepFailed, predict
from lae_provision.deploy.intent import Intent, ReleaseId, dump, load
from lae_provision.deploy.plan import Finish, Install, Observed, Step

OLD, NEW = ReleaseId("1+gold"), ReleaseId("1+gnew")
RUNNING = Observed((OLD,), (), OLD, OLD, ((1, OLD), (2, OLD)))


class Killed(BaseException):
    """As by SIGKILL: nothing after it is done."""


@define
class TwinHost:
    """*fails* names kinds of steps that fail, *bad* releases that do not start, and
    *dies_at* counts down the host's operations to a death.
    """

    seen: Observed = RUNNING
    noted: bytes | None = None
    history: list[str] = field(factory=list)
    fails: set[type[Step]] = field(factory=set)
    bad: set[ReleaseId] = field(factory=set)
    dies_at: int | None = None
    done: list[Step] = field(factory=list)
    #: What customers met, after each operation.
    served: list[Observed] = field(factory=list)

    def _operation(self) -> None:
        self.served.append(self.seen)
        if self.dies_at is not None:
            self.dies_at -= 1
            if self.dies_at < 0:
                self.dies_at = None
                raise Killed

    def observe(self) -> Observed:
        self._operation()
        return self.seen

    def note(self, intent: Intent) -> None:
        self._operation()
        self.noted = dump(intent)
        self._operation()

    def intent(self) -> Intent | None:
        return None if self.noted is None else load(self.noted)

    def stuck(self, intent: Intent, why: str) -> None:
        self.history.append("stuck")

    def perform(self, step: Step, intent: Intent) -> None:
        self._operation()
        if isinstance(step, Install):
            self.seen = evolve(self.seen, partial=(*self.seen.partial, step.release))
            self._operation()
        if type(step) in self.fails:
            raise StepFailed("as the test wants")
        release = getattr(step, "release", None)
        if release in self.bad and "Restart" in type(step).__name__:
            self.seen = self._without(step)
            raise StepFailed("it does not start")
        if isinstance(step, Finish):
            if not self.history or self.history[-1] != step.outcome:
                self.history.append(step.outcome)
            self._operation()
            self.noted = None
        self.seen = predict(self.seen, step)
        self.done.append(step)
        self._operation()

    def _without(self, step: Step) -> Observed:
        """The process that was to be restarted is down."""
        copy = getattr(step, "copy", None)
        if copy is None:
            return evolve(self.seen, daemon=None)
        sites = tuple((n, None if n == copy else r) for n, r in self.seen.sites)
        return evolve(self.seen, sites=sites)
