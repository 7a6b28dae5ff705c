"""What the daemon's own keys may do with volumes: copy the journal's, and no more."""

from __future__ import annotations

from typing import Any

from botocore.exceptions import ClientError


def tags_of(kind: str, **tags: str) -> list[dict[str, Any]]:
    listed = [{"Key": f"s4:{key}", "Value": value} for key, value in tags.items()]
    return [{"ResourceType": kind, "Tags": listed}]


def refused(call: Any, **arguments: Any) -> str:
    try:
        call(**arguments)
    except ClientError as e:
        return str(e.response["Error"]["Code"])
    return ""


def test_the_daemon_copies_its_volume_and_deletes_no_copy(cloud: Any) -> None:
    """The daemon's keys make snapshots of the journal's volume with the deployment's
    tags; none of another volume, none without tags, and they delete none.
    """
    owner, name = cloud.client("ec2"), cloud.facts["deployment"]
    made = [
        owner.create_volume(
            AvailabilityZone="eu-west-1a",
            Size=1,
            Encrypted=True,
            TagSpecifications=tags_of("volume", deployment=name, purpose=purpose),
        )["VolumeId"]
        for purpose in ("journal", "other")
    ]
    daemon = cloud.client("ec2", cloud.daemon_key())
    ours = tags_of("snapshot", deployment=name, purpose="journal")
    copy = daemon.create_snapshot(VolumeId=made[0], TagSpecifications=ours)
    assert daemon.describe_snapshots(OwnerIds=["self"])["Snapshots"]
    no = "UnauthorizedOperation"
    more = daemon.create_snapshot
    assert refused(more, VolumeId=made[1], TagSpecifications=ours) == no
    assert refused(more, VolumeId=made[0]) == no
    theirs = tags_of("snapshot", deployment="other")
    assert refused(more, VolumeId=made[0], TagSpecifications=theirs) == no
    assert refused(daemon.delete_snapshot, SnapshotId=copy["SnapshotId"]) == no
    assert refused(daemon.delete_volume, VolumeId=made[1]) == no
    assert refused(daemon.detach_volume, VolumeId=made[0]) == no
