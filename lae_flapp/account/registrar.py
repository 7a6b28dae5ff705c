"""The account's registry, as an administrator reaches it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from random import Random
from typing import Any, TypeVar

import click
from attrs import define
from twisted.internet.ssl import Certificate, trustRootFromCertificates

from lae_flapp.account.calling import run_with_cloud
from lae_flapp.settings import DaemonSettings
from lae_protocol.aws.agent import pooled_agent
from lae_protocol.aws.sigv4 import Credentials
from lae_protocol.aws.tls import NamedPeerPolicy
from lae_provision.aws.cloud import AwsCloud
from lae_provision.aws.repositories import EcrRepositories, RegistryTokens
from lae_provision.hosts.programs import ImageReference
from lae_provision.images.remote_registry import RemoteRegistry

T = TypeVar("T")


@define(frozen=True)
class Registrar:
    """The settings, and the keys to the account that they name."""

    settings: DaemonSettings
    keys: Credentials

    def repository(self, name: str) -> str:
        """The repository of one image."""
        return f"{self.settings.deployment}/{name}"

    def run(self, work: Callable[[AccountDoors], Awaitable[T]]) -> T:
        """Do *work* with the account's doors."""

        async def main(reactor: Any, cloud: AwsCloud) -> T:
            return await work(AccountDoors(reactor, cloud, self.settings))

        return run_with_cloud(self.settings.aws, self.keys, main)


@define(frozen=True)
class AccountDoors:
    """What the commands work with."""

    reactor: Any
    cloud: AwsCloud
    settings: DaemonSettings

    @property
    def repositories(self) -> EcrRepositories:
        """ECR."""
        return self.cloud.repositories

    async def registry(self) -> tuple[RemoteRegistry, str]:
        """The account's registry, and the host that images are named by."""
        tokens = RegistryTokens(self.repositories)
        name = (await tokens.look()).registry
        authority = self.settings.cells[0].program.registry_ca
        policy = None if authority is None else _policy(authority)
        agent = pooled_agent(self.reactor, policy)
        rng = Random()  # noqa: S311  (jitter)
        url = f"https://{name}"
        return RemoteRegistry(self.reactor, rng, agent, url, tokens), name

    async def registry_of(self, reference: ImageReference) -> RemoteRegistry:
        """The registry that an image is in; another account's is refused."""
        registry, name = await self.registry()
        if reference.registry != name:
            raise click.ClickException(
                f"{reference.registry} is not this account's registry ({name})"
            )
        return registry


def _policy(authority: Path) -> NamedPeerPolicy:
    """Believe the local cloud's authority, and no other."""
    made = Certificate.loadPEM(authority.read_bytes())
    root = trustRootFromCertificates([made])  # type: ignore[no-untyped-call]
    return NamedPeerPolicy(root)
