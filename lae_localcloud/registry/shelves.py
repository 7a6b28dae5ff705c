"""Which images a repository has, in moto's own books: so ``DescribeImages`` and
``BatchDeleteImage`` tell and change what hosts can pull.  Used in moto's thread.

moto's own way in is not used: it reads a wildcard for tags as a regular expression,
computes digests of its own, and counts an image's size by its configuration.
"""

from __future__ import annotations

import json
from fnmatch import fnmatchcase
from typing import Any

from lae_localcloud.account.moto import ACCOUNT_ID, Moto
from lae_localcloud.account.policy import Ask
from lae_localcloud.account.principals import find_principal
from lae_localcloud.exchange import ApiError
from lae_localcloud.registry.operations import RegistryCall


class Shelves:
    """The repositories."""

    def __init__(self, moto: Moto) -> None:
        self._moto = moto

    def check(self, call: RegistryCall, access_key: str) -> None:
        """Raise :class:`ApiError` unless the token's holder may do this now."""
        principal = find_principal(self._moto, access_key)
        if call.action == "Ping":
            return
        region = self._moto.region
        arn = f"arn:aws:ecr:{region}:{ACCOUNT_ID}:repository/{call.repository}"
        context: dict[str, tuple[str, ...]] = {"aws:requestedregion": (region,)}
        try:
            principal.require([Ask(f"ecr:{call.action}", arn, context)])
        except ApiError as e:
            raise ApiError(403, "DENIED", e.message) from None
        repository = self._repository(call.repository)
        if call.action == "PutImage" and call.by_tag:
            _raise_if_immutable(repository, call.reference)

    def digest_of(self, call: RegistryCall) -> str:
        """The digest that a manifest's reference means now."""
        for image in self._repository(call.repository).images:
            if call.reference in (image.get_image_digest(), *image.image_tags):
                digest: str = image.get_image_digest()
                return digest
        raise ApiError(404, "MANIFEST_UNKNOWN", "Requested image not found")

    def put(self, call: RegistryCall, manifest: bytes, digest: str) -> None:
        """Note an image that the registry took."""
        from moto.ecr.models import Image  # noqa: PLC0415  (slow to import)

        repository = self._repository(call.repository)
        told = json.loads(manifest)
        tag = call.reference if call.by_tag else None
        for image in repository.images:
            image.remove_tag(tag)
        found = [i for i in repository.images if i.get_image_digest() == digest]
        if found:
            if tag is not None:
                found[0].update_tag(tag)
            return
        image = Image(
            ACCOUNT_ID,
            tag,
            manifest.decode(),
            call.repository,
            told.get("mediaType"),
            digest,
        )
        size = sum(layer["size"] for layer in told.get("layers", ()))
        image.get_image_size_in_bytes = lambda: size
        repository.images.append(image)

    def _repository(self, name: str) -> Any:
        found = self._moto.backend("ecr").repositories.get(name)
        if found is None:
            raise ApiError(
                404,
                "NAME_UNKNOWN",
                f"The repository with name '{name}' does not exist in the registry"
                f" with id '{ACCOUNT_ID}'",
            )
        return found


def _raise_if_immutable(repository: Any, tag: str) -> None:
    """A tag that exists stays where it is, even for the same image, as ECR has it."""
    filters = repository.image_tag_mutability_exclusion_filters or ()
    excluded = any(fnmatchcase(tag, one["filter"]) for one in filters)
    if not repository.is_tag_immutable() or excluded:
        return
    if any(tag in image.image_tags for image in repository.images):
        raise ApiError(
            400,
            "TAG_INVALID",
            f"The image tag '{tag}' already exists in the '{repository.name}'"
            " repository and cannot be overwritten because the tag is immutable.",
        )
