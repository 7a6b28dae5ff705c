"""VPC, subnets, gateway and routes."""

from __future__ import annotations

from typing import Any

from lae_localcloud.cloudformation.calls_signed import Services
from lae_localcloud.cloudformation.evaluation import Known
from lae_localcloud.cloudformation.kinds.kind import (
    Kind,
    Properties,
    Spot,
    differs,
    found_or_none,
    gone_is_done,
    only_if,
    read_tags,
    retag,
    tags_of_kind,
    truth,
)

_DNS = ("EnableDnsSupport", "EnableDnsHostnames")


class Vpc(Kind):
    """AWS::EC2::VPC."""

    takes = ("CidrBlock", "InstanceTenancy", *_DNS, "Tags")
    attributes = ("VpcId", "CidrBlock", "DefaultSecurityGroup", "DefaultNetworkAcl")
    gone = frozenset({"InvalidVpcID.NotFound"})

    async def make(self, services: Services, said: Properties, spot: Spot) -> Known:
        more = only_if(said, "CidrBlock", "InstanceTenancy")
        made = await services("ec2", "CreateVpc", **more, **tags_of_kind("vpc", said))
        vpc = made["Vpc"]["VpcId"]
        spot.tell(vpc)
        await self._switch(services, vpc, {}, said)
        return Known(vpc, {"VpcId": vpc, **only_if(said, "CidrBlock")})

    async def change(
        self, services: Services, known: Known, before: Properties, after: Properties
    ) -> Known:
        await self._switch(services, known.physical_id, before, after)
        await retag(services, known.physical_id, before, after)
        return known

    async def _switch(
        self, services: Services, vpc: str, before: Properties, after: Properties
    ) -> None:
        for name in _DNS:
            if name in after and before.get(name) != after[name]:
                value = {name: {"Value": truth(after[name])}}
                await services("ec2", "ModifyVpcAttribute", VpcId=vpc, **value)

    async def remove(self, services: Services, known: Known, said: Properties) -> None:
        call = ("ec2", "DeleteVpc", {"VpcId": known.physical_id})
        await gone_is_done(services, self.gone, *call)

    async def look(
        self, services: Services, known: Known, said: Properties
    ) -> dict[str, Any] | None:
        call = ("ec2", "DescribeVpcs", {"VpcIds": [known.physical_id]})
        told = await found_or_none(services, self.gone, *call)
        if told is None or not told["Vpcs"]:
            return None
        (vpc,) = told["Vpcs"]
        seen = {"CidrBlock": vpc["CidrBlock"], **read_tags(said, vpc.get("Tags", []))}
        for name in _DNS:
            attribute = name[0].lower() + name[1:]
            found = await services(
                "ec2",
                "DescribeVpcAttribute",
                VpcId=known.physical_id,
                Attribute=attribute,
            )
            seen[name] = found[name]["Value"]
        return seen


class Subnet(Kind):
    """AWS::EC2::Subnet."""

    takes = (
        *("VpcId", "CidrBlock", "AvailabilityZone", "MapPublicIpOnLaunch", "Tags"),
    )
    attributes = ("SubnetId", "AvailabilityZone", "VpcId", "CidrBlock")
    gone = frozenset({"InvalidSubnetID.NotFound"})

    async def make(self, services: Services, said: Properties, spot: Spot) -> Known:
        more = only_if(said, "VpcId", "CidrBlock", "AvailabilityZone")
        tags = tags_of_kind("subnet", said)
        made = (await services("ec2", "CreateSubnet", **more, **tags))["Subnet"]
        subnet = made["SubnetId"]
        spot.tell(subnet)
        await self._switch(services, subnet, {}, said)
        known = only_if(made, "AvailabilityZone", "VpcId", "CidrBlock")
        return Known(subnet, {"SubnetId": subnet, **known})

    async def change(
        self, services: Services, known: Known, before: Properties, after: Properties
    ) -> Known:
        await self._switch(services, known.physical_id, before, after)
        await retag(services, known.physical_id, before, after)
        return known

    async def _switch(
        self, services: Services, subnet: str, before: Properties, after: Properties
    ) -> None:
        if differs(before, after, "MapPublicIpOnLaunch"):
            value = {"Value": truth(after.get("MapPublicIpOnLaunch", False))}
            await services(
                "ec2",
                "ModifySubnetAttribute",
                SubnetId=subnet,
                MapPublicIpOnLaunch=value,
            )

    async def remove(self, services: Services, known: Known, said: Properties) -> None:
        call = ("ec2", "DeleteSubnet", {"SubnetId": known.physical_id})
        await gone_is_done(services, self.gone, *call)

    async def look(
        self, services: Services, known: Known, said: Properties
    ) -> dict[str, Any] | None:
        call = ("ec2", "DescribeSubnets", {"SubnetIds": [known.physical_id]})
        told = await found_or_none(services, self.gone, *call)
        if told is None or not told["Subnets"]:
            return None
        (subnet,) = told["Subnets"]
        names = ("CidrBlock", "AvailabilityZone", "VpcId", "MapPublicIpOnLaunch")
        return {**only_if(subnet, *names), **read_tags(said, subnet.get("Tags", []))}


