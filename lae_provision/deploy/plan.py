"""What comes next in a deployment: decided from what is wanted and what is seen.

Pure and total.  Until the one rename (:class:`Switch`) the old release is what runs,
and an interrupted deployment is undone.  After it, the deployment is finished: forward
if the new release proves itself, back if it does not.
"""

from __future__ import annotations

from typing import Literal, assert_never

from attrs import define

from lae_provision.deploy.intent import (
    Back,
    Forward,
    GivenUp,
    Intent,
    Proved,
    ReleaseId,
)

#: Releases that stay installed: the newest, whatever runs, and what to go back to.
KEPT = 5

Outcome = Literal["done", "given-up", "rolled-back"]


@define(frozen=True)
class Observed:
    """What the host shows.

    *installed* are whole releases, oldest first; *partial* those that are not whole;
    *current* is where the link leads; *daemon* and *sites* (by number of the copy)
    which release each process runs, None for a process that is not up.
    """

    installed: tuple[ReleaseId, ...]
    partial: tuple[ReleaseId, ...]
    current: ReleaseId | None
    daemon: ReleaseId | None
    sites: tuple[tuple[int, ReleaseId | None], ...]


@define(frozen=True)
class Install:
    """Put the release beside the others, whole."""

    release: ReleaseId


@define(frozen=True)
class Check:
    """With the new code: do the settings hold, does the journal's schema fit, and can
    the release before run on it afterwards?
    """

    release: ReleaseId


@define(frozen=True)
class BackUp:
    """Copy the journal."""

    release: ReleaseId


@define(frozen=True)
class Migrate:
    """Expand the journal's schema, under the running daemon."""

    release: ReleaseId


@define(frozen=True)
class Switch:
    """Rename the link: code and units at once."""

    release: ReleaseId


@define(frozen=True)
class RestartDaemon:
    """Restart the daemon, and wait until it is ready."""

    release: ReleaseId


@define(frozen=True)
class RestartSite:
    """Restart one copy of the site, and wait until it is ready."""

    release: ReleaseId
    copy: int


@define(frozen=True)
class Verify:
    """Ask as a visitor does: health, the form, and the daemon behind it."""

    release: ReleaseId


@define(frozen=True)
class Remove:
    """Delete a release that nobody needs."""

    release: ReleaseId


@define(frozen=True)
class Finish:
    """Write the outcome into the history, and forget the intent."""

    outcome: Outcome
    why: str | None = None


Step = (
    Install
    | Check
    | BackUp
    | Migrate
    | Switch
    | RestartDaemon
    | RestartSite
    | Verify
    | Remove
    | Finish
)


def next_step(intent: Intent, seen: Observed) -> Step:
    """The one thing to do now."""
    match intent:
        case Forward():
            return (
                _prepare(intent, seen)
                or _bring_about(intent.goal, intent.proved, seen)
                or _tidy(intent, seen)
                or Finish("done")
            )
        case Back():
            return _bring_about(intent.goal, intent.proved, seen) or Finish(
                "rolled-back", intent.why
            )
        case GivenUp():
            if intent.order.target in seen.partial:
                return Remove(intent.order.target)
            return Finish("given-up", intent.why)
        case _:
            assert_never(intent)


def _prepare(intent: Forward, seen: Observed) -> Step | None:
    """Before the switch; of what was switched already nothing is prepared again."""
    if intent.goal not in seen.installed:
        return Install(intent.goal)
    if seen.current == intent.goal:
        return None
    if Proved.CHECKED not in intent.proved:
        return Check(intent.goal)
    if Proved.BACKED_UP not in intent.proved:
        return BackUp(intent.goal)
    if Proved.MIGRATED not in intent.proved:
        return Migrate(intent.goal)
    return None


def _bring_about(
    goal: ReleaseId, proved: frozenset[Proved], seen: Observed
) -> Step | None:
    """The daemon first: a newer site may ask what an older daemon does not know."""
    if seen.current != goal:
        return Switch(goal)
    if seen.daemon != goal:
        return RestartDaemon(goal)
    for copy, release in seen.sites:
        if release != goal:
            return RestartSite(goal, copy)
    if Proved.VERIFIED not in proved:
        return Verify(goal)
    return None


def _tidy(intent: Forward, seen: Observed) -> Step | None:
    """The oldest release too many, and what an earlier deployment left half done."""
    needed = {intent.goal, intent.order.previous, seen.current}
    for release in seen.partial:
        return Remove(release)
    if len(seen.installed) > KEPT:
        for release in seen.installed:
            if release not in needed:
                return Remove(release)
    return None


def take_up(intent: Intent, seen: Observed) -> Intent:
    """What an interrupted deployment goes on as."""
    if isinstance(intent, Forward) and seen.current != intent.goal:
        return GivenUp(intent.order, "interrupted before anything was switched")
    return intent


def after_failure(intent: Intent, step: Step, why: str, seen: Observed) -> Intent:
    """What a deployment goes on as when a step failed.

    The same intent means that there is nowhere to go: it stays on the host, for a
    person to mend what failed and to call again.
    """
    match intent:
        case Forward(order) if isinstance(step, Remove | Finish):
            # It runs, and is proved: what is left over is no reason to go back.
            return intent
        case Forward(order) if seen.current != intent.goal:
            return GivenUp(order, why)
        case Forward(order) if order.previous in seen.installed:
            assert order.previous is not None
            return Back(order, why, order.previous)
        case Forward() | Back() | GivenUp():
            return intent
        case _:
            assert_never(intent)
