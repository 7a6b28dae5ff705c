"""The image that hosts boot, and the type of instance that boots it."""

from __future__ import annotations

from attrs import define

from lae_provision.account.api import AccountApi
from lae_provision.account.difference import Difference
from lae_provision.aws.channel import none_on
from lae_provision.aws.hosts import ROOT_DEVICE

THING = "image"
#: What the image of a node is made for.
OUR_ARCHITECTURE = "x86_64"
_NO_IMAGE = frozenset(
    {"InvalidAMIID.NotFound", "InvalidAMIID.Malformed", "InvalidAMIID.Unavailable"}
)
_NO_TYPE = frozenset({"InvalidInstanceType"})


@define(frozen=True)
class WantedAmi:
    """The configured image, and what launches ask of it.  *pulls*: hosts run the node
    from an image of ours.
    """

    image_id: str
    owner: str
    instance_type: str
    volume_gib: int
    region: str
    pulls: bool


@define(frozen=True)
class Ami:
    """An image; *gib* is the size of its root device, where that is known."""

    owner: str
    architecture: str
    root_device: str
    gib: int | None
    state: str = "available"


@define(frozen=True)
class Bootable:
    """The image, if it is there, and for which architectures the instance type is; none
    if the region does not offer the type.
    """

    ami: Ami | None
    architectures: tuple[str, ...]


def find_differences(wanted: WantedAmi, seen: Bootable) -> tuple[Difference, ...]:
    """Find what a person must change about image and type.  Pure."""
    return (*_of_type(wanted, seen.architectures), *_of_ami(wanted, seen))


def _of_type(wanted: WantedAmi, found: tuple[str, ...]) -> tuple[Difference, ...]:
    name, remedy = wanted.instance_type, "choose another cells.instance_type"
    if not found:
        words = f"not offered in {wanted.region}"
        return (Difference("instance type", name, words, "offered", None, remedy),)
    if wanted.pulls and OUR_ARCHITECTURE not in found:
        words, want = f"for {', '.join(found)}", f"for {OUR_ARCHITECTURE}, as S4 is"
        return (Difference("instance type", name, words, want, None, remedy),)
    return ()


def _of_ami(wanted: WantedAmi, seen: Bootable) -> tuple[Difference, ...]:
    made: list[Difference] = []
    ami = seen.ami

    def differs(found: str, want: str, remedy: str) -> None:
        made.append(Difference(THING, wanted.image_id, found, want, None, remedy))

    if ami is None:
        where = f"no such image in {wanted.region}"
        differs(where, "there", "correct cells.image_id or aws.region")
        return tuple(made)
    if ami.state != "available":
        differs(ami.state, "available", "choose another cells.image_id")
    if ami.owner != wanted.owner:
        differs(
            f"of the account {ami.owner}",
            f"of {wanted.owner}, as cells.image_owner says",
            "correct cells.image_id or, if you trust that account, cells.image_owner",
        )
    if seen.architectures and ami.architecture not in seen.architectures:
        differs(
            f"for {ami.architecture}",
            f"for {', '.join(seen.architectures)}, as {wanted.instance_type} is",
            "correct cells.image_id or cells.instance_type",
        )
    if ami.root_device != ROOT_DEVICE:
        differs(
            f"its root device is {ami.root_device}",
            ROOT_DEVICE,
            "choose an image of Fedora CoreOS for cells.image_id",
        )
    if ami.gib is not None and ami.gib > wanted.volume_gib:
        differs(
            f"{ami.gib} GiB",
            f"at most {wanted.volume_gib} GiB, as cells.volume_gib says",
            f"set cells.volume_gib to {ami.gib} or more",
        )
    return tuple(made)


@define(frozen=True)
class Amis:
    """Finds the image and the instance type."""

    api: AccountApi

    async def find(self, wanted: WantedAmi) -> Bootable:
        """Find both."""
        types = await none_on(
            _NO_TYPE,
            self.api.query(
                "ec2", "DescribeInstanceTypes", InstanceType=[wanted.instance_type]
            ),
        )
        found = (
            () if types is None else types.iterfind(".//supportedArchitectures/item")
        )
        return Bootable(
            await self._ami(wanted.image_id), tuple(item.text or "" for item in found)
        )

    async def _ami(self, image_id: str) -> Ami | None:
        told = await none_on(
            _NO_IMAGE, self.api.query("ec2", "DescribeImages", ImageId=[image_id])
        )
        item = None if told is None else told.find("imagesSet/item")
        if item is None:
            return None
        root = item.findtext("rootDeviceName") or ""
        sizes = [
            device.findtext("ebs/volumeSize")
            for device in item.findall("blockDeviceMapping/item")
            if device.findtext("deviceName") == root
        ]
        return Ami(
            owner=item.findtext("imageOwnerId") or "",
            architecture=item.findtext("architecture") or "",
            root_device=root,
            gib=int(sizes[0]) if sizes and sizes[0] else None,
            state=item.findtext("imageState") or "",
        )
