"""EC2's instances, volumes and addresses."""

from __future__ import annotations

from typing import Any

from lae_localcloud.cloudformation.calls_signed import (
    NOT_UPDATABLE,
    ServiceRefused,
    Services,
)
from lae_localcloud.cloudformation.evaluation import Known
from lae_localcloud.cloudformation.kinds.kind import (
    Kind,
    Properties,
    Spot,
    differs,
    found_or_none,
    gone_is_done,
    number,
    only_if,
    read_tags,
    retag,
    tags_of_kind,
    truth,
    wait_until,
)

_NO_INSTANCE = frozenset({"InvalidInstanceID.NotFound"})
_NO_VOLUME = frozenset({"InvalidVolume.NotFound"})
_SHOWN = {
    "PrivateIp": "PrivateIpAddress",
    "PublicIp": "PublicIpAddress",
    "PrivateDnsName": "PrivateDnsName",
    "PublicDnsName": "PublicDnsName",
    "VpcId": "VpcId",
}


def _device(said: Properties) -> dict[str, Any]:
    made = dict(said)
    if "Ebs" in said:
        ebs = dict(said["Ebs"])
        for name in ("Encrypted", "DeleteOnTermination"):
            if name in ebs:
                ebs[name] = truth(ebs[name])
        for name in ("VolumeSize", "Iops", "Throughput"):
            if name in ebs:
                ebs[name] = number(ebs[name])
        made["Ebs"] = ebs
    return made


