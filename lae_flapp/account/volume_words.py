"""What ``lae volume`` says of steps and sights.  Pure."""

from __future__ import annotations

from typing import Any

from lae_provision.volumes.seen_volume import SeenSnapshot, SeenVolume, Sight
from lae_provision.volumes.volume_plan import (
    Answer,
    AttachVolume,
    BeginMove,
    CreateSnapshot,
    CreateVolume,
    DeleteSnapshot,
    DetachVolume,
    EndMove,
    GoalReached,
    GrowVolume,
    NeedsPerson,
    RetireVolume,
    StopInstance,
    WaitForEc2,
    write_time,
)


def told(answer: Answer) -> str:  # noqa: C901, PLR0911, PLR0912  (one each)
    """One line; the call of EC2 is named, so that a dry run says what is done."""
    match answer:
        case CreateVolume():
            of = f" of {answer.snapshot}" if answer.snapshot else ""
            key = f" under {answer.key}" if answer.key else ""
            return (
                f"+ ec2:CreateVolume {answer.gib} GiB, gp3, encrypted{key}, in"
                f" {answer.zone}{of} (token {answer.token})"
            )
        case AttachVolume():
            return (
                f"+ ec2:AttachVolume {answer.volume} to {answer.instance} as"
                f" {answer.device}"
            )
        case StopInstance():
            return f"~ ec2:StopInstances {answer.instance}"
        case DetachVolume():
            return f"~ ec2:DetachVolume {answer.volume} from {answer.instance}"
        case BeginMove():
            return f"~ ec2:CreateTags {answer.volume} s4:moving={answer.run}"
        case EndMove():
            return f"~ ec2:DeleteTags {answer.volume} s4:moving"
        case RetireVolume():
            return f"~ ec2:CreateTags {answer.volume} s4:purpose=journal-before"
        case CreateSnapshot():
            tag = f"s4:slot={answer.slot}" if answer.slot else f"s4:run={answer.run}"
            return f"+ ec2:CreateSnapshot of {answer.volume} ({tag})"
        case DeleteSnapshot():
            return f"- ec2:DeleteSnapshot {answer.snapshot}: {answer.why}"
        case GrowVolume():
            return f"~ ec2:ModifyVolume {answer.volume} to {answer.gib} GiB"
        case WaitForEc2():
            return f"  waiting: {answer.why}"
        case NeedsPerson():
            return f"! {answer.why}"
        case GoalReached():
            return answer.told


def volume_lines(sight: Sight) -> list[str]:
    """Everything that there is, for a person."""
    lines = [line for volume in sight.volumes for line in _volume(volume, sight)]
    copies = [s for s in sight.snapshots if s.slot is not None]
    lines += [_snapshot(copy) for copy in copies]
    return lines or ["There is no volume."]


def _volume(volume: SeenVolume, sight: Sight) -> list[str]:
    safe = f"encrypted under {volume.key}" if volume.encrypted else "NOT ENCRYPTED"
    lines = [
        f"{volume.volume}  {volume.gib} GiB  {volume.state}  {volume.zone}  {safe}"
    ]
    here = volume.attachment
    if here is not None:
        lines.append(
            f"  {here.state} at {here.instance}"
            f" ({sight.instance_state(here.instance)}) as {here.device}"
        )
    last = volume.modification
    if last is not None:
        lines.append(
            f"  size changed {write_time(last.began)}: {last.state}, to"
            f" {last.target_gib} GiB"
        )
    if volume.moving is not None:
        lines.append(f"  a move began at {volume.moving}: lae volume move goes on")
    return lines


def _snapshot(copy: SeenSnapshot) -> str:
    state = f"{copy.state} {copy.progress} %" if copy.state == "pending" else copy.state
    return f"{copy.snapshot}  {write_time(copy.began)}  {state}  {copy.gib} GiB"


def as_json(sight: Sight) -> dict[str, Any]:
    """The same for programs."""
    return {
        "version": 1,
        "volumes": [
            {
                "volume": v.volume,
                "state": v.state,
                "zone": v.zone,
                "gib": v.gib,
                "encrypted": v.encrypted,
                "instance": None if v.attachment is None else v.attachment.instance,
                "attachment": None if v.attachment is None else v.attachment.state,
                "moving": v.moving,
            }
            for v in sight.volumes
        ],
        "snapshots": [
            {
                "snapshot": s.snapshot,
                "state": s.state,
                "began": s.began.isoformat(),
                "slot": s.slot,
            }
            for s in sight.snapshots
        ],
    }
