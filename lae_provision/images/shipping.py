"""Images on their way: pushed, signed, and checked as a host checks them."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Protocol

from attrs import define

from lae_provision.errors import Refused
from lae_provision.hosts.programs import ImageReference
from lae_provision.images.folder import Image
from lae_provision.images.recipe import ARCHITECTURE
from lae_provision.images.remote_registry import RemoteRegistry
from lae_provision.images.signature import (
    NotRight,
    Signature,
    documents_of,
    is_signed_by,
    layers_of,
    load_key,
    payload_of,
    raise_if_not_signed,
)

#: More would be no rotation any more.
MOST_SIGNATURES = 16


class Signer(Protocol):
    """A key that signs, and whose public half everybody may see (PEM)."""

    async def public_key(self) -> str:
        """The public half."""
        ...

    async def sign(self, text: bytes) -> bytes:
        """The signature (DER) of *text*."""
        ...


async def push(
    registry: RemoteRegistry,
    repository: str,
    image: Image,
    tag: str,
    say: Callable[[str], object] = lambda _: None,
) -> int:
    """Push the image; how many bytes were sent.

    The manifest goes last: what is interrupted leaves no image, and is done again
    without the layers that had arrived.  Raises :class:`Refused` if the tag names
    another image: tags never move.
    """
    there = await registry.manifest(repository, tag)
    if there is not None:
        if there.digest != image.digest:
            raise Refused(
                "TagTaken",
                f"{repository}:{tag} is {there.digest} already, and is not moved to"
                f" {image.digest}: a release is built once, push that",
            )
        return 0
    sent = 0
    blobs = [(layer.digest, layer.file.read_bytes()) for layer in image.layers]
    for digest, data in (*blobs, (image.config.digest, image.config.data)):
        if await registry.put_blob(repository, data):
            sent += len(data)
            say(f"{digest}: sent, {len(data)} bytes")
        else:
            say(f"{digest}: was there")
    await registry.put_manifest(repository, tag, image.manifest)
    return sent


async def sign(
    registry: RemoteRegistry, reference: ImageReference, signer: Signer
) -> bool:
    """Add the signature of *signer*'s key; False if the image has it already."""
    await _manifest(registry, reference)
    key = load_key(await signer.public_key())
    payload = payload_of(reference.repository, reference.digest)
    there = await read_signatures(registry, reference)
    if any(one.payload == payload and is_signed_by(one, (key,)) for one in there):
        return False
    made = Signature(payload, await signer.sign(payload))
    if not is_signed_by(made, (key,)):
        raise Refused("WrongSignature", "what KMS signed, its own key does not confirm")
    if len(there) >= MOST_SIGNATURES:
        raise Refused("TooManySignatures", f"{reference.text} has {len(there)} already")
    manifest, config = documents_of((*there, made))
    for data in (payload, config.data):
        await registry.put_blob(reference.name, data)
    await registry.put_manifest(reference.name, reference.signature_tag, manifest)
    if made not in await read_signatures(registry, reference):
        raise Refused(
            "SignedAtOnce", "somebody else signed at the same moment: sign once more"
        )
    return True


async def read_signatures(
    registry: RemoteRegistry, reference: ImageReference
) -> tuple[Signature, ...]:
    """All signatures of an image, of whatever key."""
    found = await registry.manifest(reference.name, reference.signature_tag)
    if found is None:
        return ()
    return tuple(
        [
            Signature(await registry.blob(reference.name, digest), signature)
            for digest, signature in layers_of(found.data)
        ]
    )


@define(frozen=True)
class Verified:
    """What a host would pull: *size* in bytes, and the image's own labels."""

    size: int
    labels: dict[str, str]
    signatures: int


async def verify(
    registry: RemoteRegistry, reference: ImageReference, keys: tuple[str, ...]
) -> Verified:
    """Check what a host checks: a signature of one of *keys* (PEM) for this repository
    and digest; then every byte; then the architecture.  Raises :class:`NotRight`.
    """
    signatures = await read_signatures(registry, reference)
    loaded = tuple(map(load_key, keys))
    raise_if_not_signed(signatures, loaded, reference.repository, reference.digest)
    told = await _manifest(registry, reference)
    try:
        config = json.loads(await _blob(registry, reference, told["config"]["digest"]))
        diff_ids = config["rootfs"]["diff_ids"]
        sizes = {layer["digest"]: int(layer["size"]) for layer in told["layers"]}
        architecture, labels = config["architecture"], config["config"]["Labels"]
    except (ValueError, KeyError, TypeError):
        raise NotRight("its manifest is no image's") from None
    if architecture != ARCHITECTURE:
        raise NotRight(f"it is for {architecture}, and hosts are {ARCHITECTURE}")
    if len(diff_ids) != len(sizes):
        raise NotRight("its configuration tells of other layers")
    for digest, size in sizes.items():
        if len(await _blob(registry, reference, digest)) != size:
            raise NotRight(f"layer {digest} has another size than its manifest says")
    return Verified(sum(sizes.values()), labels or {}, len(signatures))


async def _manifest(
    registry: RemoteRegistry, reference: ImageReference
) -> dict[str, Any]:
    found = await registry.manifest(reference.name, reference.digest)
    if found is None:
        raise NotRight(f"{reference.text} is not in the registry")
    try:
        told: dict[str, Any] = json.loads(found.data)
    except ValueError:
        raise NotRight("its manifest is not JSON") from None
    return told


async def _blob(
    registry: RemoteRegistry, reference: ImageReference, digest: str
) -> bytes:
    try:
        return await registry.blob(reference.name, digest)
    except Refused as e:
        raise NotRight(f"layer {digest}: {e.message}") from None
