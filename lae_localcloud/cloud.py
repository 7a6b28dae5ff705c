"""The AWS stand-in whole: moto, the fronts, the store, the booter; one object graph."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any, Literal

import attrs
from attrs import define, field
from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.web.resource import Resource

from lae_localcloud.account.calls import Call
from lae_localcloud.account.moto import ACCOUNT_ID, Moto
from lae_localcloud.account.principals import Principal
from lae_localcloud.account.setup import (
    Deployment,
    Ground,
    SetUp,
    own_zone,
    prepare,
    wanted_here,
    whole,
)
from lae_localcloud.booter.booter import Booter, BooterOptions
from lae_localcloud.cloudformation.calls_signed import CallersKey
from lae_localcloud.cloudformation.stacks_service import StacksService
from lae_localcloud.cloudformation.works_on_stacks import StackWorks
from lae_localcloud.control import Control
from lae_localcloud.exchange import ApiRequest, ApiResponse
from lae_localcloud.faults import FaultBook
from lae_localcloud.front.ec2 import Ec2
from lae_localcloud.front.gate import Gate, no_answer
from lae_localcloud.front.machines import InstanceState, Machines
from lae_localcloud.front.route53 import Route53
from lae_localcloud.front.slowness import Slowness
from lae_localcloud.front.trouble import Trouble
from lae_localcloud.front.web import AwsFront
from lae_localcloud.listening import Listening, listen
from lae_localcloud.metal.doors import HTTPS
from lae_localcloud.metal.machines import Inside, Metal
from lae_localcloud.metal.rules import AMAZON, RESOLVER, SERVICES
from lae_localcloud.models.wrong import WrongRequests
from lae_localcloud.names.knot import Knot, Place, find_program
from lae_localcloud.names.serving import Serving
from lae_localcloud.ports import free_ports
from lae_localcloud.registry.registry import Registry, RegistryFacts, RegistryOptions
from lae_localcloud.registry.tokens import TokenBook
from lae_localcloud.s3.configuration import Configuration
from lae_localcloud.s3.forward import Store
from lae_localcloud.s3.front import S3Front
from lae_localcloud.s3.permission import Permissions
from lae_localcloud.s3.weed import Weed
from lae_localcloud.state_folder import write_private
from lae_protocol.aws.credentials import StaticCredentials
from lae_protocol.aws.sigv4 import Credentials
from lae_protocol.secret import Secret
from lae_provision.aws.cloud import open_cloud
from lae_provision.aws.cloudformation import open_account


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
    #: Where the name server listens (a free port where it is 0), if there is to be one.
    names: Place | None = field(factory=Place)
    slowness: Slowness = field(factory=Slowness)
    booter: BooterOptions = field(factory=BooterOptions)
    #: ``process``: instances are processes; ``metal``: machines (root on Linux).
    level: Literal["process", "metal"] = "process"
    #: Ports of loopback that hosts reach, too (metal level): the daemon's for hosts.
    ports_for_hosts: tuple[int, ...] = ()
    #: None: there are no images to pull.
    registry: RegistryOptions | None = None


@define(frozen=True)
class CloudFacts:
    """Where it is and what is in it; written to ``STATE/aws.json``, 0600."""

    aws_endpoint: str
    s3_endpoint: str
    control_url: str
    #: Address and port of the zones' name server; None where there is none.
    names: str | None
    account: SetUp
    #: The same as hosts see it (metal level).
    inside: Inside | None = None
    registry: RegistryFacts | None = None

    def as_json(self) -> str:
        """Flat: the endpoints beside the account's ids, keys among them."""
        account = attrs.asdict(self.account)
        admin, daemon = account.pop("admin"), account.pop("daemon")
        return json.dumps(
            {
                "aws_endpoint": self.aws_endpoint,
                "s3_endpoint": self.s3_endpoint,
                "control_url": self.control_url,
                "names": self.names,
                "inside": None if self.inside is None else attrs.asdict(self.inside),
                "registry": self.registry
                and {
                    **attrs.asdict(self.registry),
                    "authority": str(self.registry.authority),
                },
                **account,
                "access_key": admin["access_key"],
                "secret_key": admin["secret_key"],
                "daemon_access_key": daemon["access_key"],
                "daemon_secret_key": daemon["secret_key"],
            },
            indent=1,
        )


@define(frozen=True)
class _Heard:
    """:class:`~lae_localcloud.front.machines.Heard`, by two functions."""

    state: Callable[[str, InstanceState], None]
    public_address: Callable[[str, str | None], None]


