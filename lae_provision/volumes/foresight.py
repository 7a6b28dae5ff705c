"""What would be done: the steps to a goal, without a call.  Pure.

EC2 is taken to do what it is asked, and what it is at to be over; the first thing that
only a person can do ends the list.
"""

from __future__ import annotations

from attrs import evolve

from lae_provision.volumes.seen_volume import (
    SeenAttachment,
    SeenModification,
    SeenSnapshot,
    SeenVolume,
    Sight,
)
from lae_provision.volumes.volume_plan import (
    Answer,
    AttachVolume,
    BeginMove,
    CreateSnapshot,
    CreateVolume,
    DeleteSnapshot,
    DetachVolume,
    EndMove,
    Goal,
    GoalReached,
    GrowVolume,
    NeedsPerson,
    RetireVolume,
    Step,
    StopInstance,
    WaitForEc2,
    next_step,
)

#: More steps than any goal takes; old snapshots are deleted one by one.
MOST_STEPS = 1000


def foresee(deployment: str, goal: Goal, sight: Sight) -> tuple[Answer, ...]:
    """Return the steps and waits; the last one is GoalReached, or NeedsPerson."""
    answers: list[Answer] = []
    for _ in range(MOST_STEPS):
        answer = next_step(deployment, goal, sight)
        answers.append(answer)
        match answer:
            case GoalReached() | NeedsPerson():
                return tuple(answers)
            case WaitForEc2():
                sight = settled(sight)
            case _:
                sight = done(answer, sight)
    raise AssertionError(f"no end: {answers[-3:]}")


def done(step: Step, sight: Sight) -> Sight:  # noqa: C901, PLR0911  (one each)
    """What is seen at once after a step: what EC2 takes time for has begun."""
    match step:
        case CreateVolume():
            made = SeenVolume(
                "the new volume",
                "creating",
                step.zone,
                step.gib,
                encrypted=True,
                key=step.key,
                run=step.run,
            )
            return evolve(sight, volumes=(*sight.volumes, made))
        case AttachVolume():
            here = SeenAttachment(step.instance, "attaching", step.device)
            return _changed(sight, step.volume, state="in-use", attachment=here)
        case StopInstance():
            seen = sight.instances[step.instance]
            stopping = {step.instance: evolve(seen, state="stopping")}
            return evolve(sight, instances={**sight.instances, **stopping})
        case DetachVolume():
            gone = SeenAttachment(step.instance, "detaching", "")
            return _changed(sight, step.volume, attachment=gone)
        case BeginMove():
            return _changed(sight, step.volume, moving=step.run)
        case EndMove():
            return _changed(sight, step.volume, moving=None)
        case RetireVolume():
            return evolve(
                sight,
                volumes=tuple(v for v in sight.volumes if v.volume != step.volume),
            )
        case CreateSnapshot():
            (of,) = (v for v in sight.volumes if v.volume == step.volume)
            copy = SeenSnapshot(
                "the new snapshot",
                step.volume,
                "pending",
                sight.now,
                of.gib,
                step.slot,
                step.run,
            )
            return evolve(sight, snapshots=(*sight.snapshots, copy))
        case DeleteSnapshot():
            kept = tuple(s for s in sight.snapshots if s.snapshot != step.snapshot)
            return evolve(sight, snapshots=kept)
        case GrowVolume():
            change = SeenModification("modifying", step.gib, sight.now)
            return _changed(sight, step.volume, modification=change)


def settled(sight: Sight) -> Sight:
    """What is seen once all that EC2 is at is over."""
    ends = {"pending": "running", "stopping": "stopped", "shutting-down": "terminated"}
    return evolve(
        sight,
        volumes=tuple(_at_rest(volume, sight) for volume in sight.volumes),
        instances={
            name: evolve(seen, state=ends.get(seen.state, seen.state))
            for name, seen in sight.instances.items()
        },
        snapshots=tuple(
            evolve(s, state="completed") if s.state == "pending" else s
            for s in sight.snapshots
        ),
    )


def _at_rest(volume: SeenVolume, sight: Sight) -> SeenVolume:
    here = volume.attachment
    if here is not None:
        gone = sight.instance_state(here.instance) in ("terminated", "shutting-down")
        if here.state != "attaching" and (here.state != "attached" or gone):
            here = None
        else:
            here = evolve(here, state="attached")
    last, gib = volume.modification, volume.gib
    if last is not None and last.state == "modifying":
        last, gib = evolve(last, state="optimizing"), last.target_gib
    known = volume.state in ("creating", "available", "in-use")
    return evolve(
        volume,
        state=("available" if here is None else "in-use") if known else volume.state,
        attachment=here,
        modification=last,
        gib=gib,
    )


def _changed(sight: Sight, name: str, **change: object) -> Sight:
    volumes = tuple(
        evolve(v, **change) if v.volume == name else v  # type: ignore[arg-type]
        for v in sight.volumes
    )
    return evolve(sight, volumes=volumes)
