"""S3: buckets and their policies."""

from __future__ import annotations

import json
from typing import Any

from lae_localcloud.cloudformation.calls_signed import (
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

_GONE = frozenset({"NoSuchBucket", "404"})
_UNSET = frozenset(
    {
        "NoSuchLifecycleConfiguration",
        "NoSuchPublicAccessBlockConfiguration",
        "NoSuchBucketPolicy",
        "OwnershipControlsNotFoundError",
        "ServerSideEncryptionConfigurationNotFoundError",
        "NoSuchTagSet",
    }
)
_BLOCK = "PublicAccessBlockConfiguration"


_OF_RULE = {
    *("Id", "Status", "Prefix", "ExpirationInDays", "ExpiredObjectDeleteMarker"),
    *("NoncurrentVersionExpiration", "NoncurrentVersionExpirationInDays"),
    "AbortIncompleteMultipartUpload",
}


def _encryption(said: Any) -> dict[str, Any]:
    rules = []
    for one in said["ServerSideEncryptionConfiguration"]:
        by = one.get("ServerSideEncryptionByDefault")
        rule: dict[str, Any] = {}
        if by is not None:
            rule["ApplyServerSideEncryptionByDefault"] = only_if(
                by, "SSEAlgorithm", "KMSMasterKeyID"
            )
        if "BucketKeyEnabled" in one:
            rule["BucketKeyEnabled"] = truth(one["BucketKeyEnabled"])
        rules.append(rule)
    return {"ServerSideEncryptionConfiguration": {"Rules": rules}}


def _lifecycle(said: Any) -> dict[str, Any]:
    return {"LifecycleConfiguration": {"Rules": [_rule(one) for one in said["Rules"]]}}


def _rule(said: Properties) -> dict[str, Any]:
    """S3 has one place for what a template may write in several."""
    strange = sorted(set(said) - _OF_RULE)
    if strange:
        words = f"the local cloud has no {', '.join(strange)} in a bucket's lifecycle"
        raise ServiceRefused("s3", "NotImplemented", words)
    made: dict[str, Any] = {
        "Status": said["Status"],
        "Filter": {"Prefix": said.get("Prefix", "")},
        **({"ID": said["Id"]} if "Id" in said else {}),
    }
    expires: dict[str, Any] = {}
    if "ExpirationInDays" in said:
        expires["Days"] = number(said["ExpirationInDays"])
    if "ExpiredObjectDeleteMarker" in said:
        expires["ExpiredObjectDeleteMarker"] = truth(said["ExpiredObjectDeleteMarker"])
    if expires:
        made["Expiration"] = expires
    noncurrent = said.get("NoncurrentVersionExpiration", {})
    if "NoncurrentVersionExpirationInDays" in said:
        days = said["NoncurrentVersionExpirationInDays"]
        noncurrent = {"NoncurrentDays": days}
    if noncurrent:
        made["NoncurrentVersionExpiration"] = {
            k: number(v) for k, v in noncurrent.items()
        }
    if "AbortIncompleteMultipartUpload" in said:
        days = said["AbortIncompleteMultipartUpload"]["DaysAfterInitiation"]
        made["AbortIncompleteMultipartUpload"] = {"DaysAfterInitiation": number(days)}
    return made


def _block(said: Any) -> dict[str, Any]:
    return {_BLOCK: {name: truth(value) for name, value in said.items()}}


def _ownership(said: Any) -> dict[str, Any]:
    return {"OwnershipControls": {"Rules": said["Rules"]}}


def _versioning(said: Any) -> dict[str, Any]:
    return {"VersioningConfiguration": {"Status": said["Status"]}}


def _tagging(said: Any) -> dict[str, Any]:
    return {"Tagging": {"TagSet": said}}


#: Property: the call that sets it, its parameters, and the call that unsets it.
_PARTS = {
    "VersioningConfiguration": ("PutBucketVersioning", _versioning, None),
    _BLOCK: ("PutPublicAccessBlock", _block, "DeletePublicAccessBlock"),
    "OwnershipControls": (
        "PutBucketOwnershipControls",
        _ownership,
        "DeleteBucketOwnershipControls",
    ),
    "BucketEncryption": ("PutBucketEncryption", _encryption, "DeleteBucketEncryption"),
    "LifecycleConfiguration": (
        "PutBucketLifecycleConfiguration",
        _lifecycle,
        "DeleteBucketLifecycle",
    ),
    "Tags": ("PutBucketTagging", _tagging, "DeleteBucketTagging"),
}


class S3Bucket(Kind):
    """AWS::S3::Bucket."""

    takes = ("BucketName", "ObjectLockEnabled", *_PARTS)
    attributes = ("Arn", "DomainName", "RegionalDomainName")
    gone = _GONE

    async def make(self, services: Services, said: Properties, spot: Spot) -> Known:
        name = said.get("BucketName") or spot.own_name(63, lower=True)
        where = {"LocationConstraint": spot.region}
        more = (
            {} if spot.region == "us-east-1" else {"CreateBucketConfiguration": where}
        )
        if truth(said.get("ObjectLockEnabled", False)):
            more["ObjectLockEnabledForBucket"] = True  # type: ignore[assignment]
        await services("s3", "CreateBucket", Bucket=name, **more)
        spot.tell(name)
        await self._set(services, name, {}, said)
        return Known(
            name,
            {
                "Arn": f"arn:aws:s3:::{name}",
                "DomainName": f"{name}.s3.amazonaws.com",
                "RegionalDomainName": f"{name}.s3.{spot.region}.amazonaws.com",
            },
        )

    async def change(
        self, services: Services, known: Known, before: Properties, after: Properties
    ) -> Known:
        await self._set(services, known.physical_id, before, after)
        return known

    async def _set(
        self, services: Services, name: str, before: Properties, after: Properties
    ) -> None:
        for part, (put, shape, unset) in _PARTS.items():
            if not differs(before, after, part):
                continue
            if part in after:
                await services("s3", put, Bucket=name, **shape(after[part]))
            elif unset is not None:
                await services("s3", unset, Bucket=name)
            else:
                suspended = {"Status": "Suspended"}
                await services("s3", put, Bucket=name, **shape(suspended))

    async def remove(self, services: Services, known: Known, said: Properties) -> None:
        named = {"Bucket": known.physical_id}
        await gone_is_done(services, _GONE, "s3", "DeleteBucket", named)

    async def look(
        self, services: Services, known: Known, said: Properties
    ) -> dict[str, Any] | None:
        named = {"Bucket": known.physical_id}
        told = await found_or_none(services, _GONE, "s3", "GetBucketVersioning", named)
        if told is None:
            return None
        status = told.get("Status", "Suspended")
        seen: dict[str, Any] = {"VersioningConfiguration": {"Status": status}}
        if _BLOCK in said:
            call = ("s3", "GetPublicAccessBlock", named)
            block = await found_or_none(services, _UNSET, *call)
            held = {} if block is None else block[_BLOCK]
            wanted = _block(said[_BLOCK])[_BLOCK]
            as_wanted = all(held.get(k, False) == v for k, v in wanted.items())
            seen[_BLOCK] = said[_BLOCK] if as_wanted else held
        for part, call_name, key, shape in (
            (
                "BucketEncryption",
                "GetBucketEncryption",
                "ServerSideEncryptionConfiguration",
                _encryption,
            ),
            (
                "OwnershipControls",
                "GetBucketOwnershipControls",
                "OwnershipControls",
                _ownership,
            ),
            (
                "LifecycleConfiguration",
                "GetBucketLifecycleConfiguration",
                None,
                _lifecycle,
            ),
        ):
            if part in said:
                call = ("s3", call_name, named)
                told = await found_or_none(services, _UNSET, *call)
                held = (
                    None
                    if told is None
                    else told[key]["Rules"]
                    if key
                    else told["Rules"]
                )
                ((_, wanted),) = shape(said[part]).items()
                as_wanted = held is not None and _alike(wanted["Rules"], held)
                seen[part] = said[part] if as_wanted else {"Rules": held}
        return seen


def _alike(wanted: Any, held: Any) -> bool:
    """Tell whether all that is wanted is held; S3 fills in what nobody said."""
    if isinstance(wanted, dict) and isinstance(held, dict):
        return all(_alike(v, held.get(k, "")) for k, v in wanted.items())
    if isinstance(wanted, list) and isinstance(held, list):
        return len(wanted) == len(held) and all(map(_alike, wanted, held))
    return bool(wanted == held) or (not wanted and not held)


class S3BucketPolicy(Kind):
    """AWS::S3::BucketPolicy."""

    takes = ("Bucket", "PolicyDocument")
    gone = _GONE | _UNSET

    async def make(self, services: Services, said: Properties, spot: Spot) -> Known:
        bucket = said["Bucket"]
        told = await found_or_none(
            services, _UNSET, "s3", "GetBucketPolicy", {"Bucket": bucket}
        )
        if told is not None:
            words = f"The bucket policy already exists on bucket {bucket}."
            raise ServiceRefused("s3", "AlreadyExists", words, 409)
        await self._put(services, said)
        return Known(bucket)

    async def change(
        self, services: Services, known: Known, before: Properties, after: Properties
    ) -> Known:
        await self._put(services, after)
        return known

    async def _put(self, services: Services, said: Properties) -> None:
        document = as_json(said["PolicyDocument"])
        await services("s3", "PutBucketPolicy", Bucket=said["Bucket"], Policy=document)

    async def remove(self, services: Services, known: Known, said: Properties) -> None:
        named = {"Bucket": said["Bucket"]}
        await gone_is_done(services, self.gone, "s3", "DeleteBucketPolicy", named)

    async def look(
        self, services: Services, known: Known, said: Properties
    ) -> dict[str, Any] | None:
        call = ("s3", "GetBucketPolicy", {"Bucket": said["Bucket"]})
        told = await found_or_none(services, self.gone, *call)
        return None if told is None else {"PolicyDocument": json.loads(told["Policy"])}
