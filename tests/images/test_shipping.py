"""Images in a real registry: pushed, signed by KMS, checked, refused, deleted."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve
from twisted.trial.unittest import TestCase

from lae_protocol.secret import Secret
from lae_provision.errors import AlreadyThere, ProvisionError, Refused, TryLater
from lae_provision.hosts.programs import ImageReference
from lae_provision.images import shipping, signature
from lae_provision.images.folder import Image
from lae_provision.images.manifest import Document
from lae_provision.images.remote_registry import RemoteRegistry, TokenRefused
from lae_provision.images.signature import NotRight
from tests.images.registry_bench import RegistryBench
from tests.images.small import small_image

_numbers = iter(range(1000))


class Registry(TestCase):
    """A repository of its own for each test."""

    @pytest.fixture(autouse=True)
    def _bench(self, registry_facts: dict[str, Any]) -> None:
        self.facts = registry_facts

    async def setUp(self) -> None:
        self.name = f"local/node{next(_numbers)}"
        self.bench = RegistryBench(self.facts)
        self.addCleanup(self.bench.close)
        self.addCleanup(self.bench.control, "DELETE", "faults")
        self.registry = self.bench.registry()
        self.cloud = self.bench.cloud()
        self.folder = Path(tempfile.mkdtemp())
        await self.cloud.repositories.make(self.name, self.facts["kms_key_arn"], {})

    def image(self, content: str = "hello", version: str = "1.0") -> Image:
        return small_image(self.folder, content, version)

    async def pushed(self, image: Image, tag: str = "v1") -> ImageReference:
        await shipping.push(self.registry, self.name, image, tag)
        return self.bench.reference(self.name, image.digest)

    async def signed(self, image: Image, key: str = "alias/images") -> ImageReference:
        reference = await self.pushed(image)
        await self.sign(reference, key)
        return reference

    async def sign(self, reference: ImageReference, key: str = "alias/images") -> bool:
        signer = self.bench.key(key)
        await signer.make("local")
        return await shipping.sign(self.registry, reference, signer)

    async def public(self, *keys: str) -> tuple[str, ...]:
        made = []
        for alias in keys or ("alias/images",):
            signer = self.bench.key(alias)
            await signer.make("local")
            made.append(await signer.public_key())
        return tuple(made)

    async def refuses(self, words: str, reference: ImageReference, *keys: str) -> None:
        trusted = await self.public(*keys)
        with pytest.raises(NotRight, match=words):
            await shipping.verify(self.registry, reference, trusted)


class Pushing(Registry):
    async def test_what_is_pushed_is_there_with_its_size(self) -> None:
        """ECR lists the image under its tag, its digest and the size of its layers."""
        image = self.image()
        await self.pushed(image, "0.1.0-gabc")
        (stored,) = await self.cloud.repositories.images(self.name) or ()
        assert (stored.digest, stored.tags) == (image.digest, ("0.1.0-gabc",))
        assert stored.size == sum(layer.size for layer in image.layers)

    async def test_a_second_push_sends_nothing(self) -> None:
        """The same release again is done already; a new tag sends no layer again."""
        image = self.image()
        sent = await shipping.push(self.registry, self.name, image, "v1")
        assert sent == image.size
        assert await shipping.push(self.registry, self.name, image, "v1") == 0
        assert await shipping.push(self.registry, self.name, image, "v2") == 0

    async def test_new_code_alone_sends_one_layer(self) -> None:
        """A layer that the registry has is not sent for another image."""
        old, new = self.image("old", "1"), self.image("new", "2")
        both = evolve(new, layers=(*old.layers, *new.layers))
        await self.pushed(old)
        sent = await shipping.push(self.registry, self.name, both, "v2")
        assert sent == new.layers[0].size + len(new.config.data)

    async def test_an_interrupted_push_leaves_no_image(self) -> None:
        """Cut while a layer is sent, again and again, it fails; then it is repeated, and
        what had arrived is not sent again.
        """
        image = self.image()
        self.bench.fault("registry", "PutImage", "lost-call", times=4)
        with pytest.raises(TryLater):
            await self.pushed(image)
        assert await self.cloud.repositories.images(self.name) == ()
        assert await shipping.push(self.registry, self.name, image, "v1") == 0
        assert len(await self.cloud.repositories.images(self.name) or ()) == 1

    async def test_a_cut_is_mended_by_the_push_itself(self) -> None:
        """One lost call, or one lost answer, or a registry that is too busy, are tried
        again.
        """
        for action, kind in (
            ("CompleteLayerUpload", "lost-call"),
            ("CompleteLayerUpload", "lost-reply"),
            ("InitiateLayerUpload", "throttle"),
            ("PutImage", "error-before"),
        ):
            self.bench.fault("registry", action, kind)
        await self.pushed(self.image())
        assert len(await self.cloud.repositories.images(self.name) or ()) == 1

    async def test_a_full_registry_is_told(self) -> None:
        """A registry that cannot take a layer for long ends the push in its words."""
        self.bench.fault(
            "registry", "CompleteLayerUpload", "error-before", times=9, code="FULL"
        )
        with pytest.raises(TryLater, match="FULL"):
            await self.pushed(self.image())

    async def test_a_tag_never_moves(self) -> None:
        """Neither the command nor the registry lets a tag name another image."""
        await self.pushed(self.image("one", "1"))
        other = self.image("two", "2")
        with pytest.raises(Refused, match="is not moved"):
            await self.pushed(other)
        await self.pushed(other, "v2")
        with pytest.raises(Refused, match="cannot be overwritten"):
            await self.registry.put_manifest(self.name, "v1", other.manifest)

    async def test_a_manifest_without_its_layers_is_refused(self) -> None:
        """The registry takes no image of which a part is missing."""
        with pytest.raises(Refused, match="MANIFEST_BLOB_UNKNOWN"):
            await self.registry.put_manifest(self.name, "v1", self.image().manifest)


class Tokens(Registry):
    async def test_a_token_that_ends_is_replaced(self) -> None:
        """A push that takes longer than its token goes on with a new one."""
        self.bench.control("PUT", "slowness", {"token": 0.2})
        self.addCleanup(self.bench.control, "PUT", "slowness", {"token": 0})
        self.bench.fault("registry", "CompleteLayerUpload", "delay", seconds=0.3)
        await self.pushed(self.image())
        assert len(await self.cloud.repositories.images(self.name) or ()) == 1

    async def test_rights_are_asked_at_each_call(self) -> None:
        """Somebody who may get a token, as the daemon's user may not even, pushes and
        pulls nothing by it without the rights.
        """
        daemon = self.bench.cloud(
            self.facts["daemon_access_key"], self.facts["daemon_secret_key"]
        )
        with pytest.raises(ProvisionError, match="not authorized"):
            await self.bench.registry(daemon).manifest(self.name, "v1")
        registry = self.bench.registry()
        broken = evolve(registry, tokens=Constant())
        with pytest.raises(TokenRefused, match="Not Authorized"):
            await broken.manifest(self.name, "v1")

    async def test_another_repository_does_not_exist(self) -> None:
        """A push into a repository that nobody made is refused by its name."""
        with pytest.raises(Refused, match="'local/nothing' does not exist"):
            await shipping.push(self.registry, "local/nothing", self.image(), "v1")


class Constant:
    """Gives a token that nobody was given."""

    async def current(self, *, ended: bool = False) -> Secret:
        return Secret("QVdTOm5vdGhpbmc=")


class Signing(Registry):
    async def test_what_kms_signed_is_right(self) -> None:
        """The signature verifies by the public key alone, and all bytes are there."""
        image = self.image()
        told = await shipping.verify(
            self.registry, await self.signed(image), await self.public()
        )
        assert told.signatures == 1
        assert told.labels == image.labels

    async def test_signing_twice_adds_nothing(self) -> None:
        """The same key's second signature would say nothing new."""
        reference = await self.signed(self.image())
        assert not await self.sign(reference)
        assert len(await shipping.read_signatures(self.registry, reference)) == 1

    async def test_a_second_key_adds_its_signature(self) -> None:
        """While keys change, hosts that know either key take the image."""
        reference = await self.signed(self.image())
        assert await self.sign(reference, "alias/next")
        for key in ("alias/images", "alias/next"):
            told = await shipping.verify(
                self.registry, reference, await self.public(key)
            )
            assert told.signatures == 2

    async def test_kms_that_refuses_leaves_the_image_unsigned(self) -> None:
        """The refusal is told, nothing is stored, and hosts go on refusing."""
        reference = await self.pushed(self.image())
        await self.public()
        self.bench.fault(
            "kms", "Sign", "error-before", status=400, code="AccessDeniedException"
        )
        with pytest.raises(Refused, match="AccessDenied"):
            await self.sign(reference)
        await self.refuses("not signed", reference)
        assert await self.sign(reference)

    async def test_a_signature_that_was_lost_is_made_again(self) -> None:
        """The registry goes away before it has the signature: the next try does it."""
        reference = await self.pushed(self.image())
        self.bench.fault("registry", "PutImage", "lost-call", times=4)
        with pytest.raises(TryLater):
            await self.sign(reference)
        await self.refuses("not signed", reference)
        assert await self.sign(reference)

    async def test_a_key_of_another_kind_signs_nothing(self) -> None:
        """A key for encryption is refused before anything is asked of it."""
        reference = await self.pushed(self.image())
        key = self.cloud.signing_key(self.facts["kms_key_arn"])
        with pytest.raises(
            Refused, match="signs no images: that takes an ECC_NIST_P256"
        ):
            await shipping.sign(self.registry, reference, key)

    async def test_what_is_not_there_is_not_signed(self) -> None:
        """A digest that the registry does not have gets no signature."""
        reference = self.bench.reference(self.name, "sha256:" + "0" * 64)
        with pytest.raises(NotRight, match="not in the registry"):
            await self.sign(reference)


