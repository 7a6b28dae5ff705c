"""The account's network and quotas, compared with what the settings expect.

Nothing is made here.  A quota that is too small needs a person: AWS raises quotas on
request.
"""

from __future__ import annotations

from collections.abc import Awaitable
from ipaddress import IPv4Network
from typing import TypeVar

from attrs import asdict, define

from lae_provision.account.api import AccountApi, NotAllowed
from lae_provision.account.difference import Difference
from lae_provision.aws.channel import none_on
from lae_provision.errors import Refused, TryLater

T = TypeVar("T")

NETWORK, QUOTAS = "network", "quota"
#: Service Quotas' codes (docs.aws.amazon.com, "Service endpoints and quotas").
STANDARD_VCPUS = ("ec2", "L-1216C47A")
BUCKETS = ("s3", "L-DC2B2D3D")
#: How many addresses AWS reserves in every subnet.
RESERVED = 5
_NO_SUBNET = frozenset({"InvalidSubnetID.NotFound", "InvalidSubnetID.Malformed"})
_ADVICE = {
    "instances": "ask for more: Service Quotas, EC2, L-1216C47A (counted in vCPUs)",
    "roles": "ask for more: Service Quotas, IAM, Roles per account",
    "instance_profiles": "ask for more: Service Quotas, IAM, Instance profiles",
    "buckets": "ask for more: Service Quotas, S3, L-DC2B2D3D",
    "addresses": "use a larger subnet (cells.subnet_id)",
    "records": "ask for more: Service Quotas, Route 53, Records per hosted zone",
}


@define(frozen=True)
class Capacity:
    """How many customers the settings expect, or the account has room for, by quota;
    None if AWS does not report a quota.
    """

    instances: int | None = None
    roles: int | None = None
    instance_profiles: int | None = None
    buckets: int | None = None
    addresses: int | None = None
    records: int | None = None


@define(frozen=True)
class Network:
    """The subnet that hosts are launched into."""

    vpc_id: str
    zone: str
    public: bool
    addresses: int


def network_differences(
    subnet_id: str, zone: str, region: str, seen: Network | None
) -> tuple[Difference, ...]:
    """Find what a person must change about the subnet.  Pure."""
    if seen is None:
        remedy = (
            "correct cells.subnet_id or aws.region; or make one: aws ec2 create-subnet"
        )
        found = f"no such subnet in {region}"
        return (Difference(NETWORK, subnet_id, found, "there", None, remedy),)
    made = []
    if seen.zone != zone:
        remedy = "correct cells.zone or cells.subnet_id"
        found, want = f"in {seen.zone}", f"in {zone}"
        made.append(Difference(NETWORK, subnet_id, found, want, None, remedy))
    if not seen.public:
        remedy = (
            f"aws ec2 modify-subnet-attribute --subnet-id {subnet_id}"
            " --map-public-ip-on-launch"
        )
        found, want = "without public addresses", "with them"
        made.append(Difference(NETWORK, subnet_id, found, want, None, remedy))
    return tuple(made)


def quota_differences(wanted: Capacity, seen: Capacity) -> tuple[Difference, ...]:
    """Find quotas that are smaller than the settings expect.  Pure."""
    there = asdict(seen)
    return tuple(
        Difference(
            QUOTAS,
            name,
            f"{there[name]}",
            f"{want}, as cells.quotas.{name} says",
            None,
            f"lower cells.quotas.{name} to {there[name]}, or {_ADVICE[name]}",
        )
        for name, want in asdict(wanted).items()
        if want is not None and there[name] is not None and there[name] < want
    )


def unreported(wanted: Capacity, seen: Capacity) -> tuple[str, ...]:
    """List the quotas that AWS does not report.  Pure."""
    there = asdict(seen)
    return tuple(
        name
        for name, want in asdict(wanted).items()
        if want is not None and there[name] is None
    )


@define(frozen=True)
class Quotas:
    """Finds the network and the quotas."""

    api: AccountApi

    async def network(self, subnet_id: str) -> Network | None:
        """Find the subnet; None if the region has none with that id."""
        told = await none_on(
            _NO_SUBNET,
            self.api.query("ec2", "DescribeSubnets", SubnetId=[subnet_id]),
        )
        item = None if told is None else told.find("subnetSet/item")
        if item is None:
            return None
        block = IPv4Network(item.findtext("cidrBlock") or "0.0.0.0/32")
        return Network(
            item.findtext("vpcId") or "",
            item.findtext("availabilityZone") or "",
            item.findtext("mapPublicIpOnLaunch") == "true",
            max(block.num_addresses - RESERVED, 0),
        )

    async def capacity(
        self, instance_type: str, zone_id: str, network: Network | None
    ) -> Capacity:
        """Find the quotas, each as a number of customers."""
        iam = await _none_if_refused(self.api.query("iam", "GetAccountSummary"))
        entries = () if iam is None else iam.findall(".//SummaryMap/entry")
        summary = {e.findtext("key"): int(e.findtext("value") or 0) for e in entries}
        limit = await _none_if_refused(
            self.api.route53(
                "GetHostedZoneLimit",
                "GET",
                f"/hostedzonelimit/{zone_id}/MAX_RRSETS_BY_ZONE",
            )
        )
        records = None if limit is None else limit.findtext("Limit/Value")
        vcpus = await self._quota(*STANDARD_VCPUS)
        each = await self._vcpus(instance_type) if vcpus is not None else None
        return Capacity(
            instances=vcpus // each if vcpus is not None and each else None,
            roles=summary.get("RolesQuota"),
            instance_profiles=summary.get("InstanceProfilesQuota"),
            buckets=await self._quota(*BUCKETS),
            addresses=None if network is None else network.addresses,
            # Without the wildcard and the zone's own two records.
            records=None if records is None else int(records) - 3,
        )

    async def _quota(self, service: str, code: str) -> int | None:
        told = await _none_if_refused(
            self.api.json(
                "servicequotas", "GetServiceQuota", ServiceCode=service, QuotaCode=code
            )
        )
        return None if told is None else int(told["Quota"]["Value"])

    async def _vcpus(self, instance_type: str) -> int | None:
        told = await _none_if_refused(
            self.api.query("ec2", "DescribeInstanceTypes", InstanceType=[instance_type])
        )
        found = None if told is None else told.findtext(".//vCpuInfo/defaultVCpus")
        return None if found is None else int(found)


async def _none_if_refused(waiting: Awaitable[T]) -> T | None:
    """Wait for an answer; None if AWS refuses, except for lack of permission."""
    try:
        return await waiting
    except (NotAllowed, TryLater):
        raise
    except Refused:
        return None
