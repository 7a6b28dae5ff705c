"""The daemon's volume at EC2: looked at, and changed by one step.

Looking and all steps but one may be repeated: a volume is made under a token, and the
rest is refused, or nothing, the second time.  EC2 has no token for a snapshot: that
call is sent once, and it is looked before another is sent.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any
from xml.etree.ElementTree import Element

from attrs import define, evolve

from lae_provision.account.api import name_permission
from lae_provision.aws.channel import Channel, parse_xml
from lae_provision.aws.parameters import flatten
from lae_provision.errors import ProvisionError, TryLater
from lae_provision.volumes.seen_volume import (
    BEFORE,
    JOURNAL,
    SeenAttachment,
    SeenInstance,
    SeenModification,
    SeenSnapshot,
    SeenVolume,
    Sight,
)
from lae_provision.volumes.volume_plan import (
    AttachVolume,
    BeginMove,
    CreateSnapshot,
    CreateVolume,
    DeleteSnapshot,
    DetachVolume,
    EndMove,
    GrowVolume,
    RetireVolume,
    Step,
    StopInstance,
)

DEPLOYMENT, PURPOSE = "s4:deployment", "s4:purpose"
RUN, MOVING, SLOT = "s4:run", "s4:moving", "s4:slot"
PAGE = 500
#: EC2 was asked while something else is on its way: look again.
_BUSY = frozenset(
    {
        "ConcurrentSnapshotLimitExceeded",
        "IncorrectModificationState",
        "IncorrectState",
        "InvalidVolume.NotFound",
        "SnapshotCreationPerVolumeRateExceeded",
        "VolumeInUse",
    }
)
#: Of one that is terminated for long.
_UNKNOWN = frozenset({"InvalidInstanceID.NotFound", "InvalidInstanceID.Malformed"})
_NEVER = "InvalidVolumeModification.NotFound"


@define(frozen=True)
class JournalVolume:
    """The volume of one deployment."""

    channel: Channel
    deployment: str
    now: Callable[[], datetime]

    async def look(self, *named: str) -> Sight:
        """See the volume, its copies, the machine that has it, and those *named*."""
        volumes = [
            _volume(item)
            for item in await self._listed(
                "DescribeVolumes", "volumeSet", self._mine(JOURNAL)
            )
        ]
        live = [v for v in volumes if v.state not in ("deleted", "deleting")]
        seen = [await self._with_modification(v) for v in live]
        wanted = {*named, *(v.attachment.instance for v in seen if v.attachment)}
        return Sight(
            now=self.now(),
            volumes=tuple(sorted(seen, key=lambda v: v.volume)),
            instances={
                i.instance: i
                for name in sorted(wanted)
                if (i := await self._instance(name)) is not None
            },
            snapshots=await self._snapshots(),
        )

    async def _with_modification(self, volume: SeenVolume) -> SeenVolume:
        try:
            root = await self._do(
                "DescribeVolumesModifications", VolumeId=[volume.volume]
            )
        except ProvisionError as e:
            if e.code != _NEVER:
                raise
            return volume
        found = [_modification(item) for item in root.iterfind(".//item")]
        if not found:
            return volume
        return evolve(volume, modification=max(found, key=lambda m: m.began))

    async def _instance(self, name: str) -> SeenInstance | None:
        try:
            root = await self._do("DescribeInstances", InstanceId=[name])
        except ProvisionError as e:
            if e.code not in _UNKNOWN:
                raise
            return None
        item = root.find(".//instancesSet/item")
        if item is None:
            return None
        return SeenInstance(
            name,
            item.findtext("instanceState/name") or "",
            item.findtext("placement/availabilityZone") or "",
        )

    async def _snapshots(self) -> tuple[SeenSnapshot, ...]:
        asked = {**self._mine(JOURNAL), "Owner": ["self"]}
        items = await self._listed("DescribeSnapshots", "snapshotSet", asked)
        return tuple(sorted(map(_snapshot, items), key=lambda s: s.snapshot))

    async def _listed(
        self, action: str, name: str, asked: dict[str, Any]
    ) -> list[Element]:
        found: list[Element] = []
        token: str | None = None
        while True:
            root = await self._do(action, **asked, MaxResults=PAGE, NextToken=token)
            found += root.findall(f"{name}/item")
            token = root.findtext("nextToken")
            if not token:
                return found

    def _mine(self, purpose: str) -> dict[str, Any]:
        tags = {DEPLOYMENT: self.deployment, PURPOSE: purpose}
        return {"Filter": [{"Name": f"tag:{k}", "Value": [v]} for k, v in tags.items()]}

    async def carry_out(self, step: Step) -> str | None:
        """Do one step; return the id of what it made.

        TryLater where EC2 is at something else: look again.
        """
        try:
            return await self._carry_out(step)
        except ProvisionError as e:
            # The permission's name stands before EC2's own words by now.
            if e.code in _BUSY:
                raise TryLater(e.code, e.message) from None
            raise

    async def _carry_out(self, step: Step) -> str | None:  # noqa: C901  (one each)
        match step:
            case CreateVolume():
                return await self._create(step)
            case AttachVolume():
                await self._do(
                    "AttachVolume",
                    VolumeId=step.volume,
                    InstanceId=step.instance,
                    Device=step.device,
                )
            case StopInstance():
                await self._do("StopInstances", InstanceId=[step.instance])
            case DetachVolume():
                await self._do(
                    "DetachVolume", VolumeId=step.volume, InstanceId=step.instance
                )
            case BeginMove():
                await self._tag(step.volume, {MOVING: step.run})
            case EndMove():
                await self._do(
                    "DeleteTags", ResourceId=[step.volume], Tag=[{"Key": MOVING}]
                )
            case RetireVolume():
                await self._tag(step.volume, {PURPOSE: BEFORE})
            case CreateSnapshot():
                return await self._copy(step)
            case DeleteSnapshot():
                await self._do("DeleteSnapshot", SnapshotId=step.snapshot)
            case GrowVolume():
                await self._do("ModifyVolume", VolumeId=step.volume, Size=step.gib)
        return None

    async def _create(self, step: CreateVolume) -> str | None:
        root = await self._do(
            "CreateVolume",
            AvailabilityZone=step.zone,
            Size=step.gib,
            VolumeType="gp3",
            Encrypted=True,
            KmsKeyId=step.key,
            SnapshotId=step.snapshot,
            ClientToken=step.token,
            TagSpecification=[self._tags("volume", {RUN: step.run})],
        )
        return root.findtext("volumeId")

    async def _copy(self, step: CreateSnapshot) -> str | None:
        tags = {RUN: step.run, SLOT: step.slot}
        parameters = {
            "VolumeId": step.volume,
            "Description": f"S4 {self.deployment}",
            "TagSpecification": [self._tags("snapshot", tags)],
        }
        # Not repeated: each call that arrives makes one.
        body = await name_permission(
            "ec2:CreateSnapshot", self._once("CreateSnapshot", flatten(parameters))
        )
        return body.findtext("snapshotId")

    async def _once(self, action: str, parameters: dict[str, str]) -> Element:
        return parse_xml(await self.channel.post("ec2", action, parameters))

    def _tags(self, kind: str, more: dict[str, str | None]) -> dict[str, Any]:
        tags = {
            "Name": f"{self.deployment}-daemon",
            DEPLOYMENT: self.deployment,
            PURPOSE: JOURNAL,
            **{k: v for k, v in more.items() if v is not None},
        }
        listed = [{"Key": key, "Value": value} for key, value in tags.items()]
        return {"ResourceType": kind, "Tag": listed}

    async def _tag(self, volume: str, tags: dict[str, str]) -> None:
        listed = [{"Key": key, "Value": value} for key, value in tags.items()]
        await self._do("CreateTags", ResourceId=[volume], Tag=listed)

    async def _do(self, action: str, **parameters: Any) -> Element:
        return await name_permission(
            f"ec2:{action}", self.channel.query("ec2", action, parameters)
        )


def _tags_of(item: Element) -> dict[str, str]:
    return {
        tag.findtext("key") or "": tag.findtext("value") or ""
        for tag in item.findall("tagSet/item")
    }


def _volume(item: Element) -> SeenVolume:
    tags = _tags_of(item)
    at = [
        SeenAttachment(
            one.findtext("instanceId") or "",
            one.findtext("status") or "",
            one.findtext("device") or "",
        )
        for one in item.findall("attachmentSet/item")
    ]
    return SeenVolume(
        volume=item.findtext("volumeId") or "",
        state=item.findtext("status") or "",
        zone=item.findtext("availabilityZone") or "",
        gib=int(item.findtext("size") or 0),
        encrypted=item.findtext("encrypted") == "true",
        key=item.findtext("kmsKeyId"),
        attachment=next((a for a in at if a.state != "detached"), None),
        run=tags.get(RUN),
        moving=tags.get(MOVING),
    )


def _modification(item: Element) -> SeenModification:
    return SeenModification(
        item.findtext("modificationState") or "",
        int(item.findtext("targetSize") or 0),
        datetime.fromisoformat(item.findtext("startTime") or ""),
        int(item.findtext("progress") or 0),
    )


def _snapshot(item: Element) -> SeenSnapshot:
    tags = _tags_of(item)
    return SeenSnapshot(
        snapshot=item.findtext("snapshotId") or "",
        volume=item.findtext("volumeId") or "",
        state=item.findtext("status") or "",
        began=datetime.fromisoformat(item.findtext("startTime") or ""),
        gib=int(item.findtext("volumeSize") or 0),
        slot=tags.get(SLOT),
        run=tags.get(RUN),
        progress=int((item.findtext("progress") or "0").rstrip("%") or 0),
    )
