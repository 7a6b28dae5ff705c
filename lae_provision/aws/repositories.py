"""Repositories of images in ECR: made, listed, pruned, and opened by a token."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from attrs import define, field

from lae_protocol.secret import Secret
from lae_provision.aws.channel import Channel, none_on
from lae_provision.errors import AlreadyThere, Refused

TARGET = "AmazonEC2ContainerRegistry_V20150921."
#: A second signature is added to the first, so these tags alone may move.
SIGNATURE_TAGS = "sha256-*.sig"
#: What no tag names any more, such as the signatures before one was added.
UNTAGGED_DAYS = 14
_MISSING = frozenset({"RepositoryNotFoundException"})
_NO_LIFECYCLE = frozenset({"LifecyclePolicyNotFoundException"})
_EXISTS = frozenset({"RepositoryAlreadyExistsException"})
_AT_ONCE = 100

LIFECYCLE = {
    "rules": [
        {
            "rulePriority": 1,
            "description": "what no tag names",
            "selection": {
                "tagStatus": "untagged",
                "countType": "sinceImagePushed",
                "countUnit": "days",
                "countNumber": UNTAGGED_DAYS,
            },
            "action": {"type": "expire"},
        }
    ]
}


@define(frozen=True)
class StoredImage:
    """An image of a repository; *size* is in bytes, compressed."""

    digest: str
    tags: tuple[str, ...]
    size: int
    pushed_at: datetime


@define(frozen=True)
class RegistryToken:
    """The right to speak to the registry: for ``Basic``, until *ends*.

    *registry* is the host that images are named by.
    """

    token: Secret
    registry: str
    ends: datetime


@define
class RegistryTokens:
    """The token that is used now, until the registry says that it ended."""

    repositories: EcrRepositories
    _held: RegistryToken | None = field(default=None, repr=False)

    async def look(self, *, ended: bool = False) -> RegistryToken:
        """The token with what it is for."""
        if ended or self._held is None:
            self._held = await self.repositories.token()
        return self._held

    async def current(self, *, ended: bool = False) -> Secret:
        """See :class:`~lae_provision.images.remote_registry.Tokens`."""
        return (await self.look(ended=ended)).token


@define(frozen=True)
class EcrRepositories:
    """See the module.  Each call is safe to repeat."""

    channel: Channel

    async def make(
        self, name: str, kms_key: str | None, tags: Mapping[str, str]
    ) -> None:
        """Make the repository, encrypted under *kms_key*, if there is none.

        Raises :class:`AlreadyThere` if there is one whose images may be exchanged.
        """
        encryption = {"encryptionType": "KMS"}
        if kms_key is not None:
            encryption["kmsKey"] = kms_key
        await none_on(
            _EXISTS,
            self._ask(
                "CreateRepository",
                repositoryName=name,
                imageTagMutability="IMMUTABLE_WITH_EXCLUSION",
                imageTagMutabilityExclusionFilters=[
                    {"filterType": "WILDCARD", "filter": SIGNATURE_TAGS}
                ],
                encryptionConfiguration=encryption,
                tags=[{"Key": k, "Value": v} for k, v in tags.items()],
            ),
        )
        told = await self._ask("DescribeRepositories", repositoryNames=[name])
        (found,) = told["repositories"]
        _raise_if_other(name, found)
        kept = await none_on(
            _NO_LIFECYCLE, self._ask("GetLifecyclePolicy", repositoryName=name)
        )
        if kept is None or json.loads(kept["lifecyclePolicyText"]) != LIFECYCLE:
            await self._ask(
                "PutLifecyclePolicy",
                repositoryName=name,
                lifecyclePolicyText=json.dumps(LIFECYCLE),
            )

    async def images(self, name: str) -> tuple[StoredImage, ...] | None:
        """All images, the newest first; None if there is no such repository."""
        found: list[StoredImage] = []
        more: dict[str, str] = {}
        while True:
            page = await none_on(
                _MISSING, self._ask("DescribeImages", repositoryName=name, **more)
            )
            if page is None:
                return None
            found += map(_stored, page["imageDetails"])
            if not page.get("nextToken"):
                return tuple(sorted(found, key=lambda i: i.pushed_at, reverse=True))
            more = {"nextToken": page["nextToken"]}

    async def delete(self, name: str, digests: tuple[str, ...]) -> None:
        """Delete these images with all their tags; those that are gone are fine."""
        for first in range(0, len(digests), _AT_ONCE):
            some = digests[first : first + _AT_ONCE]
            told = await self._ask(
                "BatchDeleteImage",
                repositoryName=name,
                imageIds=[{"imageDigest": digest} for digest in some],
            )
            for failure in told.get("failures", ()):
                if failure["failureCode"] != "ImageNotFound":
                    raise Refused(failure["failureCode"], failure["failureReason"])

    async def token(self) -> RegistryToken:
        """A token for the account's registry."""
        told = await self._ask("GetAuthorizationToken")
        (data,) = told["authorizationData"]
        return RegistryToken(
            Secret(data["authorizationToken"]),
            data["proxyEndpoint"].removeprefix("https://"),
            datetime.fromtimestamp(data["expiresAt"], UTC),
        )

    async def _ask(self, action: str, **fields: Any) -> dict[str, Any]:
        return await self.channel.json("ecr", TARGET + action, fields)


def _raise_if_other(name: str, found: dict[str, Any]) -> None:
    excluded = [
        one["filter"] for one in found.get("imageTagMutabilityExclusionFilters") or ()
    ]
    mutability = found.get("imageTagMutability")
    if mutability != "IMMUTABLE_WITH_EXCLUSION" or excluded != [SIGNATURE_TAGS]:
        raise AlreadyThere(
            "RepositoryMutable",
            f"the tags of {name} may be moved to other images ({mutability}): make them"
            f" immutable, but for {SIGNATURE_TAGS}",
        )
    if found.get("encryptionConfiguration", {}).get("encryptionType") != "KMS":
        raise AlreadyThere(
            "RepositoryNotEncrypted",
            f"{name} is not encrypted by KMS, and cannot be any more: make another one",
        )


def _stored(told: dict[str, Any]) -> StoredImage:
    return StoredImage(
        told["imageDigest"],
        tuple(sorted(told.get("imageTags", ()))),
        told.get("imageSizeInBytes") or 0,
        datetime.fromtimestamp(told["imagePushedAt"], UTC),
    )