def _knot(reactor: Any, options: CloudOptions, metal: Metal | None) -> Knot | None:
    """Make the name server, unless nobody wants one or Debian's package is missing."""
    place = options.names
    if place is None or find_program("knotd") is None:
        return None
    if metal is not None:
        place = Place(RESOLVER, 53, metal.network.cloud.words())
    if not place.port:
        place = attrs.evolve(place, port=free_ports(1)[0])
    return Knot(reactor, options.state_dir / "names", place)


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
        self.metal: Metal | None = None
        self.machines: Machines
        made_of: Any = (reactor, options.state_dir / "instances", self.moto)
        more: Any = {
            "options": options.booter,
            "slowness": self.slowness,
            "heard": _Heard(self._set_state, self._set_public_address),
        }
        if options.level == "metal":
            self.machines = self.metal = Metal(*made_of, **more)
        else:
            self.machines = Booter(*made_of, **more)
        permissions = Permissions(self.moto)
        trouble = Trouble(reactor, self.faults)
        self._names = Serving(
            reactor, _knot(reactor, options, self.metal), self.slowness
        )
        control = Control(
            self.faults,
            self.slowness,
            self.machines,
            self._names.press,
            self._press_volume,
        )
        wrong = WrongRequests.of()
        self.registry = None
        if self.metal is not None and options.registry is not None:
            options = attrs.evolve(options, registry=RegistryOptions(self._ecr_name))
        if options.registry is not None:
            self.registry = Registry(
                reactor,
                options.state_dir / "registry",
                self.moto,
                tokens=TokenBook(now, self.slowness),
                trouble=trouble,
                options=options.registry,
            )
        self._configuration = Configuration(self.moto, self._weed)
        self._s3 = S3Front(
            permissions,
            self._configuration,
            Store(reactor, self._weed, self.slowness),
            trouble=trouble,
            control=control,
            region=options.region,
            now=now,
            wrong=wrong,
        )
        self._ec2 = Ec2(
            self.moto,
            self.machines,
            self.slowness,
            now,
            reactor.callFromThread,
            on_loopback=self.metal is None,
        )
        self._route53 = Route53(self.moto, self._names, now, reactor.callFromThread)
        self._works = StackWorks(
            reactor,
            options.region,
            now=now,
            slowness=self.slowness,
            front=self._ask,
        )
        self._stacks = StacksService(self._works)
        gate = Gate(
            self.moto,
            self._ec2,
            self._route53,
            now=now,
            changed=lambda: reactor.callFromThread(permissions.forget),
            wrong=wrong,
            of_registry=self.registry.answer if self.registry else no_answer,
        )
        self._aws = AwsFront(
            self.moto,
            gate,
            trouble,
            control,
            s3=self._s3,
            stacks=self._answer_about_stacks,
        )
        self._listening: list[Listening] = []

    async def start(self) -> CloudFacts:
        """Moto and the store come up at the same time; then the doors open."""
        stored = Deferred.fromCoroutine(self._weed.start())
        registry = None if self.registry is None else await self.registry.start()
        opened = Deferred.fromCoroutine(self.machines.open())
        await self.moto.start()
        deployment = self._options.deployment
        ground = await self.moto.run(prepare, self.moto, deployment)
        await opened
        if self.metal is not None:
            await self.moto.run(own_zone, self.moto, AMAZON, {self._ecr_name: SERVICES})
        await self._names.start(await self.moto.run(self._route53.zones))
        await stored
        aws = self._open(self._aws, self._options.aws_port)
        s3 = self._open(self._s3, self._options.s3_port)
        account = await self._set_up(ground, aws, s3)
        inside = None
        if self.metal is not None:
            ports = self._options.ports_for_hosts
            inside = self.metal.inside(self._aws, self._s3, ports)
            if self.registry is not None:
                self.metal.doors.open(self.registry.factory, HTTPS)
        control, names = f"{aws}/_control/", self._names.where
        facts = CloudFacts(aws, s3, control, names, account, inside, registry)
        write_private(self._options.state_dir / "aws.json", facts.as_json())
        certificate = self._options.state_dir / "instance-identity.pem"
        certificate.write_bytes(self.machines.certificate())
        return facts

    async def stop(self) -> None:
        """End instances, store and moto; all is forgotten."""
        for listening in self._listening:
            await listening.close()
        self._works.stop()
        # It may run in the machines' network.
        await self._names.stop()
        await self.machines.stop_all()
        await self._weed.stop()
        if self.registry is not None:
            await self.registry.stop()
        self.moto.stop()

    async def _ask(self, request: ApiRequest) -> ApiResponse:
        return await self._aws.ask(request)

    def _answer_about_stacks(
        self, call: Call, request: ApiRequest, caller: Principal
    ) -> ApiResponse:
        key = CallersKey(caller.access_key, caller.secret_key, caller.token)
        return self._stacks.answer(call, request, key)

    @property
    def _ecr_name(self) -> str:
        return f"{ACCOUNT_ID}.dkr.ecr.{self._options.region}.{AMAZON}"

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
        account = open_account(cloud.channel, desired)
        made = await account.apply(lambda _: None, self._say)
        return await self.moto.run(
            whole, self.moto, desired, ground, made.stack.outputs
        )

    def _say(self, line: str) -> None:
        self._log.info("{line}", line=line.strip())

    def _press_volume(self, volume: str, what: str) -> bool:
        return self._ec2.volumes.press(volume, what)

    def _set_public_address(self, instance_id: str, address: str | None) -> None:
        self._log.info(
            "{instance} is at {address}", instance=instance_id, address=address
        )
        done = self.moto.run(self._ec2.set_public_address, instance_id, address)
        done.addErrback(lambda f: self._log.failure("an address", failure=f))

    def _set_state(self, instance_id: str, state: InstanceState) -> None:
        self._log.info("{instance} is {state}", instance=instance_id, state=state)
        done = self.moto.run(self._ec2.set_state, instance_id, state)
        done.addErrback(lambda f: self._log.failure("state of an instance", failure=f))
