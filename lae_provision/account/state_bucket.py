"""The state bucket: sealed identities, and other data that outlives the daemon's host.

The bucket belongs to the account, in the daemon's region.  It is encrypted, versioned,
and closed to the public and to plain HTTP.  Nothing in it ever expires.
"""

from __future__ import annotations

import json
from typing import Any

from attrs import define
from twisted.internet.defer import Deferred, gatherResults

from lae_provision.account.api import AccountApi
from lae_provision.account.difference import Difference, missing, tags_of
from lae_provision.aws.bucket_settings import (
    Setting,
    closed_settings,
    location,
    tags_document,
    tags_in,
)
from lae_provision.aws.buckets import NO_TAGS, NOT_SET, content_md5
from lae_provision.aws.channel import none_on, parse_xml
from lae_provision.aws.policies import bucket_policy
from lae_provision.errors import TryLater

THING = "state bucket"
_NOT_SET = NOT_SET | NO_TAGS
_FREE = frozenset({"HTTP404", "NoSuchBucket", "NotFound"})
_GONE = frozenset({"NoSuchBucket"})
_OURS = frozenset({"BucketAlreadyOwnedByYou"})
#: Each setting in words, and S3's permission to read and to write it.
_WORDS = {
    "publicAccessBlock": ("closed to the public", "BucketPublicAccessBlock"),
    "encryption": ("encrypted", "EncryptionConfiguration"),
    "versioning": ("versioned", "BucketVersioning"),
}


@define(frozen=True)
class StateBucket:
    """The wanted bucket; *tls_only* is off for a store without TLS."""

    name: str
    region: str
    deployment: str
    tls_only: bool = True


@define(frozen=True)
class NoBucket:
    """No account has a bucket of this name."""


@define(frozen=True)
class SomebodyElses:
    """Another account has a bucket of this name."""


@define(frozen=True)
class Bucket:
    """The account's bucket; *right*: the settings that are as they should be."""

    region: str
    tags: frozenset[tuple[str, str]]
    right: frozenset[str]
    policy: str | None = None
    expires: bool = False


BucketSeen = NoBucket | SomebodyElses | Bucket


def find_differences(wanted: StateBucket, seen: BucketSeen) -> tuple[Difference, ...]:
    """Find what differs, in the order in which it is changed.  Pure."""
    name = wanted.name
    match seen:
        case NoBucket():
            words = f"made in {wanted.region}, encrypted, versioned, closed"
            return (missing(THING, name, words),)
        case SomebodyElses():
            return (
                Difference(
                    THING,
                    name,
                    "another account's",
                    "this account's own",
                    remedy="choose another name for aws.state_bucket",
                ),
            )
        case Bucket():
            return tuple(_of_ours(wanted, seen))


def _of_ours(wanted: StateBucket, seen: Bucket) -> list[Difference]:
    name = wanted.name

    def differs(found: str, want: str, step: str | None, remedy: str = "") -> None:
        made.append(Difference(THING, name, found, want, step, remedy))

    made: list[Difference] = []
    if seen.region != wanted.region:
        differs(
            f"in {seen.region}",
            f"in {wanted.region}",
            None,
            "correct aws.region, or choose another name for aws.state_bucket",
        )
        return made
    owner = dict(seen.tags).get("s4:deployment")
    if owner not in (None, wanted.deployment):
        differs(
            f"of the deployment {owner}",
            f"of {wanted.deployment}",
            None,
            "choose another name for aws.state_bucket",
        )
        return made
    if owner is None:
        differs("without a tag", f"tagged as {wanted.deployment}'s", "tagging")
    for aspect, (words, _) in _WORDS.items():
        if aspect not in seen.right:
            differs(f"not {words}", words, aspect)
    if wanted.tls_only and not refuses_plain_http(seen.policy, name):
        differs("open to plain HTTP", "TLS only", "policy")
    if seen.expires:
        differs(
            "a lifecycle rule deletes its contents",
            "nothing is ever deleted",
            None,
            f"aws s3api delete-bucket-lifecycle --bucket {name}",
        )
    return made


def refuses_plain_http(policy: str | None, bucket: str) -> bool:
    """Whether a policy contains our statement, under any Sid.  Pure."""
    (ours,) = _statements(bucket_policy(bucket))
    return any(_unnamed(s) == _unnamed(ours) for s in _statements(policy))


def with_tls_only(policy: str | None, bucket: str) -> str:
    """Add our statement to those that the policy has.  Pure."""
    document = json.loads(policy) if policy else {"Version": "2012-10-17"}
    (ours,) = _statements(bucket_policy(bucket))
    kept = [s for s in _statements(policy) if s.get("Sid") != ours["Sid"]]
    return json.dumps({**document, "Statement": [*kept, ours]})