class Verifying(Registry):
    async def test_the_unsigned_is_refused(self) -> None:
        """As a host does."""
        await self.refuses("not signed", await self.pushed(self.image()))

    async def test_a_strangers_signature_is_refused(self) -> None:
        """A signature of a key that hosts do not have is none."""
        reference = await self.signed(self.image(), "alias/stranger")
        await self.refuses("by another key", reference)

    async def test_a_replayed_signature_is_refused(self) -> None:
        """A right signature beside another image, or in another repository, is for what
        it says.
        """
        image = self.image("one", "1")
        first = await self.signed(image)
        (one,) = await shipping.read_signatures(self.registry, first)
        second = await self.pushed(self.image("two", "2"), "v2")
        await self.store(second, one)
        await self.refuses(f"is for {first.digest}", second)

        await self.cloud.repositories.make(f"{self.name}x", None, {})
        other = self.bench.reference(f"{self.name}x", first.digest)
        await shipping.push(self.registry, other.name, image, "v1")
        await self.store(other, one)
        await self.refuses(f"is for {first.repository}", other)

    async def store(self, reference: ImageReference, one: signature.Signature) -> None:
        manifest, config = signature.documents_of((one,))
        for data in (one.payload, config.data):
            await self.registry.put_blob(reference.name, data)
        await self.registry.put_manifest(
            reference.name, reference.signature_tag, manifest
        )

    async def test_a_changed_layer_is_refused(self) -> None:
        """A registry that was broken into gives other bytes: they are not the digest's."""
        image = self.image("changed, tests/images/test_shipping.py")
        reference = await self.signed(image)
        name = image.layers[0].digest.removeprefix("sha256:")
        state = Path(self.facts["registry"]["authority"]).parent
        (held,) = (state / "docker/data").rglob(f"{name}/data")
        held.write_bytes(held.read_bytes()[:-1] + b"x")
        await self.refuses("other bytes", reference)

    async def test_another_architecture_is_refused_by_its_name(self) -> None:
        """An image for arm64 is right and signed, and no host of ours can run it."""
        image = self.image()
        config = Document(
            image.config.data.replace(b'"amd64"', b'"arm64"'), image.config.media_type
        )
        manifest = image.manifest.data.replace(
            image.config.digest.encode(), config.digest.encode()
        )
        other = evolve(
            image, config=config, manifest=Document(manifest, image.manifest.media_type)
        )
        await self.refuses("it is for arm64", await self.signed(other))

    async def test_what_is_no_signature_is_refused(self) -> None:
        """An image under the tag of the signature is not cosign's."""
        image = self.image()
        reference = await self.pushed(image)
        await self.registry.put_manifest(
            self.name, reference.signature_tag, image.manifest
        )
        await self.refuses("not signed", reference)


