"""What is next in a rollout.  Pure and total: no I/O, no clock, no journal.

The canaries come first, then steps of a share of all hosts, each after a pause.  A step
takes hosts of one failure domain (zone) alone, and the next zone's turn comes when none
of the one before is left.  A host is *proved* when it says that it runs the new program
and that its self-test passed, and a client (for canaries, and for some of each step)
could write, read and delete there.

All of it goes back when a canary fails, when more hosts fail than
:attr:`RolloutBounds.tolerated`, or when those that run the new program say more often
than the others that something is wrong.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import assert_never

from lae_flapp.rollout.states import (
    PASSING,
    TROUBLES,
    Action,
    HostOutcome,
    HostSeen,
    MarkHost,
    MoveRollout,
    RolloutBounds,
    RolloutSeen,
    TellHost,
    ToldHost,
    TryClient,
)


def decide(
    seen: RolloutSeen, tried: Mapping[str, str | None], bounds: RolloutBounds
) -> tuple[Action, ...]:
    """Say what is next; nothing where it waits for hosts, for a pause, or is over.

    *tried* says of signups how a client fared at their host: None is well.
    """
    match seen.rollout.state:
        case "going" | "paused":
            return tuple(_going(seen, tried, bounds))
        case "going-back":
            return tuple(_going_back(seen, bounds))
        case "finished" | "gone-back":
            return ()
        case _:
            assert_never(seen.rollout.state)


def is_fit(host: HostSeen, seen: RolloutSeen, bounds: RolloutBounds) -> bool:
    """Whether a host can be told the program now: it serves well, and what it runs is
    known and another, so that it can go back.
    """
    return serves(host, seen, bounds) and host.program not in {
        "",
        seen.rollout.image,
    }


def serves(host: HostSeen, seen: RolloutSeen, bounds: RolloutBounds) -> bool:
    """Whether a host is there, was heard of late, and says no problem."""
    return (
        host.alive
        and host.wanted
        and host.ready
        and host.problem is None
        and seen.waited(host.heard) < bounds.silent
    )


def _going(
    seen: RolloutSeen, tried: Mapping[str, str | None], bounds: RolloutBounds
) -> Iterator[Action]:
    """1. judge each host that was told; 2. go back if that is too bad; 3. wait until
    all of the step are proved and well, and the pause is over; 4. the next step.
    """
    told = [host for host in seen.hosts if host.told is not None]
    marks = {
        (host.signup_id, host.generation): mark
        for host in told
        if (mark := _judge(host, seen, tried, bounds)) is not None
    }
    yield from marks.values()
    why = _why_back(seen, marks, bounds)
    if why is not None:
        yield MoveRollout("going-back", why)
    elif not marks and seen.rollout.state == "going":
        yield from _next_step(seen, told, bounds)


def _judge(
    host: HostSeen,
    seen: RolloutSeen,
    tried: Mapping[str, str | None],
    bounds: RolloutBounds,
) -> MarkHost | TryClient | None:
    """What follows for a host that was told something; None: wait."""
    told = host.told
    assert told is not None
    match told.outcome:
        case "told":
            return _judge_told(host, told, seen, tried, bounds)
        case "proved":
            return _judge_proved(host, seen.rollout.image)
        case "back":
            return _judge_back(host, told, seen, bounds)
        case "returned" | "stuck" | "left":
            return None
        case _:
            assert_never(told.outcome)


def _judge_told(
    host: HostSeen,
    told: ToldHost,
    seen: RolloutSeen,
    tried: Mapping[str, str | None],
    bounds: RolloutBounds,
) -> MarkHost | TryClient | None:
    if not host.alive:
        return _left(host)
    if host.trouble and _reported_since(host, told.heard_at):
        # The host itself tries again what may pass.
        waits = host.trouble in PASSING and seen.waited(told.heard_at) < bounds.settle
        what = TROUBLES.get(host.trouble, host.trouble)
        return None if waits else _mark(host, "back", what)
    if told.came_at is None or host.program != seen.rollout.image:
        minutes = bounds.come // timedelta(minutes=1)
        what = f"it did not run the program within {minutes} min"
        return (
            _mark(host, "back", what)
            if seen.waited(told.since) >= bounds.come
            else None
        )
    if not host.ready or host.problem is not None:
        what = host.problem or "its self-test did not pass"
        late = seen.waited(told.came_at) >= bounds.settle
        return _mark(host, "back", what) if late else None
    return _prove(host, told, seen, tried, bounds)


def _prove(
    host: HostSeen,
    told: ToldHost,
    seen: RolloutSeen,
    tried: Mapping[str, str | None],
    bounds: RolloutBounds,
) -> MarkHost | TryClient | None:
    """A client that fails is tried again while the host may settle."""
    if not _needs_client(host, told, seen, bounds):
        return _mark(host, "proved")
    if host.signup_id not in tried:
        return TryClient(host.signup_id, host.generation)
    failed = tried[host.signup_id]
    if failed is None:
        return _mark(host, "proved")
    # Not since the daemon is up: one that dies again and again would wait for ever.
    late = told.came_at is not None and seen.now - told.came_at >= bounds.settle
    return _mark(host, "back", failed) if late else None


def _needs_client(
    host: HostSeen, told: ToldHost, seen: RolloutSeen, bounds: RolloutBounds
) -> bool:
    if not host.writes:
        return False
    if told.step == 0:
        return True
    step = [h for h in seen.hosts if h.told is not None and h.told.step == told.step]
    writing = [h.signup_id for h in step if h.writes]
    return host.signup_id in sorted(writing)[: bounds.clients]


def _judge_proved(host: HostSeen, image: str) -> MarkHost | None:
    if not host.alive:
        return _left(host)
    if host.trouble:
        return _mark(host, "back", TROUBLES.get(host.trouble, host.trouble))
    if host.program != image:
        return _mark(host, "back", "it runs another program again")
    return None


def _judge_back(
    host: HostSeen, told: ToldHost, seen: RolloutSeen, bounds: RolloutBounds
) -> MarkHost | None:
    if not host.alive:
        return _mark(host, "left", told.what)
    if (
        host.program == told.before
        and host.ready
        and _reported_since(host, told.heard_at)
    ):
        return _mark(host, "returned", told.what)
    if seen.waited(told.since) >= bounds.come:
        did_not = "it did not say in time that it runs the program of before"
        return _mark(host, "stuck", told.what or did_not)
    return None


def _left(host: HostSeen) -> MarkHost:
    return _mark(host, "left", "its host is lost" if host.wanted else None)


def _mark(host: HostSeen, outcome: HostOutcome, what: str | None = None) -> MarkHost:
    return MarkHost(host.signup_id, host.generation, outcome, what)


def _reported_since(host: HostSeen, moment: datetime | None) -> bool:
    return moment is not None and host.heard is not None and host.heard > moment


def _why_back(
    seen: RolloutSeen,
    marks: Mapping[tuple[str, int], MarkHost | TryClient],
    bounds: RolloutBounds,
) -> str | None:
    """Why all of it goes back, if it does."""
    told = [(host, host.told) for host in seen.hosts if host.told is not None]
    failed: list[tuple[HostSeen, str, bool]] = []
    for host, row in told:
        mark = marks.get((host.signup_id, host.generation))
        what = mark.what if isinstance(mark, MarkHost) else row.what
        if what is not None:
            failed.append((host, what, row.step == 0))
    for host, what, is_canary in failed:
        if is_canary:
            return f"the canary {host.signup_id}: {what}"
    if len(failed) > bounds.tolerated * len(told):
        host, what, _ = failed[-1]
        return f"{len(failed)} of {len(told)} hosts failed, {host.signup_id}: {what}"
    return _sicker(seen, bounds)


def _sicker(seen: RolloutSeen, bounds: RolloutBounds) -> str | None:
    """Compare how often hosts with the program are unwell, and those without."""
    proved = [
        h for h in seen.hosts if h.told is not None and h.told.outcome == "proved"
    ]
    others = [h for h in seen.hosts if h.told is None and h.alive and h.wanted]
    sick = sum(not serves(h, seen, bounds) for h in proved)
    share = _share(sick, len(proved))
    usual = _share(sum(not serves(h, seen, bounds) for h in others), len(others))
    if share <= usual + bounds.tolerated:
        return None
    return (
        f"{sick} of {len(proved)} hosts with the program say a problem, or nothing;"
        f" of the others {usual:.0%} do"
    )


def _share(some: int, every: int) -> float:
    return some / every if every else 0.0


def _next_step(
    seen: RolloutSeen, told: Sequence[HostSeen], bounds: RolloutBounds
) -> Iterator[Action]:
    rollout = seen.rollout
    rows = [host.told for host in told if host.told is not None]
    if any(row.outcome in {"told", "back"} for row in rows):
        return
    proved = [h for h in told if h.told is not None and h.told.outcome == "proved"]
    if not all(serves(host, seen, bounds) for host in proved):
        return
    if any(seen.now - row.since < rollout.pause for row in rows):
        return
    fit = [h for h in seen.hosts if h.told is None and is_fit(h, seen, bounds)]
    if fit:
        yield from _tell(seen, fit, rows, proved=bool(proved))
    elif proved:
        yield MoveRollout("finished", f"{len(proved)} hosts run it")
    else:
        yield MoveRollout("going-back", "there is no host that could prove it")


def _tell(
    seen: RolloutSeen,
    fit: Sequence[HostSeen],
    rows: Sequence[ToldHost],
    *,
    proved: bool,
) -> Iterator[TellHost]:
    """The next hosts: of the first zone that has any, those who write before the
    others, in an order that is another one for each rollout.
    """
    rollout = seen.rollout
    zone = min(host.zone for host in fit)
    here = sorted(
        (host for host in fit if host.zone == zone),
        key=lambda host: (not host.writes, _lot(rollout.number, host.signup_id)),
    )
    if proved:
        step = max(row.step for row in rows) + 1
        every = sum(host.alive and host.wanted for host in seen.hosts)
        count = max(1, every * rollout.step // 100)
    else:
        step, count = 0, rollout.canaries
    for host in here[:count]:
        yield TellHost(host.signup_id, host.generation, step, host.program)


def _lot(number: int, signup_id: str) -> bytes:
    return hashlib.sha256(f"{number} {signup_id}".encode()).digest()


def _going_back(seen: RolloutSeen, bounds: RolloutBounds) -> Iterator[Action]:
    """Wait for each host that was told to go back; what does not, is told as stuck."""
    waiting = 0
    for host in seen.hosts:
        if host.told is None or host.told.outcome != "back":
            continue
        mark = _judge_back(host, host.told, seen, bounds)
        if mark is None:
            waiting += 1
        else:
            yield mark
    if not waiting:
        yield MoveRollout("gone-back", "the hosts run again what they ran before")
