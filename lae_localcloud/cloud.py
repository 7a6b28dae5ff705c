"""The AWS stand-in whole: moto, the fronts, the store, the booter; one object graph."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any

import attrs
from attrs import define, field
from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.web.resource import Resource

from lae_localcloud.account.moto import Moto
from lae_localcloud.account.setup import (
    Deployment,
    Ground,
    SetUp,
    prepare,
    wanted_here,
    whole,
)
from lae_localcloud.booter.booter import Booter, BooterOptions
from lae_localcloud.control import Control
from lae_localcloud.faults import FaultBook
from lae_localcloud.front.ec2 import Ec2
from lae_localcloud.front.gate import Gate
from lae_localcloud.front.machines import InstanceState
from lae_localcloud.front.slowness import Slowness
from lae_localcloud.front.trouble import Trouble
from lae_localcloud.front.web import AwsFront
from lae_localcloud.listening import Listening, listen
from lae_localcloud.s3.configuration import Configuration
from lae_localcloud.s3.forward import Store
from lae_localcloud.s3.front import S3Front
from lae_localcloud.s3.permission import Permissions
from lae_localcloud.s3.weed import Weed
from lae_localcloud.state_folder import write_private
from lae_protocol.aws.credentials import StaticCredentials
from lae_protocol.aws.sigv4 import Credentials
from lae_protocol.secret import Secret
from lae_provision.account.account import Account
from lae_provision.account.difference import Difference
from lae_provision.aws.cloud import open_cloud


@define(frozen=True)
class CloudOptions:
    """*state_dir* must be fresh: nothing is remembered from one run to the next.

    Ports are free ones where they are 0.
    """

    state_dir: Path
    region: str = "eu-west-1"
    deployment: Deployment = field(factory=lambda: Deployment("local", "s4.test"))
    #: First and last that hosts are reached on.
    ports: tuple[int, int] = (1024, 65535)
    aws_port: int = 0
    s3_port: int = 0
    slowness: Slowness = field(factory=Slowness)
    booter: BooterOptions = field(factory=BooterOptions)


@define(frozen=True)
class CloudFacts:
    """Where it is and what is in it; written to ``STATE/aws.json``, 0600."""

    aws_endpoint: str
    s3_endpoint: str
    control_url: str
    account: SetUp

    def as_json(self) -> str:
        """Flat: the endpoints beside the account's ids, keys among them."""
        account = attrs.asdict(self.account)
        admin, daemon = account.pop("admin"), account.pop("daemon")
        return json.dumps(
            {
                "aws_endpoint": self.aws_endpoint,
                "s3_endpoint": self.s3_endpoint,
                "control_url": self.control_url,
                **account,
                "access_key": admin["access_key"],
                "secret_key": admin["secret_key"],
                "daemon_access_key": daemon["access_key"],
                "daemon_secret_key": daemon["secret_key"],
            },
            indent=1,
        )


def wall_clock() -> datetime:
    """Now: signatures and sessions are about real time."""
    return datetime.now(UTC)


class Cloud:
    """Made whole, then started, then stopped."""

    _log = Logger()

    def __init__(
        self,
        reactor: Any,
        options: CloudOptions,
        now: Callable[[], datetime] = wall_clock,
    ) -> None:
        self._reactor, self._options = reactor, options
        self.moto = Moto(reactor, options.region)
        self.faults = FaultBook()
        self.slowness = options.slowness
        self._weed = Weed(reactor, options.state_dir / "s3", options.region)
        self.booter = Booter(
            reactor,
            options.state_dir / "instances",
            self.moto,
            options=options.booter,
            slowness=self.slowness,
            on_state=self._set_state,
        )
        permissions = Permissions(self.moto)
        trouble = Trouble(reactor, self.faults)
        control = Control(
            self.faults, self.slowness, self.booter.listing, self.booter.kill
        )
        self._configuration = Configuration(self.moto, self._weed)
        self._s3 = S3Front(
            permissions,
            self._configuration,
            Store(reactor, self._weed),
            trouble=trouble,
            control=control,
            region=options.region,
            now=now,
        )
        self._ec2 = Ec2(
            self.moto, self.booter, self.slowness, now, reactor.callFromThread
        )
        gate = Gate(
            self.moto,
            self._ec2,
            now,
            lambda: reactor.callFromThread(permissions.forget),
        )
        self._aws = AwsFront(self.moto, gate, trouble, control, self._s3)
        self._listening: list[Listening] = []

    async def start(self) -> CloudFacts:
        """Moto and the store come up at the same time; then the doors open."""
        stored = Deferred.fromCoroutine(self._weed.start())
        await self.moto.start()
        deployment = self._options.deployment
        ground = await self.moto.run(prepare, self.moto, deployment)
        await stored
        aws = self._open(self._aws, self._options.aws_port)
        s3 = self._open(self._s3, self._options.s3_port)
        account = await self._set_up(ground, aws, s3)
        facts = CloudFacts(aws, s3, f"{aws}/_control/", account)
        write_private(self._options.state_dir / "aws.json", facts.as_json())
        certificate = self._options.state_dir / "instance-identity.pem"
        certificate.write_bytes(self.booter.certificate())
        return facts

    async def stop(self) -> None:
        """End instances, store and moto; all is forgotten."""
        for listening in self._listening:
            await listening.close()
        await self.booter.stop_all()
        await self._weed.stop()
        self.moto.stop()

    def _open(self, resource: Resource, port: int) -> str:
        listening = listen(self._reactor, resource, port)
        self._listening.append(listening)
        return listening.url

    async def _set_up(self, ground: Ground, aws: str, s3: str) -> SetUp:
        """What ``lae account apply`` does, as the account's owner."""
        region = self._options.region
        options = self._options
        desired = wanted_here(region, options.deployment, ground, options.ports)
        keys = Credentials(ground.admin.access_key, Secret(ground.admin.secret_key))
        cloud = open_cloud(
            self._reactor,
            Random(),  # noqa: S311  (jitter)
            StaticCredentials(keys),
            region,
            endpoint=aws,
            s3_endpoint=s3,
        )
        _, seen = await Account(cloud.channel, desired).apply(self._say_made)
        (group,) = seen.groups.groups
        return await self.moto.run(
            whole, self.moto, desired, ground, seen.key_arn or "", group.group_id
        )

    def _say_made(self, step: Difference) -> None:
        self._log.info("{thing}: {wanted}", thing=step.thing, wanted=step.wanted)

    def _set_state(self, instance_id: str, state: InstanceState) -> None:
        self._log.info("{instance} is {state}", instance=instance_id, state=state)
        done = self.moto.run(self._ec2.set_state, instance_id, state)
        done.addErrback(lambda f: self._log.failure("state of an instance", failure=f))
