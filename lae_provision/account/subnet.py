"""The subnet of customers' hosts.  Clients reach a host, and a host reaches S3, only by
a public address and a route through an internet gateway.  Nothing is made here.
"""

from __future__ import annotations

from ipaddress import IPv4Network
from xml.etree.ElementTree import Element

from attrs import define

from lae_provision.account.api import AccountApi
from lae_provision.account.difference import Difference
from lae_provision.aws.channel import none_on

NETWORK = "network"
#: How many addresses AWS reserves in every subnet.
RESERVED = 5
ANYWHERE = "0.0.0.0/0"
_NO_SUBNET = frozenset({"InvalidSubnetID.NotFound", "InvalidSubnetID.Malformed"})
_TARGETS = (
    *("gatewayId", "natGatewayId", "instanceId", "transitGatewayId"),
    *("networkInterfaceId", "vpcPeeringConnectionId", "carrierGatewayId"),
)


@define(frozen=True)
class WayOut:
    """The way out of a subnet: the *table* that counts for it, and in there the target
    for everywhere; None if there is none.
    """

    table: str
    target: str | None = None
    active: bool = True

    @property
    def leads_out_and_in(self) -> bool:
        """Whether it is an internet gateway: a NAT gateway lets nobody in."""
        return self.active and (self.target or "").startswith("igw-")


@define(frozen=True)
class Subnet:
    """The subnet that hosts are launched into; *public*: it gives public addresses to
    what is launched, and a launch of ours asks for no other.
    """

    vpc_id: str
    zone: str
    public: bool
    addresses: int
    route: WayOut


def find_differences(
    subnet_id: str, zone: str, region: str, seen: Subnet | None
) -> tuple[Difference, ...]:
    """Find what a person must change about the subnet.  Pure."""
    made: list[Difference] = []

    def differs(found: str, want: str, remedy: str) -> None:
        made.append(Difference(NETWORK, subnet_id, found, want, None, remedy))

    if seen is None:
        differs(
            f"no such subnet in {region}",
            "there",
            "correct cells.subnet_id or aws.region; or make one: aws ec2 create-subnet",
        )
        return tuple(made)
    if seen.zone != zone:
        remedy = "correct cells.zone or cells.subnet_id"
        differs(f"in {seen.zone}", f"in {zone}", remedy)
    if not seen.public:
        differs(
            "without public addresses",
            "with them",
            f"aws ec2 modify-subnet-attribute --subnet-id {subnet_id}"
            " --map-public-ip-on-launch",
        )
    if not seen.route.leads_out_and_in:
        verb = "create" if seen.route.target is None else "replace"
        differs(
            _describe_route(seen.route),
            "a route out through an internet gateway",
            f"aws ec2 {verb}-route --route-table-id {seen.route.table}"
            f" --destination-cidr-block {ANYWHERE} --gateway-id IGW, where IGW is an"
            f" internet gateway that is attached to {seen.vpc_id}",
        )
    return tuple(made)


def _describe_route(route: WayOut) -> str:
    if route.target is None:
        return "no route out"
    state = "" if route.active else ", which is gone"
    return f"the route out is {route.target}{state}"


@define(frozen=True)
class Subnets:
    """Finds the subnet."""

    api: AccountApi

    async def find(self, subnet_id: str) -> Subnet | None:
        """Find the subnet; None if the region has none with that id."""
        told = await none_on(
            _NO_SUBNET,
            self.api.query("ec2", "DescribeSubnets", SubnetId=[subnet_id]),
        )
        item = None if told is None else told.find("subnetSet/item")
        if item is None:
            return None
        block = IPv4Network(item.findtext("cidrBlock") or "0.0.0.0/32")
        vpc_id = item.findtext("vpcId") or ""
        return Subnet(
            vpc_id,
            item.findtext("availabilityZone") or "",
            item.findtext("mapPublicIpOnLaunch") == "true",
            max(block.num_addresses - RESERVED, 0),
            await self._route(subnet_id, vpc_id),
        )

    async def _route(self, subnet_id: str, vpc_id: str) -> WayOut:
        """Find the way out in the subnet's own route table, else in the VPC's main
        one.
        """
        for filters in (
            {"association.subnet-id": subnet_id},
            {"vpc-id": vpc_id, "association.main": "true"},
        ):
            listed = [{"Name": n, "Value": [v]} for n, v in filters.items()]
            told = await self.api.query("ec2", "DescribeRouteTables", Filter=listed)
            table = told.find("routeTableSet/item")
            if table is not None:
                return way_out(table)
        return WayOut("of the VPC")


def way_out(table: Element) -> WayOut:
    """Read where a route table sends what is for everywhere.  Pure."""
    name = table.findtext("routeTableId") or ""
    for item in table.findall("routeSet/item"):
        if item.findtext("destinationCidrBlock") == ANYWHERE:
            targets = (item.findtext(tag) for tag in _TARGETS)
            target = next(filter(None, targets), "unknown")
            return WayOut(name, target, active=item.findtext("state") != "blackhole")
    return WayOut(name)
