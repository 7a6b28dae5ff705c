"""ECR's repositories and log groups: what is named, and little else."""

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
    tags_to_change,
    truth,
)

_NO_REPOSITORY = frozenset({"RepositoryNotFoundException"})
_UNSET = frozenset(
    {"LifecyclePolicyNotFoundException", "RepositoryPolicyNotFoundException"}
)
_NO_GROUP = frozenset({"ResourceNotFoundException"})


#: Tags that may lead to another image.
_FILTERS = "ImageTagMutabilityExclusionFilters"


def _mutability(said: Properties) -> dict[str, Any]:
    made: dict[str, Any] = {
        "imageTagMutability": said.get("ImageTagMutability", "MUTABLE")
    }
    if _FILTERS in said:
        made["imageTagMutabilityExclusionFilters"] = [
            {
                "filterType": one["ImageTagMutabilityExclusionFilterType"],
                "filter": one["ImageTagMutabilityExclusionFilterValue"],
            }
            for one in said[_FILTERS]
        ]
    return made


def _lifecycle(said: Properties) -> str | None:
    text: str | None = said.get("LifecyclePolicy", {}).get("LifecyclePolicyText")
    return text


class EcrRepository(Kind):
    """AWS::ECR::Repository."""

    takes = (
        *("RepositoryName", "ImageTagMutability", _FILTERS, "Tags"),
        *("ImageScanningConfiguration", "EncryptionConfiguration"),
        *("LifecyclePolicy", "RepositoryPolicyText", "EmptyOnDelete"),
    )
    attributes = ("Arn", "RepositoryUri")
    gone = _NO_REPOSITORY

    async def make(self, services: Services, said: Properties, spot: Spot) -> Known:
        more: dict[str, Any] = {}
        if "ImageTagMutability" in said:
            more |= _mutability(said)
        if "ImageScanningConfiguration" in said:
            scan = truth(said["ImageScanningConfiguration"].get("ScanOnPush", False))
            more["imageScanningConfiguration"] = {"scanOnPush": scan}
        if "EncryptionConfiguration" in said:
            how = said["EncryptionConfiguration"]
            key = {"kmsKey": how["KmsKey"]} if "KmsKey" in how else {}
            more["encryptionConfiguration"] = {
                "encryptionType": how["EncryptionType"],
                **key,
            }
        name = said.get("RepositoryName") or spot.own_name(256, lower=True)
        made = await services(
            "ecr",
            "CreateRepository",
            repositoryName=name,
            **more,
            **({"tags": said["Tags"]} if said.get("Tags") else {}),
        )
        spot.tell(name)
        await self._set(services, name, {}, said)
        told = made["repository"]
        return Known(
            name, {"Arn": told["repositoryArn"], "RepositoryUri": told["repositoryUri"]}
        )

    async def change(
        self, services: Services, known: Known, before: Properties, after: Properties
    ) -> Known:
        name = known.physical_id
        if differs(before, after, "ImageTagMutability", _FILTERS):
            call = {"repositoryName": name, **_mutability(after)}
            await services("ecr", "PutImageTagMutability", **call)
        if differs(before, after, "ImageScanningConfiguration"):
            scan = after.get("ImageScanningConfiguration", {}).get("ScanOnPush", False)
            await services(
                "ecr",
                "PutImageScanningConfiguration",
                repositoryName=name,
                imageScanningConfiguration={"scanOnPush": truth(scan)},
            )
        await self._set(services, name, before, after)
        arn = known.attributes["Arn"]
        gone, new = tags_to_change(before, after)
        if gone:
            await services("ecr", "UntagResource", resourceArn=arn, tagKeys=gone)
        if new:
            await services("ecr", "TagResource", resourceArn=arn, tags=new)
        return known

    async def _set(
        self, services: Services, name: str, before: Properties, after: Properties
    ) -> None:
        named = {"repositoryName": name}
        old, new = _lifecycle(before), _lifecycle(after)
        if new is not None and new != old:
            call = {**named, "lifecyclePolicyText": new}
            await services("ecr", "PutLifecyclePolicy", **call)
        elif old is not None and new is None:
            await gone_is_done(services, _UNSET, "ecr", "DeleteLifecyclePolicy", named)
        if "RepositoryPolicyText" in after:
            text = as_json(after["RepositoryPolicyText"])
            await services("ecr", "SetRepositoryPolicy", **named, policyText=text)
        elif "RepositoryPolicyText" in before:
            call_name = "DeleteRepositoryPolicy"
            await gone_is_done(services, _UNSET, "ecr", call_name, named)

    async def remove(self, services: Services, known: Known, said: Properties) -> None:
        force = truth(said.get("EmptyOnDelete", False))
        named = {"repositoryName": known.physical_id, "force": force}
        await gone_is_done(services, _NO_REPOSITORY, "ecr", "DeleteRepository", named)

    async def look(
        self, services: Services, known: Known, said: Properties
    ) -> dict[str, Any] | None:
        call = {"repositoryNames": [known.physical_id]}
        told = await found_or_none(
            services, _NO_REPOSITORY, "ecr", "DescribeRepositories", call
        )
        if told is None:
            return None
        (repository,) = told["repositories"]
        scan = repository.get("imageScanningConfiguration", {}).get("scanOnPush", False)
        seen: dict[str, Any] = {
            "ImageTagMutability": repository["imageTagMutability"],
            "ImageScanningConfiguration": {"ScanOnPush": scan},
        }
        if "LifecyclePolicy" in said:
            named = {"repositoryName": known.physical_id}
            told = await found_or_none(
                services, _UNSET, "ecr", "GetLifecyclePolicy", named
            )
            held = None if told is None else json.loads(told["lifecyclePolicyText"])
            as_written = held == json.loads(_lifecycle(said) or "null")
            other = {"LifecyclePolicyText": json.dumps(held)}
            seen["LifecyclePolicy"] = said["LifecyclePolicy"] if as_written else other
        return seen