class Ec2Instance(Kind):
    """AWS::EC2::Instance: there once it runs."""

    takes = (
        *("ImageId", "InstanceType", "SubnetId", "SecurityGroupIds", "KeyName"),
        *("IamInstanceProfile", "UserData", "MetadataOptions", "Tags"),
        *("BlockDeviceMappings", "DisableApiTermination"),
    )
    attributes = ("InstanceId", "AvailabilityZone", *_SHOWN)
    gone = _NO_INSTANCE

    async def make(self, services: Services, said: Properties, spot: Spot) -> Known:
        more = only_if(
            said, "ImageId", "InstanceType", "SubnetId", "SecurityGroupIds", "KeyName"
        )
        if "IamInstanceProfile" in said:
            more["IamInstanceProfile"] = {"Name": said["IamInstanceProfile"]}
        if "UserData" in said:
            more["UserData"] = said["UserData"]
        if "MetadataOptions" in said:
            more["MetadataOptions"] = _metadata(said["MetadataOptions"])
        if "BlockDeviceMappings" in said:
            devices = [_device(one) for one in said["BlockDeviceMappings"]]
            more["BlockDeviceMappings"] = devices
        if "DisableApiTermination" in said:
            more["DisableApiTermination"] = truth(said["DisableApiTermination"])
        more |= {"MinCount": 1, "MaxCount": 1, "ClientToken": spot.token}
        more |= tags_of_kind("instance", said)
        made = await self._run(services, more)
        instance = made["Instances"][0]["InstanceId"]
        spot.tell(instance)
        await self._become(services, instance, "running")
        return await self._known(services, instance)

    async def _run(self, services: Services, more: dict[str, Any]) -> dict[str, Any]:
        """A new instance profile is unknown to EC2 for a while: AWS tries again."""
        made: dict[str, Any] = {}

        async def runs() -> bool:
            try:
                made.update(await services("ec2", "RunInstances", **more))
            except ServiceRefused as e:
                if "Invalid IAM Instance Profile" not in e.message:
                    raise
            return bool(made)

        await wait_until(services, "the instance profile", runs)
        return made

    async def _known(self, services: Services, instance: str) -> Known:
        seen = await self._see(services, instance)
        assert seen is not None, "it ran a moment ago"
        return Known(
            instance,
            {
                "InstanceId": instance,
                "AvailabilityZone": seen["Placement"]["AvailabilityZone"],
                **{name: seen.get(key, "") for name, key in _SHOWN.items()},
            },
        )

    async def _see(self, services: Services, instance: str) -> dict[str, Any] | None:
        call = ("ec2", "DescribeInstances", {"InstanceIds": [instance]})
        told = await found_or_none(services, _NO_INSTANCE, *call)
        for reservation in [] if told is None else told["Reservations"]:
            found: dict[str, Any] = reservation["Instances"][0]
            return found
        return None

    async def _become(self, services: Services, instance: str, state: str) -> None:
        async def there() -> bool:
            seen = await self._see(services, instance)
            if seen is None:
                # Not seen yet, or not any more.
                return state == "terminated"
            now = seen["State"]["Name"]
            if now == "terminated" and state != now:
                raise ServiceRefused(
                    "ec2", "NotStabilized", f"Instance {instance} failed to stabilize"
                )
            return bool(now == state)

        await wait_until(services, f"Instance {instance}", there)

    async def change(
        self, services: Services, known: Known, before: Properties, after: Properties
    ) -> Known:
        instance = known.physical_id
        await retag(services, instance, before, after)
        if differs(before, after, "SecurityGroupIds"):
            groups = after["SecurityGroupIds"]
            await services(
                "ec2", "ModifyInstanceAttribute", InstanceId=instance, Groups=groups
            )
        if differs(before, after, "MetadataOptions"):
            options = _metadata(after.get("MetadataOptions", {}))
            await services(
                "ec2", "ModifyInstanceMetadataOptions", InstanceId=instance, **options
            )
        if differs(before, after, "DisableApiTermination"):
            keep = {"Value": truth(after.get("DisableApiTermination", False))}
            await services(
                "ec2",
                "ModifyInstanceAttribute",
                InstanceId=instance,
                DisableApiTermination=keep,
            )
        if differs(before, after, "InstanceType", "UserData"):
            await self._restart(services, instance, before, after)
        return await self._known(services, instance)

    async def _restart(
        self, services: Services, instance: str, before: Properties, after: Properties
    ) -> None:
        """Stopped, changed, started: some interruption, as AWS calls it."""
        await services("ec2", "StopInstances", InstanceIds=[instance])
        await self._become(services, instance, "stopped")
        for name in ("InstanceType", "UserData"):
            if differs(before, after, name) and name in after:
                value = {"Value": after[name]}
                await services(
                    "ec2",
                    "ModifyInstanceAttribute",
                    InstanceId=instance,
                    **{name: value},
                )
        await services("ec2", "StartInstances", InstanceIds=[instance])
        await self._become(services, instance, "running")

    def needs_another(self, name: str, before: Properties, after: Properties) -> bool:
        return name == "BlockDeviceMappings"

    async def remove(self, services: Services, known: Known, said: Properties) -> None:
        call = ("ec2", "TerminateInstances", {"InstanceIds": [known.physical_id]})
        await gone_is_done(services, _NO_INSTANCE, *call)
        await self._become(services, known.physical_id, "terminated")

    async def look(
        self, services: Services, known: Known, said: Properties
    ) -> dict[str, Any] | None:
        seen = await self._see(services, known.physical_id)
        if seen is None or seen["State"]["Name"] in ("terminated", "shutting-down"):
            return None
        groups = [group["GroupId"] for group in seen.get("SecurityGroups", [])]
        wanted = said.get("SecurityGroupIds", [])
        as_written = sorted(groups) == sorted(wanted)
        return {
            **only_if(seen, "InstanceType", "ImageId", "SubnetId"),
            "SecurityGroupIds": wanted if as_written else groups,
            **read_tags(said, seen.get("Tags", [])),
        }


def _metadata(said: Properties) -> dict[str, Any]:
    made = dict(said)
    if "HttpPutResponseHopLimit" in made:
        made["HttpPutResponseHopLimit"] = number(made["HttpPutResponseHopLimit"])
    return made