class InternetGateway(Kind):
    """AWS::EC2::InternetGateway."""

    takes = ("Tags",)
    attributes = ("InternetGatewayId",)
    gone = frozenset({"InvalidInternetGatewayID.NotFound"})

    async def make(self, services: Services, said: Properties, spot: Spot) -> Known:
        tags = tags_of_kind("internet-gateway", said)
        made = await services("ec2", "CreateInternetGateway", **tags)
        gateway = made["InternetGateway"]["InternetGatewayId"]
        return Known(gateway, {"InternetGatewayId": gateway})

    async def change(
        self, services: Services, known: Known, before: Properties, after: Properties
    ) -> Known:
        await retag(services, known.physical_id, before, after)
        return known

    async def remove(self, services: Services, known: Known, said: Properties) -> None:
        named = {"InternetGatewayId": known.physical_id}
        call = ("ec2", "DeleteInternetGateway", named)
        await gone_is_done(services, self.gone, *call)

    async def look(
        self, services: Services, known: Known, said: Properties
    ) -> dict[str, Any] | None:
        named = {"InternetGatewayIds": [known.physical_id]}
        call = ("ec2", "DescribeInternetGateways", named)
        told = await found_or_none(services, self.gone, *call)
        if told is None or not told["InternetGateways"]:
            return None
        return read_tags(said, told["InternetGateways"][0].get("Tags", []))


class GatewayAttachment(Kind):
    """AWS::EC2::VPCGatewayAttachment."""

    takes = ("VpcId", "InternetGatewayId")
    gone = InternetGateway.gone | Vpc.gone | {"Gateway.NotAttached"}

    async def make(self, services: Services, said: Properties, spot: Spot) -> Known:
        await services("ec2", "AttachInternetGateway", **self._named(said))
        return Known(f"IGW|{said['VpcId']}")

    async def change(
        self, services: Services, known: Known, before: Properties, after: Properties
    ) -> Known:
        await services("ec2", "DetachInternetGateway", **self._named(before))
        await services("ec2", "AttachInternetGateway", **self._named(after))
        return known

    async def remove(self, services: Services, known: Known, said: Properties) -> None:
        call = ("ec2", "DetachInternetGateway", self._named(said))
        await gone_is_done(services, self.gone, *call)

    async def look(
        self, services: Services, known: Known, said: Properties
    ) -> dict[str, Any] | None:
        named = {"InternetGatewayIds": [said["InternetGatewayId"]]}
        call = ("ec2", "DescribeInternetGateways", named)
        told = await found_or_none(services, self.gone, *call)
        gateways = [] if told is None else told["InternetGateways"]
        attached = {a["VpcId"] for g in gateways for a in g.get("Attachments", [])}
        return {"VpcId": said["VpcId"]} if said["VpcId"] in attached else None

    def _named(self, said: Properties) -> dict[str, Any]:
        return only_if(said, "InternetGatewayId", "VpcId")


