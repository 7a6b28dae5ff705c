"""The hosts' image of this tree: built, pushed to the local cloud's registry, signed.

What an operator does with ``lae image``, in the name of the account's owner.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

from twisted.internet.ssl import Certificate, trustRootFromCertificates
from twisted.internet.threads import deferToThread

from lae_localcloud.images import image_of_tree
from lae_localcloud.state_folder import write_private
from lae_protocol.aws.agent import pooled_agent
from lae_protocol.aws.credentials import StaticCredentials
from lae_protocol.aws.sigv4 import Credentials
from lae_protocol.aws.tls import NamedPeerPolicy
from lae_protocol.secret import Secret
from lae_provision.aws.cloud import AwsCloud, open_cloud
from lae_provision.aws.repositories import RegistryTokens
from lae_provision.hosts.programs import ImageReference
from lae_provision.images.folder import Image
from lae_provision.images.remote_registry import RemoteRegistry
from lae_provision.images.shipping import push, sign

#: The key that signs images of this deployment.
KEY = "alias/images"


def owners_cloud(reactor: Any, facts: dict[str, Any]) -> AwsCloud:
    """The account's doors, for its owner; *facts* are ``aws.json``'s."""
    keys = Credentials(facts["access_key"], Secret(facts["secret_key"]))
    return open_cloud(
        reactor,
        Random(),  # noqa: S311  (jitter)
        StaticCredentials(keys),
        facts["region"],
        endpoint=facts["aws_endpoint"],
        s3_endpoint=facts["s3_endpoint"],
    )


def open_registry(
    reactor: Any, facts: dict[str, Any], cloud: AwsCloud
) -> RemoteRegistry:
    """The registry, by the door that it has on this machine's loopback."""
    tokens = RegistryTokens(cloud.repositories)
    authority = Path(facts["registry"]["authority"]).read_bytes()
    authorities = [Certificate.loadPEM(authority)]
    root = trustRootFromCertificates(authorities)  # type: ignore[no-untyped-call]
    agent = pooled_agent(reactor, NamedPeerPolicy(root))
    url = facts["registry"]["url"]
    return RemoteRegistry(reactor, Random(), agent, url, tokens)  # noqa: S311  (jitter)


async def ship(
    reactor: Any, facts: dict[str, Any], image: Image, say: Callable[[str], None]
) -> tuple[ImageReference, str]:
    """Push and sign *image*; its name for hosts, and the public key (PEM)."""
    cloud = owners_cloud(reactor, facts)
    repository = f"{facts['deployment']}/node"
    await cloud.repositories.make(repository, None, {})
    key = cloud.signing_key(KEY)
    await key.make(facts["deployment"])
    registry = open_registry(reactor, facts, cloud)
    tag = image.digest.partition(":")[2][:12]
    sent = await push(registry, repository, image, tag)
    say(f"pushed {sent / 1e6:.1f} MB")
    host = facts["registry"]["name"]
    reference = ImageReference(f"{host}/{repository}@{image.digest}")
    await sign(registry, reference, key)
    say(f"signed {reference.text}")
    return reference, await key.public_key()


async def prepare_image(
    reactor: Any, folder: Path, cloud: Path, say: Callable[[str], None]
) -> None:
    """All of it for the cloud whose folder is *cloud*; the first time takes minutes."""
    say("building the hosts' image, unless it is in the cache ...")
    image: Image = await deferToThread(image_of_tree, "node")
    facts = json.loads((cloud / "aws.json").read_text())
    reference, public = await ship(reactor, facts, image, say)
    key = folder / "signing-1.pem"
    key.write_text(public)
    program = {
        "image": reference.text,
        "signing_keys": [str(key)],
        "registry_ca": facts["registry"]["authority"],
        "ecr_endpoint": f"{facts['inside']['aws_endpoint']}/",
    }
    write_private(folder / "program.json", json.dumps(program))
