"""Carries out a deployment, step by step.

1. Look at the host.  2. Let :func:`lae_provision.deploy.plan.next_step` decide.
3. Do the step.  4. Note in the intent what cannot be seen on the host.  5. Repeat.

The command may be killed between any two of these: the intent is on the host, and the
next call continues from it.
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

#: The steps whose effect cannot be seen on the host, so that the intent notes it.
PROVED_BY: dict[type[Step], Proved] = {
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


def step_name(step: Step | type[Step]) -> str:
    """Name a step: ``restart-daemon``."""
    kind = step if isinstance(step, type) else type(step)
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "-", kind.__name__).lower()


BEFORE = {
    kind: declare(
        f"deploy.{step_name(kind)}.before", f"decided on {step_name(kind)}, not begun"
    )
    for kind in _STEPS
}
AFTER = {
    kind: declare(
        f"deploy.{step_name(kind)}.after", f"{step_name(kind)} is done, not noted"
    )
    for kind in _STEPS
}
ORDERED = declare("deploy.ordered", "the intent is on the host, nothing is done")


class StepFailed(Exception):
    """A step failed; the text tells an operator why, in one line."""


class Stuck(Exception):
    """A step failed, and there is no release to go back to: fix it, and call again."""


class Host(Protocol):
    """The host that the engine deploys to."""

    def observe(self) -> Observed:
        """Look at what is on the host now."""
        ...

    def note(self, intent: Intent) -> None:
        """Write the intent to the host, durably; raises :class:`StepFailed`."""
        ...

    def perform(self, step: Step, intent: Intent) -> None:
        """Do *step*, which is safe to repeat.  Raises :class:`StepFailed`, and what
        :mod:`lae_provision.deploy.remote` raises when the host is lost.
        """
        ...

    def stuck(self, intent: Intent, why: str) -> None:
        """Write to the history that a person is needed."""
        ...


Tell = Callable[[str], None]


def carry_out(host: Host, intent: Intent, tell: Tell) -> tuple[Outcome, str | None]:
    """Carry out *intent* to its end; return the outcome and, if not done, the reason.

    Raises :class:`Stuck`, and what the host raises when it cannot be reached.
    """
    host.note(intent)
    crash_point(ORDERED)
    last: Step | None = None
    while True:
        seen = host.observe()
        step = next_step(intent, seen)
        tell(describe(step))
        crash_point(BEFORE[type(step)])
        try:
            _raise_if_repeated(step, last)
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
        proves = PROVED_BY.get(type(step))
        if proves is not None and not isinstance(intent, GivenUp):
            intent = intent.having(proves)
            host.note(intent)


def _raise_if_repeated(step: Step, last: Step | None) -> None:
    """Do not repeat for ever a step that worked and has no visible effect."""
    if step == last and type(step) not in PROVED_BY:
        raise StepFailed(f"{step_name(step)} was done without any effect on the host")


def _next_intent(host: Host, intent: Intent, step: Step, why: str) -> Intent:
    then = after_failure(intent, step, f"{step_name(step)}: {why}", host.observe())
    if then == intent:
        host.stuck(intent, f"{step_name(step)}: {why}")
        raise Stuck(f"{step_name(step)}: {why}")
    host.note(then)
    return then


def describe(step: Step) -> str:  # noqa: C901, PLR0911  (a table of all steps)
    """Describe a step to people."""
    match step:
        case Install(release):
            return f"install {release} beside the others"
        case Check(release):
            return f"check the settings and the schema with the code of {release}"
        case BackUp():
            return "back up the journal"
        case Migrate():
            return "upgrade the journal's schema"
        case Switch(release):
            return f"switch to {release}"
        case RestartDaemon():
            return "restart the daemon"
        case RestartSite(_, copy):
            return f"restart copy {copy} of the site"
        case Verify():
            return "check that the site and the daemon answer"
        case Remove(release):
            return f"remove {release}"
        case Finish(outcome):
            return f"write the outcome to the history: {outcome}"


def list_steps(intent: Forward | Back, seen: Observed) -> list[Step]:
    """List every step to the end, if all goes well: what a dry run prints."""
    steps: list[Step] = []
    present: Intent = intent
    while not steps or not isinstance(steps[-1], Finish):
        step = next_step(present, seen)
        steps.append(step)
        seen = predict(seen, step)
        proves = PROVED_BY.get(type(step))
        if proves is not None and not isinstance(present, GivenUp):
            present = present.having(proves)
    return steps


def predict(seen: Observed, step: Step) -> Observed:
    """Predict what is seen after *step* has worked."""
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
