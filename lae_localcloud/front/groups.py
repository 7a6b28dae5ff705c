"""What an instance's security groups let in and out, as moto knows them."""

from __future__ import annotations

from typing import Any, Literal

from attrs import define

ALL = "-1"
ANYWHERE = "0.0.0.0/0"


@define(frozen=True)
class Allowed:
    """One rule of a security group.  *protocol* is a name or :data:`ALL`; *first* and
    *last* are ports of TCP and UDP; *network* is who is at the other end.
    """

    way: Literal["in", "out"]
    protocol: str
    first: int
    last: int
    network: str


def allowed_by(ec2: Any, instance: Any) -> tuple[Allowed, ...]:
    """All that the instance's groups allow; a group as the other end is its members.

    Called in moto's thread.
    """
    found = set()
    for group in _groups(instance):
        for way, listed in (("in", group.ingress_rules), ("out", group.egress_rules)):
            for rule in listed:
                first, last = rule.from_port or 0, rule.to_port or 0
                for network in _networks(ec2, rule):
                    allowed = Allowed(
                        "in" if way == "in" else "out",
                        rule.ip_protocol or ALL,
                        first,
                        last,
                        network,
                    )
                    found.add(allowed)
    return tuple(sorted(found, key=repr))


def _networks(ec2: Any, rule: Any) -> list[str]:
    if rule.cidr_ipv4 is not None:
        return [str(rule.cidr_ipv4)]
    named = (rule.source_group or {}).get("GroupId")
    return [
        f"{other.private_ip}/32"
        for other in ec2.all_instances()
        if named is not None and any(g.id == named for g in _groups(other))
    ]


def _groups(instance: Any) -> list[Any]:
    return list(instance.nics[0].group_set)
