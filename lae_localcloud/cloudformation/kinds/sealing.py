"""KMS: keys and their aliases."""

from __future__ import annotations

import json
from typing import Any

from lae_localcloud.cloudformation.calls_signed import (
    NOT_UPDATABLE,
    ServiceRefused,
    Services,
    as_json,
)
from lae_localcloud.cloudformation.evaluation import Known
from lae_localcloud.cloudformation.kinds.kind import (
    Kind,
    Properties,
    Spot,
    differs,
    found_or_none,
    gone_is_done,
    number,
    only_if,
    truth,
)

_GONE = frozenset({"NotFoundException"})
_DAYS = 30
_FIXED = ("KeySpec", "KeyUsage", "Origin", "MultiRegion")


class KmsKey(Kind):
    """AWS::KMS::Key."""

    takes = (
        *("Description", "KeyUsage", "KeySpec", "Origin", "KeyPolicy", "Enabled"),
        *("EnableKeyRotation", "PendingWindowInDays", "Tags"),
    )
    attributes = ("Arn", "KeyId")
    gone = _GONE

    async def make(self, services: Services, said: Properties, spot: Spot) -> Known:
        tags = [
            {"TagKey": t["Key"], "TagValue": t["Value"]} for t in said.get("Tags", [])
        ]
        more = only_if(said, "Description", "KeyUsage", "KeySpec", "Origin")
        if "KeyPolicy" in said:
            more["Policy"] = as_json(said["KeyPolicy"])
        made = await services(
            "kms", "CreateKey", **more, **({"Tags": tags} if tags else {})
        )
        key = made["KeyMetadata"]["KeyId"]
        spot.tell(key)
        if truth(said.get("EnableKeyRotation", False)):
            await services("kms", "EnableKeyRotation", KeyId=key)
        if not truth(said.get("Enabled", True)):
            await services("kms", "DisableKey", KeyId=key)
        return Known(key, {"Arn": made["KeyMetadata"]["Arn"], "KeyId": key})

    async def change(
        self, services: Services, known: Known, before: Properties, after: Properties
    ) -> Known:
        key = known.physical_id
        if differs(before, after, *_FIXED):
            raise ServiceRefused(
                "kms",
                NOT_UPDATABLE,
                f"Properties [{', '.join(_FIXED)}] of a key cannot be updated",
            )
        if differs(before, after, "Description"):
            words = after.get("Description", "")
            await services("kms", "UpdateKeyDescription", KeyId=key, Description=words)
        if differs(before, after, "KeyPolicy"):
            document = as_json(after["KeyPolicy"])
            await services(
                "kms", "PutKeyPolicy", KeyId=key, PolicyName="default", Policy=document
            )
        for name, on, off in (
            ("EnableKeyRotation", "EnableKeyRotation", "DisableKeyRotation"),
            ("Enabled", "EnableKey", "DisableKey"),
        ):
            if differs(before, after, name):
                wanted = truth(after.get(name, name == "Enabled"))
                await services("kms", on if wanted else off, KeyId=key)
        await self._retag(services, key, before, after)
        return known

    async def _retag(
        self, services: Services, key: str, before: Properties, after: Properties
    ) -> None:
        new = {t["Key"]: t["Value"] for t in after.get("Tags", [])}
        old = {t["Key"]: t["Value"] for t in before.get("Tags", [])}
        if gone := sorted(old.keys() - new.keys()):
            await services("kms", "UntagResource", KeyId=key, TagKeys=gone)
        if new != old and new:
            tags = [{"TagKey": k, "TagValue": v} for k, v in new.items()]
            await services("kms", "TagResource", KeyId=key, Tags=tags)

    async def remove(self, services: Services, known: Known, said: Properties) -> None:
        days = number(said.get("PendingWindowInDays", _DAYS))
        call = {"KeyId": known.physical_id, "PendingWindowInDays": days}
        gone = _GONE | {"KMSInvalidStateException"}
        await gone_is_done(services, gone, "kms", "ScheduleKeyDeletion", call)

    async def look(
        self, services: Services, known: Known, said: Properties
    ) -> dict[str, Any] | None:
        named = {"KeyId": known.physical_id}
        told = await found_or_none(services, _GONE, "kms", "DescribeKey", named)
        if told is None or told["KeyMetadata"]["KeyState"] == "PendingDeletion":
            return None
        key = told["KeyMetadata"]
        seen = {"Enabled": key["Enabled"], **only_if(key, "Description", "KeyUsage")}
        if "KeySpec" in key:
            seen["KeySpec"] = key["KeySpec"]
        if "EnableKeyRotation" in said:
            told = await services("kms", "GetKeyRotationStatus", **named)
            seen["EnableKeyRotation"] = told["KeyRotationEnabled"]
        told = await services("kms", "GetKeyPolicy", **named, PolicyName="default")
        seen["KeyPolicy"] = json.loads(told["Policy"])
        return seen


class KmsAlias(Kind):
    """AWS::KMS::Alias."""

    takes = ("AliasName", "TargetKeyId")
    gone = _GONE

    async def make(self, services: Services, said: Properties, spot: Spot) -> Known:
        await services(
            "kms", "CreateAlias", **only_if(said, "AliasName", "TargetKeyId")
        )
        return Known(said["AliasName"])

    async def change(
        self, services: Services, known: Known, before: Properties, after: Properties
    ) -> Known:
        named = only_if(after, "AliasName", "TargetKeyId")
        await services("kms", "UpdateAlias", **named)
        return known

    async def remove(self, services: Services, known: Known, said: Properties) -> None:
        named = {"AliasName": known.physical_id}
        await gone_is_done(services, _GONE, "kms", "DeleteAlias", named)

    async def look(
        self, services: Services, known: Known, said: Properties
    ) -> dict[str, Any] | None:
        told = await services("kms", "ListAliases")
        for alias in told["Aliases"]:
            if alias["AliasName"] == known.physical_id:
                key, wanted = alias.get("TargetKeyId"), str(said["TargetKeyId"])
                held = wanted if wanted.rpartition("/")[2] == key else key
                return {"AliasName": alias["AliasName"], "TargetKeyId": held}
        return None
