"""The security group of customers' hosts: only the grid's ports are open."""

from __future__ import annotations

from xml.etree.ElementTree import Element

from attrs import define

from lae_provision.account.api import AccountApi
from lae_provision.account.difference import Difference, missing, tags_of
from lae_provision.aws.channel import none_on

THING = "security group"
EVERYWHERE = ("0.0.0.0/0", "::/0")
_DUPLICATE = frozenset({"InvalidGroup.Duplicate", "InvalidPermission.Duplicate"})
_MISSING = frozenset({"InvalidGroup.NotFound"})

#: Protocol, first and last port, source.
Rule = tuple[str, int, int, str]


@define(frozen=True)
class SecurityGroup:
    """The wanted group: its members accept TCP on *spans* (first and last port) from
    everywhere, and nothing else.  *configured*: the ids in the settings.
    """

    name: str
    spans: tuple[tuple[int, int], ...]
    configured: tuple[str, ...]
    deployment: str

    @property
    def rules(self) -> frozenset[Rule]:
        """The wanted rules."""
        return frozenset(
            ("tcp", first, last, source)
            for first, last in self.spans
            for source in EVERYWHERE
        )


@define(frozen=True)
class Group:
    """A group that exists."""

    group_id: str
    name: str
    rules: frozenset[Rule]


@define(frozen=True)
class GroupsSeen:
    """The groups of the network that are configured, or of our name."""

    groups: tuple[Group, ...] = ()


def find_differences(wanted: SecurityGroup, seen: GroupsSeen) -> tuple[Difference, ...]:
    """Find what differs, in the order in which it is changed.  Pure."""
    ours = next((g for g in seen.groups if g.name == wanted.name), None)
    used = [g for g in seen.groups if g.group_id in wanted.configured]
    made: list[Difference] = []
    if ours is None and not used:
        made.append(missing(THING, wanted.name, f"made, open for {_words(wanted)}"))
    there = {g.group_id for g in used}
    made += [
        Difference(THING, group_id, "missing", "there", None, _named(wanted, ours))
        for group_id in wanted.configured
        if group_id not in there
    ]
    if not wanted.configured:
        found, want = "not in the settings", "named by cells.security_groups"
        remedy = _named(wanted, ours)
        made.append(Difference(THING, wanted.name, found, want, None, remedy))
    judged = used or [g for g in seen.groups if g is ours]
    return (*made, *_of_rules(wanted, judged))


def _of_rules(wanted: SecurityGroup, groups: list[Group]) -> list[Difference]:
    """Compare the rules; a port is open if any of a host's groups opens it."""
    if not groups:
        return []
    made = []
    there = frozenset(rule for group in groups for rule in group.rules)
    if wanted.rules - there:
        target = target_of(wanted, GroupsSeen(tuple(groups)))
        lacking = tuple(f"not open: {_said(r)}" for r in sorted(wanted.rules - there))
        want = f"open for {_words(wanted)}"
        name = target.group_id if target else wanted.name
        made.append(
            Difference(THING, name, "some ports are closed", want, "open", more=lacking)
        )
    for group in groups:
        for rule in sorted(group.rules - wanted.rules):
            protocol, first, last, source = rule
            remedy = (
                "aws ec2 revoke-security-group-ingress --group-id"
                f" {group.group_id} --protocol {protocol} --port {first}-{last}"
                f" --cidr {source}, unless you need that rule"
            )
            found, want = f"also open for {_said(rule)}", "the grid's ports alone"
            made.append(Difference(THING, group.group_id, found, want, None, remedy))
    return made


def target_of(wanted: SecurityGroup, seen: GroupsSeen) -> Group | None:
    """Choose the group to open: ours if it exists, else the first used one.  Pure."""
    ours = [g for g in seen.groups if g.name == wanted.name]
    used = [g for g in seen.groups if g.group_id in wanted.configured]
    return next(iter([*(g for g in ours if g in used or not used), *used]), None)


def _named(wanted: SecurityGroup, ours: Group | None) -> str:
    which = ours.group_id if ours else f"the id of {wanted.name}, once it is made"
    return f"put it into cells.security_groups: [{which}]"


def _words(wanted: SecurityGroup) -> str:
    return ", ".join(f"{f}" if f == t else f"{f}-{t}" for f, t in wanted.spans)


def _said(rule: Rule) -> str:
    protocol, first, last, source = rule
    protocol = "all protocols" if protocol == "-1" else protocol
    ports = str(first) if first == last else f"{first}-{last}"
    return f"{protocol} {ports} from {source}"


@define(frozen=True)
class SecurityGroups:
    """Finds the configured groups, and makes ours."""

    api: AccountApi
    wanted: SecurityGroup

    async def find(self, vpc_id: str) -> GroupsSeen:
        """Find the groups of the network."""
        wanted = self.wanted
        found = await self._look("group-name", [wanted.name], vpc_id)
        if wanted.configured:
            found += await self._look("group-id", list(wanted.configured), vpc_id)
        return GroupsSeen(tuple({g.group_id: g for g in found}.values()))

    async def make(self, step: str, seen: GroupsSeen, vpc_id: str) -> None:
        """Do one step of :func:`find_differences`; safe to repeat."""
        if step == "create":
            await none_on(_DUPLICATE, self._create(vpc_id))
            return
        target = target_of(self.wanted, seen)
        assert target is not None
        there = frozenset(rule for group in seen.groups for rule in group.rules)
        await none_on(
            _DUPLICATE,
            self.api.query(
                "ec2",
                "AuthorizeSecurityGroupIngress",
                GroupId=target.group_id,
                IpPermissions=[
                    _permission(r) for r in sorted(self.wanted.rules - there)
                ],
            ),
        )

    async def _look(self, by: str, values: list[str], vpc_id: str) -> list[Group]:
        filters = [
            {"Name": by, "Value": values},
            {"Name": "vpc-id", "Value": [vpc_id]},
        ]
        told = await self.api.query("ec2", "DescribeSecurityGroups", Filter=filters)
        return [
            Group(
                item.findtext("groupId") or "",
                item.findtext("groupName") or "",
                rules_in(item),
            )
            for item in told.findall("securityGroupInfo/item")
        ]

    async def _create(self, vpc_id: str) -> None:
        """Make the group and open it; a later call opens what a crash left closed."""
        wanted = self.wanted
        tags = tags_of(wanted.deployment, "hosts").items()
        kind = "security-group"
        made = await self.api.query(
            "ec2",
            "CreateSecurityGroup",
            GroupName=wanted.name,
            GroupDescription="S4: introducer and storage of the hosts of customers",
            VpcId=vpc_id,
            TagSpecification=[
                {
                    "ResourceType": kind,
                    "Tag": [{"Key": k, "Value": v} for k, v in tags],
                }
            ],
        )
        await self.api.channel.retry_while_missing(
            _MISSING,
            lambda: none_on(
                _DUPLICATE,
                self.api.query(
                    "ec2",
                    "AuthorizeSecurityGroupIngress",
                    GroupId=made.findtext("groupId") or "",
                    IpPermissions=[_permission(r) for r in sorted(wanted.rules)],
                ),
            ),
        )


def rules_in(group: Element) -> frozenset[Rule]:
    """Read a group's rules, one per source; other groups and prefix lists are sources
    too.
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