class EbsVolume(Kind):
    """AWS::EC2::Volume."""

    takes = (
        *("AvailabilityZone", "VolumeType", "KmsKeyId", "SnapshotId", "Size"),
        *("Iops", "Throughput", "Encrypted", "Tags"),
    )
    attributes = ("VolumeId",)
    gone = _NO_VOLUME

    async def make(self, services: Services, said: Properties, spot: Spot) -> Known:
        more = only_if(said, "AvailabilityZone", "VolumeType", "KmsKeyId", "SnapshotId")
        for name in ("Size", "Iops", "Throughput"):
            if name in said:
                more[name] = number(said[name])
        if "Encrypted" in said:
            more["Encrypted"] = truth(said["Encrypted"])
        tags = tags_of_kind("volume", said)
        made = await services("ec2", "CreateVolume", **more, **tags)
        volume = made["VolumeId"]
        spot.tell(volume)
        await self._become(services, volume, "available")
        return Known(volume, {"VolumeId": volume})

    async def change(
        self, services: Services, known: Known, before: Properties, after: Properties
    ) -> Known:
        fixed = ("AvailabilityZone", "Encrypted", "KmsKeyId", "SnapshotId")
        if differs(before, after, *fixed):
            raise ServiceRefused(
                "ec2", NOT_UPDATABLE, f"Properties [{', '.join(fixed)}]: no updates"
            )
        if differs(before, after, "Size", "VolumeType", "Iops", "Throughput"):
            more = {
                name: number(after[name])
                for name in ("Size", "Iops", "Throughput")
                if name in after
            }
            if number(after.get("Size", 0)) < number(before.get("Size", 0)):
                # moto would make it smaller.
                raise ServiceRefused(
                    "ec2",
                    "InvalidParameterValue",
                    "New size cannot be smaller than existing size",
                )
            more |= only_if(after, "VolumeType")
            volume = known.physical_id
            await services("ec2", "ModifyVolume", VolumeId=volume, **more)
        await retag(services, known.physical_id, before, after)
        return known

    async def _see(self, services: Services, volume: str) -> dict[str, Any] | None:
        call = ("ec2", "DescribeVolumes", {"VolumeIds": [volume]})
        told = await found_or_none(services, _NO_VOLUME, *call)
        found = [] if told is None else told["Volumes"]
        return found[0] if found else None

    async def _become(self, services: Services, volume: str, state: str) -> None:
        async def there() -> bool:
            seen = await self._see(services, volume)
            return seen is not None and seen["State"] == state

        await wait_until(services, f"Volume {volume}", there)

    async def keep_snapshot(self, services: Services, known: Known) -> None:
        """What DeletionPolicy: Snapshot leaves behind."""
        words = f"of {known.physical_id}, which a stack has deleted"
        await services(
            "ec2", "CreateSnapshot", VolumeId=known.physical_id, Description=words
        )

    async def remove(self, services: Services, known: Known, said: Properties) -> None:
        call = ("ec2", "DeleteVolume", {"VolumeId": known.physical_id})
        await gone_is_done(services, _NO_VOLUME, *call)

    async def look(
        self, services: Services, known: Known, said: Properties
    ) -> dict[str, Any] | None:
        seen = await self._see(services, known.physical_id)
        if seen is None:
            return None
        names = ("Size", "VolumeType", "Encrypted", "AvailabilityZone")
        return {**only_if(seen, *names), **read_tags(said, seen.get("Tags", []))}


class VolumeAttachment(Kind):
    """AWS::EC2::VolumeAttachment."""

    takes = ("VolumeId", "InstanceId", "Device")
    gone = _NO_VOLUME | _NO_INSTANCE | {"IncorrectState", "InvalidAttachment.NotFound"}

    async def make(self, services: Services, said: Properties, spot: Spot) -> Known:
        named = only_if(said, "VolumeId", "InstanceId", "Device")
        await services("ec2", "AttachVolume", **named)
        return Known(f"{said['VolumeId']}|{said['InstanceId']}")

    async def remove(self, services: Services, known: Known, said: Properties) -> None:
        named = only_if(said, "VolumeId", "InstanceId")
        await gone_is_done(services, self.gone, "ec2", "DetachVolume", named)

    async def look(
        self, services: Services, known: Known, said: Properties
    ) -> dict[str, Any] | None:
        call = ("ec2", "DescribeVolumes", {"VolumeIds": [said["VolumeId"]]})
        told = await found_or_none(services, _NO_VOLUME, *call)
        for volume in [] if told is None else told["Volumes"]:
            for one in volume.get("Attachments", []):
                if one["InstanceId"] == said["InstanceId"]:
                    return only_if(one, "VolumeId", "InstanceId", "Device")
        return None


