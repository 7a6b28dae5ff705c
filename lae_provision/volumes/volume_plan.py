"""What comes next on the way to a goal, from any sight of the volume.  Pure and total.

Each answer is one step, a wait for EC2, the end, or a sentence for a person.  The
caller looks again after each: whatever interrupts it, it goes on from what is there.

A volume is never attached while the daemon before may still write to it.  EC2 attaches
it to one machine at a time; and a machine loses it only once the machine has stopped,
or once a person says that it is unmounted there and EC2 confirms that it is detached.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from attrs import define

from lae_provision.volumes.seen_volume import (
    MODIFIED_ONCE_IN,
    MOVE_WITHIN,
    SeenAttachment,
    SeenSnapshot,
    SeenVolume,
    Sight,
)

DEVICE = "/dev/sdf"
LARGEST = 16_384  # GiB, of a gp3 volume
#: Copies that EC2 gave up, before a person is told.
MOST_ERRORS = 3


# Goals.


@define(frozen=True)
class BeAttached:
    """The volume, made if there is none, at *instance*."""

    instance: str
    gib: int
    key: str | None


@define(frozen=True)
class BeMoved:
    """The volume at *instance*, wherever it is now.

    *stop*: the machine that has it may be stopped.  *unmounted*: a person says that it
    is unmounted there, so that it may be taken from a machine that runs.
    """

    instance: str
    stop: bool = False
    unmounted: bool = False


@define(frozen=True)
class BeGrown:
    """The volume with so much room."""

    gib: int


@define(frozen=True)
class BeCopied:
    """A snapshot no older than *every*; of those on schedule *keep* stay, or all."""

    every: timedelta
    keep: int | None = None


Goal = BeAttached | BeMoved | BeGrown | BeCopied


# Steps, and the other answers.


@define(frozen=True)
class CreateVolume:
    """Make the volume: empty, or of a snapshot for a move.  *token* makes it once."""

    zone: str
    gib: int
    key: str | None
    token: str
    snapshot: str | None = None
    run: str | None = None


@define(frozen=True)
class AttachVolume:
    """Attach it."""

    volume: str
    instance: str
    device: str = DEVICE


@define(frozen=True)
class StopInstance:
    """Shut a machine down; its disks are written out."""

    instance: str


@define(frozen=True)
class DetachVolume:
    """Detach it, never by force."""

    volume: str
    instance: str


@define(frozen=True)
class BeginMove:
    """Note on the volume which move copies it from now on."""

    volume: str
    run: str


@define(frozen=True)
class EndMove:
    """Take that note off."""

    volume: str


@define(frozen=True)
class RetireVolume:
    """Note that it is the volume of before a move; a person deletes it one day."""

    volume: str


@define(frozen=True)
class CreateSnapshot:
    """Copy it: for a *slot* of the schedule, or for a move."""

    volume: str
    slot: str | None = None
    run: str | None = None


@define(frozen=True)
class DeleteSnapshot:
    """Delete a copy that is in error, or that the schedule keeps no longer."""

    snapshot: str
    why: str


@define(frozen=True)
class GrowVolume:
    """Give it more room."""

    volume: str
    gib: int


@define(frozen=True)
class WaitForEc2:
    """EC2 is at it; look again."""

    why: str


@define(frozen=True)
class GoalReached:
    """The goal is reached."""

    told: str


@define(frozen=True)
class NeedsPerson:
    """A person must do something first."""

    why: str


Step = (
    CreateVolume
    | AttachVolume
    | StopInstance
    | DetachVolume
    | BeginMove
    | EndMove
    | RetireVolume
    | CreateSnapshot
    | DeleteSnapshot
    | GrowVolume
)
Answer = Step | WaitForEc2 | GoalReached | NeedsPerson


def next_step(  # noqa: PLR0911  (one for each goal)
    deployment: str, goal: Goal, sight: Sight
) -> Answer:
    """Decide."""
    match sight.volumes:
        case ():
            volume = None
        case (volume,):
            pass
        case _:
            return _of_two(goal, sight.volumes)
    if (answer := _of_state(volume)) is not None:
        return answer
    match goal:
        case BeAttached():
            return _attach(deployment, goal, sight, volume)
        case _ if volume is None:
            return NeedsPerson("there is no volume yet: lae volume attach INSTANCE")
        case BeMoved():
            return _move(deployment, goal, sight, volume)
        case BeGrown():
            return _grow(goal, sight, volume)
        case BeCopied():
            return _copy(goal, sight, volume)


def _of_two(goal: Goal, volumes: tuple[SeenVolume, ...]) -> Answer:
    """The old one is retired where a move made the other; else nobody knows."""
    for old in volumes:
        if old.moving is not None and len(volumes) == 2:  # noqa: PLR2004
            (new,) = (v for v in volumes if v is not old)
            if new.run == old.moving and isinstance(goal, BeMoved):
                return _change_over(old, new)
    names = ", ".join(sorted(v.volume for v in volumes))
    return NeedsPerson(
        f"several volumes are this deployment's journal: {names}; take the tag"
        " s4:purpose off all but one (an interrupted move: lae volume move goes on)"
    )


def _change_over(old: SeenVolume, new: SeenVolume) -> Answer:
    if old.attachment is not None:
        return NeedsPerson(
            f"{old.volume} was attached again, so {new.volume} is no copy of it: delete"
            f" {new.volume}"
        )
    match new.state:
        case "creating":
            return WaitForEc2(f"{new.volume} is being made of {old.volume}'s snapshot")
        case "available" | "in-use":
            return RetireVolume(old.volume)
        case state:
            return NeedsPerson(f"{new.volume} is in state {state}: delete it")


def _of_state(volume: SeenVolume | None) -> Answer | None:
    """What must be over before anything else; None where nothing must."""
    if volume is None:
        return None
    match volume.state:
        case "creating":
            return WaitForEc2(f"{volume.volume} is being made")
        case "available" | "in-use":
            pass
        case _:
            return NeedsPerson(f"{volume.volume} is in state {volume.state}")
    if not volume.encrypted:
        return NeedsPerson(
            f"{volume.volume} is not encrypted: copy it, encrypted, by hand"
        )
    return None


def _of_machine(sight: Sight, name: str) -> Answer | None:
    """What must be over before a volume can be attached to a machine."""
    match sight.instance_state(name):
        case "running" | "stopped":
            return None
        case "pending" | "stopping":
            return WaitForEc2(f"{name} is {sight.instance_state(name)}")
        case state:
            return NeedsPerson(f"{name} is {state}")


def _attach(
    deployment: str, goal: BeAttached, sight: Sight, volume: SeenVolume | None
) -> Answer:
    if (answer := _of_machine(sight, goal.instance)) is not None:
        return answer
    zone = sight.instances[goal.instance].zone
    if volume is None:
        token = f"{deployment}-journal-{zone}-{goal.gib}"
        return CreateVolume(zone, goal.gib, goal.key, token)
    if volume.attachment is None:
        if volume.moving is not None:
            return NeedsPerson(f"{volume.volume} is being moved: lae volume move")
        return _attach_free(volume, goal.instance, zone)
    if volume.attachment.instance != goal.instance:
        return NeedsPerson(
            f"{volume.volume} is {volume.attachment.state} at"
            f" {volume.attachment.instance}: lae volume move"
        )
    return _here(volume, volume.attachment)


def _attach_free(volume: SeenVolume, instance: str, zone: str) -> Answer:
    if volume.state != "available":
        return WaitForEc2(f"{volume.volume} is {volume.state}")
    if volume.zone != zone:
        return NeedsPerson(
            f"{volume.volume} is in {volume.zone}, {instance} in {zone}: lae volume"
            " move"
        )
    return AttachVolume(volume.volume, instance)


def _here(volume: SeenVolume, attachment: SeenAttachment) -> Answer:
    if attachment.state != "attached":
        return WaitForEc2(
            f"{volume.volume} is {attachment.state} at {attachment.instance}"
        )
    if volume.moving is not None:
        return EndMove(volume.volume)
    return GoalReached(f"{volume.volume} is attached to {attachment.instance}")


def _move(  # noqa: PLR0911  (a table)
    deployment: str, goal: BeMoved, sight: Sight, volume: SeenVolume
) -> Answer:
    """1. fence, 2. copy into another zone if need be, 3. attach."""
    if (answer := _of_machine(sight, goal.instance)) is not None:
        return answer
    zone = sight.instances[goal.instance].zone
    attachment = volume.attachment
    if attachment is not None and attachment.instance == goal.instance:
        return _here(volume, attachment)
    if attachment is not None:
        if volume.moving is not None:
            # It was written to since: what was copied is old.
            return EndMove(volume.volume)
        return _fence(goal, sight, volume, attachment)
    if volume.state != "available":
        return WaitForEc2(f"{volume.volume} is {volume.state}")
    if volume.zone == zone:
        return AttachVolume(volume.volume, goal.instance)
    return _copy_over(deployment, sight, volume, zone)


def _fence(  # noqa: PLR0911  (a table)
    goal: BeMoved, sight: Sight, volume: SeenVolume, attachment: SeenAttachment
) -> Answer:
    """Take the volume from the machine that has it, once nothing writes to it."""
    old, state = attachment.instance, sight.instance_state(attachment.instance)
    if attachment.state == "attaching":
        return WaitForEc2(f"{volume.volume} is attaching at {old}")
    if state == "running":
        if goal.stop:
            return StopInstance(old)
        if not goal.unmounted:
            return NeedsPerson(
                f"{old} runs and has {volume.volume}: --stop stops it; or stop the"
                " daemon and unmount the volume there, and say --unmounted"
            )
    if state in ("pending", "stopping", "shutting-down"):
        return WaitForEc2(f"{old} is {state}")
    if attachment.state != "attached":
        held = ", which runs: is it unmounted there?" if state == "running" else ""
        return WaitForEc2(f"{volume.volume} is {attachment.state} at {old}{held}")
    if state == "terminated":
        return WaitForEc2(f"{old} is terminated and still has {volume.volume}")
    return DetachVolume(volume.volume, old)


def _copy_over(deployment: str, sight: Sight, volume: SeenVolume, zone: str) -> Answer:
    """A snapshot of the volume, which nobody has, and a volume of it in *zone*."""
    run = volume.moving
    if run is None or sight.now - read_time(run) > MOVE_WITHIN:
        return BeginMove(volume.volume, write_time(sight.now))
    copies = [s for s in sight.snapshots if s.run == run and s.volume == volume.volume]
    if any(s.state == "completed" for s in copies):
        ready = min(s.snapshot for s in copies if s.state == "completed")
        token = f"{deployment}-journal-{zone}-{run}"
        return CreateVolume(zone, volume.gib, volume.key, token, ready, run)
    return _wait_or_copy(copies) or CreateSnapshot(volume.volume, run=run)


def _wait_or_copy(copies: list[SeenSnapshot]) -> Answer | None:
    """None where a copy is to be made."""
    for copy in copies:
        if copy.state == "pending":
            return WaitForEc2(f"{copy.snapshot} is at {copy.progress} %")
    if len(copies) >= MOST_ERRORS:
        names = ", ".join(sorted(c.snapshot for c in copies))
        return NeedsPerson(f"EC2 gave up {names}: delete them, and ask AWS why")
    return None


def _grow(goal: BeGrown, sight: Sight, volume: SeenVolume) -> Answer:
    last = volume.modification
    if last is not None and last.state == "modifying":
        return WaitForEc2(f"{volume.volume} is at {last.progress} %")
    if volume.gib == goal.gib:
        return GoalReached(f"{volume.volume} has {volume.gib} GiB")
    if volume.gib > goal.gib:
        return NeedsPerson(
            f"{volume.volume} has {volume.gib} GiB, and no volume gets smaller"
        )
    if goal.gib > LARGEST:
        return NeedsPerson(f"no volume has more than {LARGEST} GiB")
    if last is not None and (
        last.state == "optimizing" or sight.now - last.began < MODIFIED_ONCE_IN
    ):
        again = (last.began + MODIFIED_ONCE_IN).strftime("%Y-%m-%d %H:%M UTC")
        return NeedsPerson(
            f"{volume.volume} was changed at {last.began:%H:%M UTC} and is"
            f" {last.state}; EC2 changes it again at {again}, not before"
        )
    return GrowVolume(volume.volume, goal.gib)


def _copy(goal: BeCopied, sight: Sight, volume: SeenVolume) -> Answer:
    mine = [s for s in sight.snapshots if s.slot is not None]
    slot = slot_of(sight.now, goal.every)
    now = [s for s in mine if s.slot == slot and s.volume == volume.volume]
    if not any(s.state == "completed" for s in now):
        return _wait_or_copy(now) or CreateSnapshot(volume.volume, slot=slot)
    if goal.keep is not None:
        for one in mine:
            if one.state == "error":
                return DeleteSnapshot(one.snapshot, "in error")
        good = sorted(
            (s for s in mine if s.state == "completed"),
            key=lambda s: (s.began, s.snapshot),
        )
        if len(good) > goal.keep:
            return DeleteSnapshot(good[0].snapshot, f"{goal.keep} newer ones stay")
    newest = max(s.began for s in now if s.state == "completed")
    return GoalReached(f"{volume.volume} is copied as it was at {write_time(newest)}")


def slot_of(now: datetime, every: timedelta) -> str:
    """The time of the schedule that *now* is of: one snapshot for each."""
    seconds = int(every.total_seconds())
    began = int(now.timestamp()) // seconds * seconds
    return write_time(datetime.fromtimestamp(began, now.tzinfo))


def write_time(at: datetime) -> str:
    """As it stands in tags: ``20261130T200000Z``."""
    return at.strftime("%Y%m%dT%H%M%SZ")


def read_time(text: str) -> datetime:
    """Read it; what is no time is long ago."""
    try:
        return datetime.strptime(text + "+0000", "%Y%m%dT%H%M%SZ%z")
    except ValueError:
        return datetime.fromisoformat("1970-01-01T00:00:00+00:00")
