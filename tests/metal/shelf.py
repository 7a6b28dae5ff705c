"""Images for a host to take or refuse, pushed and signed; a program, since the doors of
AWS need a reactor: ``python -m tests.metal.shelf FACTS FOLDER`` writes their names.
"""

from __future__ import annotations

import json
import secrets
import sys
from pathlib import Path
from typing import Any

from attrs import define
from twisted.internet.defer import Deferred
from twisted.internet.task import react

from lae_localcloud.demo.image import open_registry, owners_cloud
from lae_provision.aws.cloud import AwsCloud
from lae_provision.hosts.programs import ImageReference
from lae_provision.images.folder import Image
from lae_provision.images.remote_registry import RemoteRegistry
from lae_provision.images.shipping import push, read_signatures, sign
from lae_provision.images.signature import Signature, documents_of
from tests.images.small import small_image

#: Of a deployment of its own: what others push stays what it is.
NODE, OTHER = "shelf/node", "shelf/other"
FAT = 30_000_000  # bytes
#: Of all but one, which is older.
RELEASE = 5


@define
class Shelf:
    """The registry, its keys, and where images are made."""

    facts: dict[str, Any]
    folder: Path
    cloud: AwsCloud
    registry: RemoteRegistry

    async def put(
        self, what: str, content: str = "", release: int = RELEASE
    ) -> ImageReference:
        image = small_image(self.folder, content or what, what, release)
        return await self.push(image, what, NODE)

    async def push(self, image: Image, what: str, repository: str) -> ImageReference:
        await push(self.registry, repository, image, what)
        host = self.facts["registry"]["name"]
        return ImageReference(f"{host}/{repository}@{image.digest}")

    async def sign(self, reference: ImageReference, *keys: str) -> ImageReference:
        for name in keys:
            await sign(self.registry, reference, self.cloud.signing_key(name))
        return reference

    async def place(
        self, reference: ImageReference, signatures: tuple[Signature, ...]
    ) -> ImageReference:
        """Lay signatures beside an image that they may not be of."""
        manifest, config = documents_of(signatures)
        for data in (*(s.payload for s in signatures), config.data):
            await self.registry.put_blob(reference.name, data)
        await self.registry.put_manifest(
            reference.name, reference.signature_tag, manifest
        )
        return reference


async def fill(reactor: Any, facts: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Everything; names of images by what is right or wrong with them."""
    cloud = owners_cloud(reactor, facts)
    shelf = Shelf(facts, folder, cloud, open_registry(reactor, facts, cloud))
    for repository in (NODE, OTHER):
        await cloud.repositories.make(repository, None, {})
    keys = {name: f"alias/shelf-{name}" for name in ("old", "new", "stranger")}
    for alias in keys.values():
        await cloud.signing_key(alias).make("shelf")
    old, new, stranger = keys.values()
    put, sign_with = shelf.put, shelf.sign
    told = {
        "by the old key": await sign_with(await put("old"), old),
        "by the new key": await sign_with(await put("new"), new),
        "by both keys": await sign_with(await put("both"), old, new),
        "older": await sign_with(await put("older", release=RELEASE - 1), old),
        "by a stranger": await sign_with(await put("stranger"), stranger),
        "unsigned": await put("unsigned"),
        "changed": await sign_with(await put("changed", secrets.token_hex(4000)), old),
        "fat": await sign_with(await put("fat", secrets.token_hex(FAT // 2)), old),
    }
    signed = await read_signatures(shelf.registry, told["by the old key"])
    told["of another digest"] = await shelf.place(await put("moved"), signed)
    twin = small_image(folder, "in two repositories", "twin")
    elsewhere = await sign_with(await shelf.push(twin, "twin", OTHER), old)
    of_other = await read_signatures(shelf.registry, elsewhere)
    here = await shelf.push(twin, "twin", NODE)
    told["of another repository"] = await shelf.place(here, of_other)
    told["outside the policy"] = elsewhere
    public = [await cloud.signing_key(key).public_key() for key in (old, new)]
    return {"keys": public, **{what: ref.text for what, ref in told.items()}}


def main(facts_file: Path, folder: Path) -> None:
    """Fill it, and say what is in it."""
    facts = json.loads(facts_file.read_text())

    async def told(reactor: Any) -> None:
        said = await fill(reactor, facts, folder)
        sys.stdout.write(json.dumps(said))

    react(lambda reactor: Deferred.fromCoroutine(told(reactor)))


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