def _statements(policy: str | None) -> list[dict[str, Any]]:
    found = json.loads(policy or "{}").get("Statement", [])
    return list(found) if isinstance(found, list) else [found]


def _unnamed(statement: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in statement.items() if key != "Sid"}


@define(frozen=True)
class StateBuckets:
    """Finds and makes the state bucket."""

    api: AccountApi
    wanted: StateBucket

    async def find(self) -> BucketSeen:
        """Find the state bucket."""
        name = self.wanted.name
        if name not in await self.api.own_buckets(name):
            # HEAD answers 403 or 301 for another account's bucket.
            there = await none_on(_FREE, self._raise_if_free())
            return NoBucket() if there is None else SomebodyElses()
        settings = closed_settings()
        looking: list[Deferred[Any]] = [
            Deferred.fromCoroutine(work)
            for work in (
                self._read("location", "BucketLocation"),
                self._read("tagging", "BucketTagging"),
                self._read("policy", "BucketPolicy"),
                self._read("lifecycle", "LifecycleConfiguration"),
                *(self._agrees(s) for s in settings),
            )
        ]
        where, tags, policy, lifecycle, *agreed = await gatherResults(
            looking, consumeErrors=True
        )
        return Bucket(
            region=(parse_xml(where).text or "us-east-1") if where else "us-east-1",
            tags=tags_in(parse_xml(tags)) if tags else frozenset(),
            right=frozenset(
                s.subresource
                for s, right in zip(settings, agreed, strict=True)
                if right
            ),
            policy=policy.decode() if policy else None,
            expires=bool(lifecycle) and _expires(lifecycle),
        )

    async def make(self, step: str, seen: BucketSeen) -> None:
        """Do one step of :func:`find_differences`; safe to repeat."""
        match step:
            case "create":
                await self._create()
                for setting in closed_settings():
                    await self._set(setting)
                if self.wanted.tls_only:
                    await self._restrict(None)
                await self._tag(frozenset())
            case "tagging":
                await self._tag(seen.tags if isinstance(seen, Bucket) else frozenset())
            case "policy":
                await self._restrict(seen.policy if isinstance(seen, Bucket) else None)
            case _:
                (setting,) = (s for s in closed_settings() if s.subresource == step)
                await self._set(setting)

    async def _raise_if_free(self) -> bool:
        """Raise S3's error if no account has the name; else True."""
        try:
            await self.api.bucket("ListBucket", "HEAD", self.wanted.name)
        except TryLater:
            raise
        except Exception as e:
            if getattr(e, "code", "") in _FREE:
                raise
        return True

    async def _read(self, subresource: str, permission: str) -> bytes | None:
        answer = await none_on(
            _NOT_SET,
            self.api.bucket(
                f"Get{permission}", "GET", self.wanted.name, [(subresource,)]
            ),
        )
        return None if answer is None else answer.body

    async def _agrees(self, setting: Setting) -> bool:
        body = await self._read(setting.subresource, _WORDS[setting.subresource][1])
        if body is None:
            return False
        # A key of the operator's own is also encryption.
        own_key = setting.subresource == "encryption" and b">aws:kms" in body
        return own_key or setting.agrees(body)

    async def _create(self) -> None:
        body = location(self.wanted.region) or None
        await none_on(
            _OURS, self.api.bucket("CreateBucket", "PUT", self.wanted.name, body=body)
        )

    async def _set(self, setting: Setting) -> None:
        permission = _WORDS[setting.subresource][1]
        await self._put(setting.subresource, permission, setting.document)

    async def _restrict(self, policy: str | None) -> None:
        document = with_tls_only(policy, self.wanted.name)
        await self._put("policy", "BucketPolicy", document.encode())

    async def _tag(self, there: frozenset[tuple[str, str]]) -> None:
        tags = {**dict(there), **tags_of(self.wanted.deployment, "state")}
        document = tags_document(tuple(sorted(tags.items())))
        await self._put("tagging", "BucketTagging", document)

    async def _put(self, subresource: str, permission: str, document: bytes) -> None:
        await self.api.channel.retry_while_missing(
            _GONE,
            lambda: self.api.bucket(
                f"Put{permission}",
                "PUT",
                self.wanted.name,
                [(subresource,)],
                body=document,
                headers={"content-md5": content_md5(document)},
            ),
        )


def _expires(lifecycle: bytes) -> bool:
    root = parse_xml(lifecycle)
    return any(
        rule.findtext("Status") == "Enabled"
        and any(
            rule.find(tag) is not None
            for tag in ("Expiration", "NoncurrentVersionExpiration")
        )
        for rule in root.iter("Rule")
    )
