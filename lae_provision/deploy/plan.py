"""Decides the next step of a deployment from the intent and what is on the host.

Pure and total.  Until the rename (:class:`Switch`) the old release runs, and an
interrupted deployment is undone.  After the rename it is finished: forward if the new
release answers as it should, back if it does not.
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

#: How many releases stay installed, the current and the previous one among them.
KEPT_RELEASES = 5

Outcome = Literal["done", "given-up", "rolled-back"]


@define(frozen=True)
class Observed:
    """What is on the host.

    *installed*: complete releases, oldest first.  *partial*: incomplete ones.
    *current*: the release that the link names.  *daemon* and *sites* (by number of the
    copy): the release that each process runs, None for a process that is not up.
    """

    installed: tuple[ReleaseId, ...]
    partial: tuple[ReleaseId, ...]
    current: ReleaseId | None
    daemon: ReleaseId | None
    sites: tuple[tuple[int, ReleaseId | None], ...]


@define(frozen=True)
class Install:
    """Install the release beside the others."""

    release: ReleaseId


@define(frozen=True)
class Check:
    """Check, with the new code, the settings and the journal's schema, and that the
    previous release could run on the upgraded schema.
    """

    release: ReleaseId


@define(frozen=True)
class BackUp:
    """Copy the journal."""

    release: ReleaseId


@define(frozen=True)
class Migrate:
    """Upgrade the journal's schema while the old daemon runs."""

    release: ReleaseId


@define(frozen=True)
class Switch:
    """Rename the link, which changes code and units together."""

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
    """Check health, the signup form and the daemon, as a visitor would."""

    release: ReleaseId


@define(frozen=True)
class Remove:
    """Delete a release that is no longer needed."""

    release: ReleaseId


@define(frozen=True)
class Finish:
    """Write the outcome to the history, and remove the intent."""

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
    """Decide the next step."""
    match intent:
        case Forward():
            return (
                _prepare(intent, seen)
                or _switch_and_restart(intent.goal, intent.proved, seen)
                or _remove_old(intent, seen)
                or Finish("done")
            )
        case Back():
            return _switch_and_restart(intent.goal, intent.proved, seen) or Finish(
                "rolled-back", intent.why
            )
        case GivenUp():
            if intent.order.target in seen.partial:
                return Remove(intent.order.target)
            return Finish("given-up", intent.why)
        case _:
            assert_never(intent)


def _prepare(intent: Forward, seen: Observed) -> Step | None:
    """Return the next step before the switch; None after the switch."""
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


def _switch_and_restart(
    goal: ReleaseId, proved: frozenset[Proved], seen: Observed
) -> Step | None:
    """Restart the daemon first: a new site may ask what an old daemon cannot answer."""
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


def _remove_old(intent: Forward, seen: Observed) -> Step | None:
    """Remove incomplete releases, then the oldest one beyond :data:`KEPT_RELEASES`."""
    needed = {intent.goal, intent.order.previous, seen.current}
    for release in seen.partial:
        return Remove(release)
    if len(seen.installed) > KEPT_RELEASES:
        for release in seen.installed:
            if release not in needed:
                return Remove(release)
    return None


def resume_as(intent: Intent, seen: Observed) -> Intent:
    """Decide how an interrupted deployment continues."""
    if isinstance(intent, Forward) and seen.current != intent.goal:
        return GivenUp(intent.order, "interrupted before the switch")
    return intent


def after_failure(intent: Intent, step: Step, why: str, seen: Observed) -> Intent:
    """Decide how a deployment continues after a failed step.

    The same intent means that it cannot: the intent stays on the host until a person
    has fixed the cause and calls again.
    """
    match intent:
        case Forward(order) if isinstance(step, Remove | Finish):
            # The release runs and is verified: go on with it, though tidying up failed.
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
