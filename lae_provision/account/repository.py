"""The repository in ECR that hosts pull from: the image that the settings name is there
and signed, and no tag leads to something else tomorrow.  Nothing is made here.
"""

from __future__ import annotations

from typing import Any

from attrs import define

from lae_provision.account.api import AccountApi
from lae_provision.account.difference import Difference
from lae_provision.aws.channel import none_on
from lae_provision.aws.repositories import SIGNATURE_TAGS
from lae_provision.hosts.programs import ImageReference

THING = "repository"
_NO_REPOSITORY = frozenset({"RepositoryNotFoundException"})
_NO_IMAGE = frozenset({"ImageNotFoundException", "RepositoryNotFoundException"})
_EXCLUDED = f"filterType=WILDCARD,filter={SIGNATURE_TAGS}"
_IMMUTABLE = (
    "--image-tag-mutability IMMUTABLE_WITH_EXCLUSION"
    f" --image-tag-mutability-exclusion-filters {_EXCLUDED}"
)


@define(frozen=True)
class Repository:
    """A repository; *changing*: the tags that may change, ``*`` for all.  *pushed* and
    *signed* are of the image that the settings name.
    """

    changing: tuple[str, ...]
    pushed: bool
    signed: bool


def find_differences(
    image: ImageReference, seen: Repository | None
) -> tuple[Difference, ...]:
    """Find what a person must change.  Pure."""
    name = image.name
    if seen is None:
        remedy = "lae image push FOLDER, which makes it"
        return (Difference(THING, name, "missing", "there", None, remedy),)
    made = []
    too_many = [tag for tag in seen.changing if tag != SIGNATURE_TAGS]
    if too_many:
        remedy = (
            f"aws ecr put-image-tag-mutability --repository-name {name} {_IMMUTABLE}"
        )
        found, want = f"tags may change: {', '.join(too_many)}", "signatures' alone"
        made.append(Difference(THING, name, found, want, None, remedy))
    if not seen.pushed:
        remedy = "lae image push FOLDER, or correct cells.program.image"
        found = f"without {image.digest}"
        made.append(Difference(THING, name, found, "with it", None, remedy))
    elif not seen.signed:
        remedy = f"lae image sign {image.text} --key KEY"
        found, want = f"without {image.signature_tag}", "with that signature"
        made.append(Difference(THING, name, found, want, None, remedy))
    return tuple(made)


@define(frozen=True)
class Repositories:
    """Finds the repository and the image; *account* is the registry's."""

    api: AccountApi
    account: str

    async def find(self, image: ImageReference) -> Repository | None:
        """Find the repository; None if the registry has none of that name."""
        told = await none_on(
            _NO_REPOSITORY,
            self._ask("DescribeRepositories", repositoryNames=[image.name]),
        )
        if told is None or not told["repositories"]:
            return None
        return Repository(
            changing_tags(told["repositories"][0]),
            await self._has(image.name, imageDigest=image.digest),
            await self._has(image.name, imageTag=image.signature_tag),
        )

    async def _has(self, repository: str, **image: str) -> bool:
        told = await none_on(
            _NO_IMAGE,
            self._ask("DescribeImages", repositoryName=repository, imageIds=[image]),
        )
        return told is not None and bool(told["imageDetails"])

    async def _ask(self, action: str, **fields: Any) -> dict[str, Any]:
        return await self.api.json("ecr", action, registryId=self.account, **fields)


def changing_tags(repository: dict[str, Any]) -> tuple[str, ...]:
    """Read which tags of a repository may lead to another image later.  Pure."""
    mutability = repository.get("imageTagMutability", "MUTABLE")
    if mutability == "IMMUTABLE":
        return ()
    if mutability != "IMMUTABLE_WITH_EXCLUSION":
        return ("*",)
    filters = repository.get("imageTagMutabilityExclusionFilters", ())
    return tuple(str(f["filter"]) for f in filters)