class ElasticAddress(Kind):
    """AWS::EC2::EIP."""

    takes = ("Domain", "InstanceId", "Tags")
    attributes = ("PublicIp", "AllocationId")
    gone = frozenset({"InvalidAllocationID.NotFound", "InvalidAddress.NotFound"})

    async def make(self, services: Services, said: Properties, spot: Spot) -> Known:
        tags = tags_of_kind("elastic-ip", said)
        made = await services("ec2", "AllocateAddress", Domain="vpc", **tags)
        known = only_if(made, "PublicIp", "AllocationId")
        spot.tell(made["PublicIp"])
        if "InstanceId" in said:
            await self._lead(services, made["AllocationId"], said["InstanceId"])
        return Known(made["PublicIp"], known)

    async def change(
        self, services: Services, known: Known, before: Properties, after: Properties
    ) -> Known:
        allocation = known.attributes["AllocationId"]
        if differs(before, after, "InstanceId") and "InstanceId" in after:
            await self._lead(services, allocation, after["InstanceId"])
        await retag(services, allocation, before, after)
        return known

    async def _lead(self, services: Services, allocation: str, instance: str) -> None:
        named = {"AllocationId": allocation, "InstanceId": instance}
        await services("ec2", "AssociateAddress", **named, AllowReassociation=True)

    async def remove(self, services: Services, known: Known, said: Properties) -> None:
        allocation = known.attributes.get("AllocationId")
        if allocation is None:
            return
        call = ("ec2", "DescribeAddresses", {"AllocationIds": [allocation]})
        told = await found_or_none(services, self.gone, *call)
        for address in [] if told is None else told["Addresses"]:
            if "AssociationId" in address:
                named = {"AssociationId": address["AssociationId"]}
                await services("ec2", "DisassociateAddress", **named)
        named = {"AllocationId": allocation}
        await gone_is_done(services, self.gone, "ec2", "ReleaseAddress", named)

    async def look(
        self, services: Services, known: Known, said: Properties
    ) -> dict[str, Any] | None:
        named = {"AllocationIds": [known.attributes["AllocationId"]]}
        call = ("ec2", "DescribeAddresses", named)
        told = await found_or_none(services, self.gone, *call)
        if told is None or not told["Addresses"]:
            return None
        return {"InstanceId": told["Addresses"][0].get("InstanceId")}


class AddressAssociation(Kind):
    """AWS::EC2::EIPAssociation."""

    takes = ("AllocationId", "InstanceId")
    attributes = ("Id",)
    gone = frozenset({"InvalidAssociationID.NotFound"})

    async def make(self, services: Services, said: Properties, spot: Spot) -> Known:
        named = only_if(said, "AllocationId", "InstanceId")
        made = await services("ec2", "AssociateAddress", **named)
        return Known(made["AssociationId"], {"Id": made["AssociationId"]})

    async def remove(self, services: Services, known: Known, said: Properties) -> None:
        named = {"AssociationId": known.physical_id}
        await gone_is_done(services, self.gone, "ec2", "DisassociateAddress", named)

    async def look(
        self, services: Services, known: Known, said: Properties
    ) -> dict[str, Any] | None:
        named = {"AllocationIds": [said["AllocationId"]]}
        call = ("ec2", "DescribeAddresses", named)
        told = await found_or_none(services, ElasticAddress.gone, *call)
        for address in [] if told is None else told["Addresses"]:
            if address.get("AssociationId") == known.physical_id:
                return only_if(address, "InstanceId")
        return None