class RouteTable(Kind):
    """AWS::EC2::RouteTable."""

    takes = ("VpcId", "Tags")
    attributes = ("RouteTableId",)
    gone = frozenset({"InvalidRouteTableID.NotFound"})

    async def make(self, services: Services, said: Properties, spot: Spot) -> Known:
        tags = tags_of_kind("route-table", said)
        made = await services("ec2", "CreateRouteTable", VpcId=said["VpcId"], **tags)
        table = made["RouteTable"]["RouteTableId"]
        return Known(table, {"RouteTableId": table})

    async def change(
        self, services: Services, known: Known, before: Properties, after: Properties
    ) -> Known:
        await retag(services, known.physical_id, before, after)
        return known

    async def remove(self, services: Services, known: Known, said: Properties) -> None:
        call = ("ec2", "DeleteRouteTable", {"RouteTableId": known.physical_id})
        await gone_is_done(services, self.gone, *call)

    async def look(
        self, services: Services, known: Known, said: Properties
    ) -> dict[str, Any] | None:
        table = await find_table(services, known.physical_id)
        if table is None:
            return None
        return {"VpcId": table["VpcId"], **read_tags(said, table.get("Tags", []))}


async def find_table(services: Services, table: str) -> dict[str, Any] | None:
    """A route table; None where it is gone."""
    call = ("ec2", "DescribeRouteTables", {"RouteTableIds": [table]})
    told = await found_or_none(services, RouteTable.gone, *call)
    found = [] if told is None else told["RouteTables"]
    return found[0] if found else None


_TARGETS = ("GatewayId", "InstanceId", "NatGatewayId", "NetworkInterfaceId")
_TO = ("RouteTableId", "DestinationCidrBlock", "DestinationIpv6CidrBlock")


class Route(Kind):
    """AWS::EC2::Route."""

    takes = (*_TO, *_TARGETS)
    attributes = ("CidrBlock",)
    gone = RouteTable.gone | {"InvalidRoute.NotFound"}

    async def make(self, services: Services, said: Properties, spot: Spot) -> Known:
        await services("ec2", "CreateRoute", **only_if(said, *_TO, *_TARGETS))
        to = said.get("DestinationCidrBlock") or said["DestinationIpv6CidrBlock"]
        return Known(f"{said['RouteTableId']}|{to}", {"CidrBlock": to})

    async def change(
        self, services: Services, known: Known, before: Properties, after: Properties
    ) -> Known:
        await services("ec2", "ReplaceRoute", **only_if(after, *_TO, *_TARGETS))
        return known

    async def remove(self, services: Services, known: Known, said: Properties) -> None:
        call = ("ec2", "DeleteRoute", only_if(said, *_TO))
        await gone_is_done(services, self.gone, *call)

    async def look(
        self, services: Services, known: Known, said: Properties
    ) -> dict[str, Any] | None:
        table = await find_table(services, said["RouteTableId"])
        for route in [] if table is None else table["Routes"]:
            to = route.get(
                "DestinationCidrBlock", route.get("DestinationIpv6CidrBlock")
            )
            if to == known.attributes["CidrBlock"]:
                return only_if(route, *_TARGETS)
        return None


class TableAssociation(Kind):
    """AWS::EC2::SubnetRouteTableAssociation."""

    takes = ("SubnetId", "RouteTableId")
    attributes = ("Id",)
    gone = frozenset({"InvalidAssociationID.NotFound"})

    async def make(self, services: Services, said: Properties, spot: Spot) -> Known:
        named = only_if(said, "SubnetId", "RouteTableId")
        made = await services("ec2", "AssociateRouteTable", **named)
        return Known(made["AssociationId"], {"Id": made["AssociationId"]})

    async def remove(self, services: Services, known: Known, said: Properties) -> None:
        named = {"AssociationId": known.physical_id}
        call = ("ec2", "DisassociateRouteTable", named)
        await gone_is_done(services, self.gone, *call)

    async def look(
        self, services: Services, known: Known, said: Properties
    ) -> dict[str, Any] | None:
        table = await find_table(services, said["RouteTableId"])
        there = [] if table is None else table.get("Associations", [])
        ids = {one["RouteTableAssociationId"]: one for one in there}
        found = ids.get(known.physical_id)
        return None if found is None else only_if(found, "SubnetId", "RouteTableId")
