"""Carries a deployment out: look, decide, write down, do; again and again.

1. Look at the host.  2. Let :func:`lae_provision.deploy.plan.next_step` decide.
3. Do it.  4. Write down what cannot be seen.  5. From the beginning.

It may be killed between any two of these.  What it wanted is on the host, and the
next call takes it up.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Protocol

from lae_protocol.process.crash import crash_point, declare
from lae_provision.deploy.intent import Back, Forward, GivenUp, Intent, Proved
from lae_provision.deploy.plan import (
    BackUp,
    Check,
    Finish,
    Install,
    Migrate,
    Observed,
    Outcome,
    Remove,
    RestartDaemon,
    RestartSite,
    Step,
    Switch,
    Verify,
    after_failure,
    next_step,
)

#: What a step that cannot be seen proves.
PROVES: dict[type[Step], Proved] = {
    Check: Proved.CHECKED,
    BackUp: Proved.BACKED_UP,
    Migrate: Proved.MIGRATED,
    Verify: Proved.VERIFIED,
}
_STEPS: tuple[type[Step], ...] = (
    Install,
    Check,
    BackUp,
    Migrate,
    Switch,
    RestartDaemon,
    RestartSite,
    Verify,
    Remove,
    Finish,
)


def word(step: Step | type[Step]) -> str:
    """A step's name: ``restart-daemon``."""
    kind = step if isinstance(step, type) else type(step)
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "-", kind.__name__).lower()


BEFORE = {
    kind: declare(f"deploy.{word(kind)}.before", f"decided on {word(kind)}, not begun")
    for kind in _STEPS
}
AFTER = {
    kind: declare(f"deploy.{word(kind)}.after", f"{word(kind)} is done, not noted")
    for kind in _STEPS
}
ORDERED = declare("deploy.ordered", "the intent is on the host, nothing is done")


class StepFailed(Exception):
    """A step did not work; the text says why, in a line that an operator can use."""


class Stuck(Exception):
    """A step failed, and there is nothing to go back to.  Mend it and call again."""


class Host(Protocol):
    """What the engine does things to."""

    def observe(self) -> Observed:
        """What is there now."""
        ...

    def note(self, intent: Intent) -> None:
        """Keep the intent, whole and durable; raises :class:`StepFailed`."""
        ...

    def perform(self, step: Step, intent: Intent) -> None:
        """Do it; doing it again does no harm.  Raises :class:`StepFailed`, and what
        :mod:`lae_provision.deploy.remote` raises when the host is lost.
        """
        ...

    def stuck(self, intent: Intent, why: str) -> None:
        """Write into the history that a person is needed."""
        ...


Tell = Callable[[str], None]


def carry_out(host: Host, intent: Intent, tell: Tell) -> tuple[Outcome, str | None]:
    """To its end: what came of it and, unless it was done, why.

    Raises :class:`Stuck`, and what the host raises when it cannot be reached.
    """
    host.note(intent)
    crash_point(ORDERED)
    last: Step | None = None
    while True:
        seen = host.observe()
        step = next_step(intent, seen)
        tell(words(step))
        crash_point(BEFORE[type(step)])
        try:
            _refuse_in_vain(step, last)
            host.perform(step, intent)
        except StepFailed as e:
            tell(f"  failed: {e}")
            intent = _next_intent(host, intent, step, str(e))
            last = None
            continue
        crash_point(AFTER[type(step)])
        if isinstance(step, Finish):
            return step.outcome, step.why
        last = step
        proves = PROVES.get(type(step))
        if proves is not None and not isinstance(intent, GivenUp):
            intent = intent.having(proves)
            host.note(intent)


def _refuse_in_vain(step: Step, last: Step | None) -> None:
    """What was done a moment ago, and cannot be seen, is not done again and again."""
    if step == last and type(step) not in PROVES:
        raise StepFailed(f"{word(step)} was done, and nothing came of it")


def _next_intent(host: Host, intent: Intent, step: Step, why: str) -> Intent:
    then = after_failure(intent, step, f"{word(step)}: {why}", host.observe())
    if then == intent:
        host.stuck(intent, f"{word(step)}: {why}")
        raise Stuck(f"{word(step)}: {why}")
    host.note(then)
    return then


def words(step: Step) -> str:  # noqa: C901, PLR0911  (a table of all steps)
    """A step for people."""
    match step:
        case Install(release):
            return f"install {release} beside the others"
        case Check(release):
            return f"check settings and schema with the code of {release}"
        case BackUp():
            return "back the journal up"
        case Migrate():
            return "expand the journal's schema"
        case Switch(release):
            return f"switch to {release}"
        case RestartDaemon():
            return "restart the daemon"
        case RestartSite(_, copy):
            return f"restart copy {copy} of the site"
        case Verify():
            return "ask the site and, through it, the daemon"
        case Remove(release):
            return f"remove {release}"
        case Finish(outcome):
            return f"write into the history: {outcome}"


def planned(intent: Forward | Back, seen: Observed) -> list[Step]:
    """Every step to the end, if all goes well: what a dry run prints."""
    steps: list[Step] = []
    going: Intent = intent
    while not steps or not isinstance(steps[-1], Finish):
        step = next_step(going, seen)
        steps.append(step)
        seen = foreseen(seen, step)
        proves = PROVES.get(type(step))
        if proves is not None and not isinstance(going, GivenUp):
            going = going.having(proves)
    return steps


def foreseen(seen: Observed, step: Step) -> Observed:
    """What will be seen after a step that worked."""
    installed, partial = seen.installed, seen.partial
    current, daemon, sites = seen.current, seen.daemon, seen.sites
    match step:
        case Install(release):
            installed = (*installed, release)
            partial = tuple(r for r in partial if r != release)
        case Remove(release):
            installed = tuple(r for r in installed if r != release)
            partial = tuple(r for r in partial if r != release)
        case Switch(release):
            current = release
        case RestartDaemon(release):
            daemon = release
        case RestartSite(release, copy):
            sites = tuple((n, release if n == copy else r) for n, r in sites)
        case _:
            pass
    return Observed(installed, partial, current, daemon, sites)
