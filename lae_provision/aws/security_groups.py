"""The security group of customers' hosts: made, and checked, by us."""

from __future__ import annotations

from xml.etree.ElementTree import Element

from attrs import define
from twisted.internet.defer import Deferred

from lae_provision.aws.channel import Channel, unless
from lae_provision.doors import Tags
from lae_provision.errors import Refused, TryLater

DUPLICATE = frozenset({"InvalidGroup.Duplicate", "InvalidPermission.Duplicate"})
EVERYWHERE = ("0.0.0.0/0", "::/0")

Rule = tuple[str, int, int, str]


@define(frozen=True)
class GroupRequest:
    """A group of *name* in *vpc_id* whose members are reached over TCP on *ports* from
    everywhere, and on nothing else.
    """

    name: str
    vpc_id: str
    ports: tuple[int, ...]
    tags: Tags


@define(frozen=True)
class SecurityGroups:
    """Makes a group once, and says when somebody has changed it."""

    channel: Channel

    def make(self, request: GroupRequest) -> Deferred[str]:
        """The group's id, once its rules are exactly the request's.

        Refused where it lets in more than it should: an operator must look.
        """
        return Deferred.fromCoroutine(self._make(request))

    async def _make(self, request: GroupRequest) -> str:
        group = await self._find(request)
        if group is None:
            await unless(DUPLICATE, self._create(request))
            group = await self._find(request)
        if group is None:
            raise TryLater("InvalidGroup.NotFound", "made, and not visible yet")
        group_id = group.findtext("groupId") or ""
        wanted = wanted_rules(request)
        there = rules_in(group)
        if there - wanted:
            raise Refused("GroupChanged", f"{request.name} also has {there - wanted}")
        if wanted - there:
            await unless(DUPLICATE, self._authorize(group_id, wanted - there))
            read = await self._find(request)
            if read is None or rules_in(read) != wanted:
                raise TryLater("GroupNotReady", f"{request.name} lacks rules yet")
        return group_id

    async def _find(self, request: GroupRequest) -> Element | None:
        answer = await self.channel.query(
            "ec2",
            "DescribeSecurityGroups",
            {
                "Filter": [
                    {"Name": "group-name", "Value": [request.name]},
                    {"Name": "vpc-id", "Value": [request.vpc_id]},
                ]
            },
        )
        return answer.find("securityGroupInfo/item")

    async def _create(self, request: GroupRequest) -> Element:
        tags = [{"Key": key, "Value": value} for key, value in request.tags]
        return await self.channel.query(
            "ec2",
            "CreateSecurityGroup",
            {
                "GroupName": request.name,
                "GroupDescription": "S4: introducer and storage of customers' hosts",
                "VpcId": request.vpc_id,
                "TagSpecification": [{"ResourceType": "security-group", "Tag": tags}],
            },
        )

    async def _authorize(self, group_id: str, rules: frozenset[Rule]) -> Element:
        return await self.channel.query(
            "ec2",
            "AuthorizeSecurityGroupIngress",
            {
                "GroupId": group_id,
                "IpPermissions": [_permission(r) for r in sorted(rules)],
            },
        )


def wanted_rules(request: GroupRequest) -> frozenset[Rule]:
    """What the request lets in."""
    return frozenset(
        ("tcp", port, port, source) for port in request.ports for source in EVERYWHERE
    )


def rules_in(group: Element) -> frozenset[Rule]:
    """What a group lets in, each source its own rule; other groups and prefix lists
    count as sources too.
    """
    found: set[Rule] = set()
    for item in group.findall("ipPermissions/item"):
        first = int(item.findtext("fromPort") or -1)
        last = int(item.findtext("toPort") or -1)
        for tag in (
            "ipRanges/item/cidrIp",
            "ipv6Ranges/item/cidrIpv6",
            "groups/item/groupId",
            "prefixListIds/item/prefixListId",
        ):
            for source in item.findall(tag):
                protocol = item.findtext("ipProtocol") or ""
                found.add((protocol, first, last, source.text or ""))
    return frozenset(found)


def _permission(rule: Rule) -> dict[str, object]:
    protocol, first, last, source = rule
    ranges: dict[str, object] = (
        {"Ipv6Ranges": [{"CidrIpv6": source}]}
        if ":" in source
        else {"IpRanges": [{"CidrIp": source}]}
    )
    return {"IpProtocol": protocol, "FromPort": first, "ToPort": last, **ranges}