class LogGroup(Kind):
    """AWS::Logs::LogGroup."""

    takes = ("LogGroupName", "RetentionInDays", "KmsKeyId", "Tags")
    attributes = ("Arn",)
    gone = _NO_GROUP

    async def make(self, services: Services, said: Properties, spot: Spot) -> Known:
        name = said.get("LogGroupName") or spot.own_name(256)
        tags = {tag["Key"]: tag["Value"] for tag in said.get("Tags", [])}
        key = {"kmsKeyId": said["KmsKeyId"]} if "KmsKeyId" in said else {}
        more = {**({"tags": tags} if tags else {}), **key}
        await services("logs", "CreateLogGroup", logGroupName=name, **more)
        spot.tell(name)
        await self._keep(services, name, {}, said)
        arn = f"arn:aws:logs:{spot.region}:{spot.account}:log-group:{name}:*"
        return Known(name, {"Arn": arn})

    async def change(
        self, services: Services, known: Known, before: Properties, after: Properties
    ) -> Known:
        await self._keep(services, known.physical_id, before, after)
        arn = known.attributes["Arn"].removesuffix(":*")
        gone, new = tags_to_change(before, after)
        if gone:
            await services("logs", "UntagResource", resourceArn=arn, tagKeys=gone)
        if new:
            tags = {tag["Key"]: tag["Value"] for tag in new}
            await services("logs", "TagResource", resourceArn=arn, tags=tags)
        if differs(before, after, "KmsKeyId"):
            raise ServiceRefused("logs", NOT_UPDATABLE, "KmsKeyId: no updates here")
        return known

    async def _keep(
        self, services: Services, name: str, before: Properties, after: Properties
    ) -> None:
        if not differs(before, after, "RetentionInDays"):
            return
        if "RetentionInDays" in after:
            days = number(after["RetentionInDays"])
            call = {"logGroupName": name, "retentionInDays": days}
            await services("logs", "PutRetentionPolicy", **call)
        else:
            await services("logs", "DeleteRetentionPolicy", logGroupName=name)

    async def remove(self, services: Services, known: Known, said: Properties) -> None:
        named = {"logGroupName": known.physical_id}
        await gone_is_done(services, _NO_GROUP, "logs", "DeleteLogGroup", named)

    async def look(
        self, services: Services, known: Known, said: Properties
    ) -> dict[str, Any] | None:
        name = known.physical_id
        told = await services("logs", "DescribeLogGroups", logGroupNamePrefix=name)
        for group in told["logGroups"]:
            if group["logGroupName"] == name:
                return {"RetentionInDays": group.get("retentionInDays")}
        return None
