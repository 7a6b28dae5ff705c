"""Makes the AWS doors from the settings."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

from attrs import define
from twisted.web.iweb import IAgent

from lae_protocol.aws.agent import pooled_agent
from lae_protocol.aws.credentials import CredentialsSource
from lae_protocol.process.meter import Meter, unmetered
from lae_provision.aws.addresses import Route53Addresses
from lae_provision.aws.buckets import S3Buckets
from lae_provision.aws.caller import StsCaller
from lae_provision.aws.channel import Channel, Endpoints, Patience
from lae_provision.aws.data_keys import KmsDataKeys
from lae_provision.aws.hosts import Ec2Hosts
from lae_provision.aws.repositories import EcrRepositories
from lae_provision.aws.roles import IamRoles
from lae_provision.aws.signing_keys import KmsSigningKey
from lae_provision.aws.vault import S3Vault


@define(frozen=True)
class AwsCloud:
    """One region of one account, and its doors."""

    channel: Channel

    @property
    def caller(self) -> StsCaller:
        """Whose credentials these are: check the account at start."""
        return StsCaller(self.channel)

    @property
    def buckets(self) -> S3Buckets:
        """Customers' buckets."""
        return S3Buckets(self.channel)

    @property
    def roles(self) -> IamRoles:
        """Hosts' roles."""
        return IamRoles(self.channel)

    @property
    def hosts(self) -> Ec2Hosts:
        """Customers' hosts."""
        return Ec2Hosts(self.channel)

    def addresses(self, zone_id: str) -> Route53Addresses:
        """Names in one hosted zone."""
        return Route53Addresses(self.channel, zone_id)

    def vault(self, bucket: str) -> S3Vault:
        """Sealed documents in the state bucket."""
        return S3Vault(self.channel, bucket)

    @property
    def repositories(self) -> EcrRepositories:
        """Repositories of images."""
        return EcrRepositories(self.channel)

    def signing_key(self, key_id: str) -> KmsSigningKey:
        """A key that signs images."""
        return KmsSigningKey(self.channel, key_id)

    def data_keys(self, key_id: str) -> KmsDataKeys:
        """Data keys under one KMS key."""
        return KmsDataKeys(self.channel, key_id)


def open_cloud(
    reactor: Any,
    rng: Random,
    credentials: CredentialsSource,
    region: str,
    *,
    endpoint: str | None = None,
    s3_endpoint: str | None = None,
    agent: IAgent | None = None,
    patience: Patience | None = None,
    meter: Meter = unmetered,
    wall: Callable[[], float] | None = None,
) -> AwsCloud:
    """Make the doors of *region*, without any call.

    *endpoint* and *s3_endpoint* are None on AWS.  *agent* sends unsigned requests, with
    one pool for all cells (default: :func:`~lae_protocol.aws.agent.pooled_agent`).
    *meter* counts each try; *wall* is wall-clock time (default: the reactor's).
    """
    return AwsCloud(
        Channel(
            reactor,
            rng,
            agent or pooled_agent(reactor),
            credentials,
            Endpoints(region, endpoint, s3_endpoint),
            patience or Patience(),
            meter,
            wall,
        )
    )
