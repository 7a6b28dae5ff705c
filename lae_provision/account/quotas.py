"""The account's quotas, compared with what the settings expect.

Nothing is made here.  A quota that is too small needs a person: AWS raises quotas on
request.
"""

from __future__ import annotations

from collections.abc import Awaitable
from typing import TypeVar

from attrs import asdict, define

from lae_provision.account.api import AccountApi, NotAllowed
from lae_provision.account.difference import Difference
from lae_provision.account.subnet import Subnet
from lae_provision.errors import Refused, TryLater

T = TypeVar("T")

QUOTAS = "quota"
#: Service Quotas' codes (docs.aws.amazon.com, "Service endpoints and quotas").
STANDARD_VCPUS = ("ec2", "L-1216C47A")
BUCKETS = ("s3", "L-DC2B2D3D")
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
    """Finds the quotas."""

    api: AccountApi

    async def capacity(
        self, instance_type: str, zone_id: str, subnet: Subnet | None
    ) -> Capacity:
        """Find the quotas, each as a number of customers."""
        iam = await _none_if_refused(self.api.query("iam", "GetAccountSummary"))
        entries = () if iam is None else iam.findall(".//SummaryMap/entry")
        summary = {e.findtext("key"): int(e.findtext("value") or 0) for e in entries}
        limit = (
            None
            if not zone_id
            else await _none_if_refused(
                self.api.route53(
                    "GetHostedZoneLimit",
                    "GET",
                    f"/hostedzonelimit/{zone_id}/MAX_RRSETS_BY_ZONE",
                )
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
            addresses=None if subnet is None else subnet.addresses,
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
