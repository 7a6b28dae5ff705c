"""Security groups and their rules."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

from lae_localcloud.cloudformation.calls_signed import Services
from lae_localcloud.cloudformation.evaluation import Known
from lae_localcloud.cloudformation.kinds.kind import (
    Kind,
    Properties,
    Spot,
    found_or_none,
    gone_is_done,
    number,
    read_tags,
    retag,
    tags_of_kind,
)

#: Where a rule's other end is written in a template and in EC2's own form.
_RANGES = (("CidrIp", "IpRanges", "CidrIp"), ("CidrIpv6", "Ipv6Ranges", "CidrIpv6"))
_GROUPS = ("SourceSecurityGroupId", "DestinationSecurityGroupId")
_LISTS = ("SourcePrefixListId", "DestinationPrefixListId")
_ALL = [{"IpProtocol": "-1", "CidrIp": "0.0.0.0/0"}]
#: Direction by the property that lists its rules.
_WAYS = {"SecurityGroupIngress": "Ingress", "SecurityGroupEgress": "Egress"}
_KEYS = {"Ingress": "IpPermissions", "Egress": "IpPermissionsEgress"}


def permission(rule: Properties) -> dict[str, Any]:
    """A rule of a template as EC2 takes it."""
    made: dict[str, Any] = {"IpProtocol": str(rule["IpProtocol"])}
    for name in ("FromPort", "ToPort"):
        if name in rule and made["IpProtocol"] != "-1":
            made[name] = number(rule[name])
    words = {"Description": rule["Description"]} if rule.get("Description") else {}
    for name, listed, inner in _RANGES:
        if name in rule:
            made[listed] = [{inner: rule[name], **words}]
    for name in _GROUPS:
        if name in rule:
            made["UserIdGroupPairs"] = [{"GroupId": rule[name], **words}]
    for name in _LISTS:
        if name in rule:
            made["PrefixListIds"] = [{"PrefixListId": rule[name], **words}]
    return made


def flat(permissions: list[dict[str, Any]]) -> Iterator[tuple[Any, ...]]:
    """Each end of each rule by itself, to be compared."""
    for one in permissions:
        ports = (one["IpProtocol"], one.get("FromPort"), one.get("ToPort"))
        for listed, key in (
            ("IpRanges", "CidrIp"),
            ("Ipv6Ranges", "CidrIpv6"),
            ("UserIdGroupPairs", "GroupId"),
            ("PrefixListIds", "PrefixListId"),
        ):
            for end in one.get(listed, []):
                yield (*ports, key, end[key], end.get("Description") or "")


def _as_rule(found: tuple[Any, ...]) -> dict[str, Any]:
    protocol, first, last, key, end, words = found
    made = {"IpProtocol": protocol, key: end}
    made |= {} if first is None else {"FromPort": first, "ToPort": last}
    return {**made, "Description": words} if words else made


class SecurityGroup(Kind):
    """AWS::EC2::SecurityGroup."""

    takes = ("GroupName", "GroupDescription", "VpcId", *_WAYS, "Tags")
    attributes = ("GroupId", "VpcId")
    gone = frozenset({"InvalidGroup.NotFound"})

    async def make(self, services: Services, said: Properties, spot: Spot) -> Known:
        named = {"VpcId": said["VpcId"]} if "VpcId" in said else {}
        made = await services(
            "ec2",
            "CreateSecurityGroup",
            GroupName=said.get("GroupName") or spot.own_name(255),
            Description=said["GroupDescription"],
            **named,
            **tags_of_kind("security-group", said),
        )
        group = made["GroupId"]
        spot.tell(group)
        await self._let(services, group, {"SecurityGroupEgress": _ALL}, said)
        return Known(group, {"GroupId": group, **named})

    async def change(
        self, services: Services, known: Known, before: Properties, after: Properties
    ) -> Known:
        filled = {"SecurityGroupEgress": _ALL, **before}
        await self._let(services, known.physical_id, filled, after)
        await retag(services, known.physical_id, before, after)
        return known

    async def _let(
        self, services: Services, group: str, before: Properties, after: Properties
    ) -> None:
        after = {"SecurityGroupEgress": _ALL, **after}
        for name, way in _WAYS.items():
            old = [permission(rule) for rule in before.get(name, [])]
            new = [permission(rule) for rule in after.get(name, [])]
            # In with the new ones first: what both allow is never refused.
            for action, some in (
                ("Authorize", [one for one in new if one not in old]),
                ("Revoke", [one for one in old if one not in new]),
            ):
                if some:
                    call = f"{action}SecurityGroup{way}"
                    await services("ec2", call, GroupId=group, IpPermissions=some)

    async def remove(self, services: Services, known: Known, said: Properties) -> None:
        call = ("ec2", "DeleteSecurityGroup", {"GroupId": known.physical_id})
        await gone_is_done(services, self.gone, *call)

    async def look(
        self, services: Services, known: Known, said: Properties
    ) -> dict[str, Any] | None:
        group = await find_group(services, known.physical_id)
        if group is None:
            return None
        seen = {
            "GroupDescription": group["Description"],
            **read_tags(said, group.get("Tags", [])),
        }
        for name, way in _WAYS.items():
            found = set(flat(group.get(_KEYS[way], [])))
            rules = said.get(name, [])
            wanted = set(flat([permission(rule) for rule in rules]))
            if found != wanted:
                rules = [_as_rule(one) for one in sorted(found, key=str)]
            seen[name] = rules
        return seen


async def find_group(services: Services, group: str) -> dict[str, Any] | None:
    """A security group; None where it is gone."""
    call = ("ec2", "DescribeSecurityGroups", {"GroupIds": [group]})
    told = await found_or_none(services, SecurityGroup.gone, *call)
    found = [] if told is None else told["SecurityGroups"]
    return found[0] if found else None


class _GroupRule(Kind):
    """A rule by itself."""

    attributes = ("Id",)
    gone = SecurityGroup.gone | {"InvalidPermission.NotFound"}
    way: ClassVar[str]

    async def make(self, services: Services, said: Properties, spot: Spot) -> Known:
        await self._call(services, "Authorize", said)
        rule = f"sgr-{spot.token[:17]}"
        return Known(rule, {"Id": rule})

    async def remove(self, services: Services, known: Known, said: Properties) -> None:
        name = f"RevokeSecurityGroup{self.way}"
        call = ("ec2", name, self._said(said))
        await gone_is_done(services, self.gone, *call)

    async def look(
        self, services: Services, known: Known, said: Properties
    ) -> dict[str, Any] | None:
        group = await find_group(services, said["GroupId"])
        found = set(flat([] if group is None else group.get(_KEYS[self.way], [])))
        return dict(said) if set(flat([permission(said)])) <= found else None

    async def _call(self, services: Services, action: str, said: Properties) -> None:
        name = f"{action}SecurityGroup{self.way}"
        await services("ec2", name, **self._said(said))

    def _said(self, said: Properties) -> dict[str, Any]:
        return {"GroupId": said["GroupId"], "IpPermissions": [permission(said)]}


_OF_RULE = (
    *("GroupId", "IpProtocol", "FromPort", "ToPort", "CidrIp", "CidrIpv6"),
    "Description",
)


class IngressRule(_GroupRule):
    """AWS::EC2::SecurityGroupIngress."""

    takes = (*_OF_RULE, "SourceSecurityGroupId", "SourcePrefixListId")
    way = "Ingress"


class EgressRule(_GroupRule):
    """AWS::EC2::SecurityGroupEgress."""

    takes = (*_OF_RULE, "DestinationSecurityGroupId", "DestinationPrefixListId")
    way = "Egress"