class Repositories(Registry):
    async def test_a_repository_is_made_once(self) -> None:
        """Encrypted by KMS, with tags that stay but for the signatures', and a lifecycle
        for what no tag names alone.
        """
        await self.cloud.repositories.make(self.name, self.facts["kms_key_arn"], {})
        ask = self.cloud.repositories._ask
        told = await ask("DescribeRepositories", repositoryNames=[self.name])
        (found,) = told["repositories"]
        assert found["encryptionConfiguration"] == {
            "encryptionType": "KMS",
            "kmsKey": self.facts["kms_key_arn"],
        }
        assert found["imageTagMutability"] == "IMMUTABLE_WITH_EXCLUSION"
        text = (await ask("GetLifecyclePolicy", repositoryName=self.name))[
            "lifecyclePolicyText"
        ]
        (rule,) = json.loads(text)["rules"]
        assert rule["selection"]["tagStatus"] == "untagged"

    async def test_a_repository_with_tags_that_move_is_refused(self) -> None:
        """What somebody else made differently is not taken for ours."""
        await self.cloud.repositories._ask(
            "CreateRepository", repositoryName=f"{self.name}m"
        )
        with pytest.raises(AlreadyThere, match="may be moved"):
            await self.cloud.repositories.make(f"{self.name}m", None, {})

    async def test_deleted_images_are_not_pulled(self) -> None:
        """After ``BatchDeleteImage`` the registry has the image no more; deleting it
        again is fine.
        """
        image = self.image()
        await self.pushed(image)
        for _ in range(2):
            await self.cloud.repositories.delete(self.name, (image.digest,))
        assert await self.registry.manifest(self.name, image.digest) is None
        assert await self.cloud.repositories.images(self.name) == ()
        assert await self.cloud.repositories.images("local/nothing") is None


def test_uploads_go_to_the_registry_alone() -> None:
    """A registry that sends an upload, and with it the token, elsewhere is refused."""
    registry = RemoteRegistry(None, None, None, "https://r.example", None)  # type: ignore[arg-type]
    sending = registry._once("PUT", "https://evil.example/x", {201})
    with pytest.raises(Refused, match="another host"):
        sending.send(None)
