"""Route 53: zones and records."""

from __future__ import annotations

from typing import Any

from lae_localcloud.cloudformation.calls_signed import ServiceRefused, Services
from lae_localcloud.cloudformation.evaluation import Known
from lae_localcloud.cloudformation.kinds.kind import (
    Kind,
    Properties,
    Spot,
    differs,
    found_or_none,
    number,
    tags_to_change,
    wait_until,
)

_GONE = frozenset({"NoSuchHostedZone"})


def _bare(zone: str) -> str:
    return zone.rpartition("/")[2]


class HostedZone(Kind):
    """AWS::Route53::HostedZone."""

    takes = ("Name", "HostedZoneConfig", "HostedZoneTags")
    attributes = ("Id", "NameServers")
    gone = _GONE

    async def make(self, services: Services, said: Properties, spot: Spot) -> Known:
        comment = said.get("HostedZoneConfig", {}).get("Comment")
        more = {} if comment is None else {"HostedZoneConfig": {"Comment": comment}}
        made = await services(
            "route53",
            "CreateHostedZone",
            Name=said["Name"],
            CallerReference=spot.token,
            **more,
        )
        zone = _bare(made["HostedZone"]["Id"])
        spot.tell(zone)
        await self._retag(services, zone, {}, said)
        servers = made.get("DelegationSet", {}).get("NameServers", [])
        return Known(zone, {"Id": zone, "NameServers": servers})

    async def change(
        self, services: Services, known: Known, before: Properties, after: Properties
    ) -> Known:
        if differs(before, after, "HostedZoneConfig"):
            comment = after.get("HostedZoneConfig", {}).get("Comment", "")
            named = {"Id": known.physical_id, "Comment": comment}
            await services("route53", "UpdateHostedZoneComment", **named)
        await self._retag(services, known.physical_id, before, after)
        return known

    async def _retag(
        self, services: Services, zone: str, before: Properties, after: Properties
    ) -> None:
        gone, new = tags_to_change(before, after, "HostedZoneTags")
        if gone or new:
            await services(
                "route53",
                "ChangeTagsForResource",
                ResourceType="hostedzone",
                ResourceId=zone,
                **({"AddTags": new} if new else {}),
                **({"RemoveTagKeys": gone} if gone else {}),
            )

    async def remove(self, services: Services, known: Known, said: Properties) -> None:
        try:
            await services("route53", "DeleteHostedZone", Id=known.physical_id)
        except ServiceRefused as e:
            if e.code not in _GONE:
                raise

    async def look(
        self, services: Services, known: Known, said: Properties
    ) -> dict[str, Any] | None:
        named = {"Id": known.physical_id}
        told = await found_or_none(services, _GONE, "route53", "GetHostedZone", named)
        if told is None:
            return None
        dotted = said["Name"].endswith(".")
        name = told["HostedZone"]["Name"].rstrip(".")
        return {"Name": name + "." if dotted else name}


def _record(said: Properties) -> dict[str, Any]:
    made: dict[str, Any] = {"Name": said["Name"], "Type": said["Type"]}
    if "AliasTarget" in said:
        alias = {"EvaluateTargetHealth": False, **said["AliasTarget"]}
        return {**made, "AliasTarget": alias}
    values = [{"Value": value} for value in said["ResourceRecords"]]
    return {**made, "TTL": number(said["TTL"]), "ResourceRecords": values}


class RecordSet(Kind):
    """AWS::Route53::RecordSet: there once all name servers have it."""

    takes = (
        *("HostedZoneId", "HostedZoneName", "Name", "Type", "TTL"),
        *("ResourceRecords", "AliasTarget"),
    )
    gone = _GONE

    async def make(self, services: Services, said: Properties, spot: Spot) -> Known:
        if "TTL" not in said and "AliasTarget" not in said:
            raise ServiceRefused(
                "route53", "InvalidInput", "Invalid request: a record needs a TTL"
            )
        zone = await self._zone(services, said)
        if await self._find(services, zone, said) is not None:
            # moto would take it.
            raise ServiceRefused(
                "route53",
                "InvalidChangeBatch",
                "[Tried to create resource record set"
                f" [name='{said['Name']}', type='{said['Type']}'] but it already"
                " exists]",
            )
        # moto refuses to create what was there once, if any record follows its name.
        await self._do(services, zone, "UPSERT", said)
        return Known(said["Name"])

    async def change(
        self, services: Services, known: Known, before: Properties, after: Properties
    ) -> Known:
        zone = await self._zone(services, after)
        await self._do(services, zone, "UPSERT", after)
        renamed = [before[k] for k in ("Name", "Type")] != [
            after[k] for k in ("Name", "Type")
        ]
        if renamed:
            await self._do(services, zone, "DELETE", before)
        return Known(after["Name"])

    async def remove(self, services: Services, known: Known, said: Properties) -> None:
        try:
            zone = await self._zone(services, said)
            held = await self._find(services, zone, said)
        except ServiceRefused as e:
            if e.code not in _GONE:
                raise
            return
        if held is not None:
            await self._do(services, zone, "DELETE", said)

    async def look(
        self, services: Services, known: Known, said: Properties
    ) -> dict[str, Any] | None:
        zone = await self._zone(services, said)
        held = await self._find(services, zone, said)
        if held is None:
            return None
        values = [one["Value"] for one in held.get("ResourceRecords", [])]
        wanted = said.get("ResourceRecords", [])
        as_written = sorted(values) == sorted(wanted)
        return {
            "ResourceRecords": wanted if as_written else values,
            "TTL": str(held.get("TTL", "")),
        }

    async def _zone(self, services: Services, said: Properties) -> str:
        if "HostedZoneId" in said:
            return _bare(str(said["HostedZoneId"]))
        name = str(said["HostedZoneName"])
        told = await services("route53", "ListHostedZonesByName", DNSName=name)
        for zone in told["HostedZones"]:
            if zone["Name"].rstrip(".") == name.rstrip("."):
                return _bare(zone["Id"])
        raise ServiceRefused(
            "route53", "NoSuchHostedZone", f"No hosted zone named {name} found", 404
        )

    async def _find(
        self, services: Services, zone: str, said: Properties
    ) -> dict[str, Any] | None:
        told = await services(
            "route53",
            "ListResourceRecordSets",
            HostedZoneId=zone,
            StartRecordName=said["Name"],
            StartRecordType=said["Type"],
        )
        name = said["Name"].rstrip(".").lower()
        for record in told["ResourceRecordSets"]:
            held = record["Name"].replace("\\052", "*").rstrip(".").lower()
            if (held, record["Type"]) == (name, said["Type"]):
                found: dict[str, Any] = record
                return found
        return None

    async def _do(
        self, services: Services, zone: str, action: str, said: Properties
    ) -> None:
        batch = {"Changes": [{"Action": action, "ResourceRecordSet": _record(said)}]}
        told = await services(
            "route53", "ChangeResourceRecordSets", HostedZoneId=zone, ChangeBatch=batch
        )
        change = _bare(told["ChangeInfo"]["Id"])

        async def served() -> bool:
            found = await services("route53", "GetChange", Id=change)
            return bool(found["ChangeInfo"]["Status"] == "INSYNC")

        await wait_until(services, f"record {said['Name']}", served)
