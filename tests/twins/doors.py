"""The in-memory twins of :mod:`lae_provision.doors`.

They behave as AWS does where a caller could be caught out: a launch token remembers
its parameters and its instance, what was made is not visible at once, terminating an
instance that is not visible yet does nothing, a new instance profile is unknown to a
launch for some seconds, and the name of a bucket may be somebody else's.
"""

from __future__ import annotations

import base64
import secrets
from collections.abc import Callable
from typing import TypeVar

from attrs import define, evolve
from twisted.internet.interfaces import IReactorTime

from lae_protocol.secret import Secret
from lae_provision.doors import (
    BucketRequest,
    ConsoleOutput,
    Context,
    Host,
    HostKey,
    IAddresses,
    IBuckets,
    IDataKeys,
    IHosts,
    IRoles,
    IVault,
    LaunchRequest,
    Role,
    RoleRequest,
    Sealed,
)
from lae_provision.errors import (
    AlreadyThere,
    NoCapacity,
    Refused,
    TokenSpent,
    TryLater,
)
from tests.twins.cloud import Cloud, Instance, Made, moment
from tests.twins.weather import Weather, exposed, fair

T = TypeVar("T")


@define(frozen=True)
class Line:
    """How calls reach the cloud; *saved* is told after each effect."""

    cloud: Cloud
    clock: IReactorTime
    weather: Weather = fair
    late: float = 20.0
    saved: Callable[[], object] = lambda: None

    async def call(self, name: str, effect: Callable[[], T]) -> T:
        """Do *effect* in the cloud, as the weather lets it."""

        def kept() -> T:
            try:
                return effect()
            finally:
                self.saved()

        return await exposed(self.clock, self.weather, self.late, name, kept)

    @property
    def now(self) -> float:
        """Seconds on the cloud's clock."""
        return self.clock.seconds()


@define(frozen=True)
class MemoryBuckets(IBuckets):
    """See :class:`~lae_provision.doors.IBuckets`."""

    line: Line

    async def find(self, name: str) -> str | None:
        """See there."""

        def look() -> str | None:
            made = self.line.cloud.buckets.get(name)
            return name if made and made.visible_at <= self.line.now else None

        return await self.line.call("buckets.find", look)

    async def make(self, request: BucketRequest) -> None:
        """See there."""

        def effect() -> None:
            cloud = self.line.cloud
            if request.name in cloud.foreign_buckets:
                raise AlreadyThere("BucketAlreadyExists", request.name)
            there = cloud.buckets.get(request.name)
            if there is not None and there.request != request:
                raise AlreadyThere("BucketAlreadyOwnedByYou", request.name)
            if there is None:
                visible = self.line.now + cloud.visibility
                cloud.buckets[request.name] = Made(request, visible)
                cloud.objects[request.name] = {}

        return await self.line.call("buckets.make", effect)

    async def unmake(self, name: str) -> None:
        """See there."""

        def effect() -> None:
            self.line.cloud.buckets.pop(name, None)
            self.line.cloud.objects.pop(name, None)

        return await self.line.call("buckets.unmake", effect)


@define(frozen=True)
class MemoryRoles(IRoles):
    """See :class:`~lae_provision.doors.IRoles`."""

    line: Line

    async def find(self, name: str) -> Role | None:
        """See there."""

        def look() -> Role | None:
            made = self.line.cloud.roles.get(name)
            if made is None or made.visible_at > self.line.now:
                return None
            assert isinstance(made.request, RoleRequest)
            return Role(_arn(made), made.request.writes)

        return await self.line.call("roles.find", look)

    async def make(self, request: RoleRequest) -> str:
        """See there."""

        def effect() -> str:
            cloud = self.line.cloud
            there = cloud.roles.get(request.name)
            visible_at = self.line.now + cloud.visibility
            if there is not None:
                assert isinstance(there.request, RoleRequest)
                if evolve(there.request, writes=request.writes) != request:
                    raise AlreadyThere("EntityAlreadyExists", request.name)
                visible_at = there.visible_at
            there = cloud.roles[request.name] = Made(request, visible_at)
            return _arn(there)

        return await self.line.call("roles.make", effect)

    async def unmake(self, name: str) -> None:
        """See there."""

        def effect() -> None:
            self.line.cloud.roles.pop(name, None)

        return await self.line.call("roles.unmake", effect)


def _arn(role: Made) -> str:
    assert isinstance(role.request, RoleRequest)
    return f"arn:aws:iam::123456789012:role{role.request.path}{role.request.name}"


def _visible(line: Line) -> list[Host]:
    now = line.now
    return [i.shown(now) for i in line.cloud.live() if i.visible_at <= now]


@define(frozen=True)
class MemoryHosts(IHosts):
    """See :class:`~lae_provision.doors.IHosts`."""

    line: Line

    async def find(self, key: HostKey) -> Host | None:
        """See there."""

        def look() -> Host | None:
            seen = [h for h in _visible(self.line) if h.key == key]
            return seen[0] if seen else None

        return await self.line.call("hosts.find", look)

    async def make(self, request: LaunchRequest) -> Host:
        """See there."""

        def effect() -> Host:
            known = self.line.cloud.tokens.get(request.client_token)
            if known is None:
                return self._launch(request).shown(self.line.now)
            instance = self.line.cloud.instances[known]
            if instance.request != request:
                raise Refused("IdempotentParameterMismatch", "other parameters")
            if instance.terminated:
                raise TokenSpent("IdempotentInstanceTerminated", known)
            return instance.shown(self.line.now)

        return await self.line.call("hosts.make", effect)

    async def unmake(self, instance_id: str) -> None:
        """See there."""

        def effect() -> None:
            instance = self.line.cloud.instances.get(instance_id)
            # EC2 answers that it does not know the id; that is taken for "gone".
            if instance is not None and instance.visible_at <= self.line.now:
                instance.terminated = True

        return await self.line.call("hosts.unmake", effect)

    async def list(self, deployment: str) -> tuple[Host, ...]:
        """See there."""

        def look() -> tuple[Host, ...]:
            hosts = _visible(self.line)
            return tuple(h for h in hosts if h.key.deployment == deployment)

        return await self.line.call("hosts.list", look)

    async def console(self, instance_id: str) -> ConsoleOutput | None:
        """See there."""

        def look() -> ConsoleOutput | None:
            instance = self.line.cloud.instances.get(instance_id)
            if instance is None or instance.visible_at > self.line.now:
                return None
            return ConsoleOutput(instance.console, moment(self.line.now))

        return await self.line.call("hosts.console", look)

    def _launch(self, request: LaunchRequest) -> Instance:
        cloud, now = self.line.cloud, self.line.now
        role = cloud.roles.get(request.instance_profile)
        if role is None or now < role.visible_at + cloud.profile_delay:
            raise TryLater("InvalidIamInstanceProfile", "not known here yet")
        if len(cloud.live()) >= cloud.room:
            raise NoCapacity("InsufficientInstanceCapacity", "no room")
        cloud.launches += 1
        made = Instance(
            request,
            f"i-{cloud.launches:017x}",
            launched_at=now,
            visible_at=now + cloud.visibility,
            runs_at=now + cloud.boot,
            addressed_at=now + cloud.boot + cloud.addressing,
        )
        cloud.instances[made.instance_id] = made
        cloud.tokens[request.client_token] = made.instance_id
        return made


@define(frozen=True)
class MemoryAddresses(IAddresses):
    """See :class:`~lae_provision.doors.IAddresses`."""

    line: Line

    async def find(self, name: str) -> str | None:
        """See there."""
        return await self.line.call(
            "addresses.find", lambda: self.line.cloud.records.get(name)
        )

    async def make(self, name: str, address: str) -> str:
        """See there."""

        def effect() -> str:
            return self.line.cloud.change_name(self.line.now, name, address)

        return await self.line.call("addresses.make", effect)

    async def unmake(self, name: str) -> str | None:
        """See there."""

        def effect() -> str | None:
            cloud = self.line.cloud
            if name not in cloud.records:
                return None
            return cloud.change_name(self.line.now, name, None)

        return await self.line.call("addresses.unmake", effect)

    async def is_served(self, change: str) -> bool:
        """See there."""
        return await self.line.call(
            "addresses.is_served",
            lambda: self.line.cloud.is_served(self.line.now, change),
        )

    async def list(self) -> dict[str, str]:
        """See there."""
        return await self.line.call(
            "addresses.list", lambda: dict(self.line.cloud.records)
        )


@define(frozen=True)
class MemoryVault(IVault):
    """See :class:`~lae_provision.doors.IVault`."""

    line: Line

    async def put(self, document: Sealed) -> None:
        """See there."""

        def effect() -> None:
            there = self.line.cloud.vault.setdefault(document.key, document)
            if there != document:
                raise AlreadyThere("PreconditionFailed", document.key)

        return await self.line.call("vault.put", effect)

    async def get(self, key: str) -> Sealed | None:
        """See there."""
        return await self.line.call("vault.get", lambda: self.line.cloud.vault.get(key))


@define(frozen=True)
class MemoryDataKeys(IDataKeys):
    """See :class:`~lae_provision.doors.IDataKeys`."""

    line: Line
    key_id: str = "memory-1"

    async def generate(self, context: Context) -> tuple[Secret, bytes, str]:
        """See there."""

        def effect() -> tuple[Secret, bytes, str]:
            text = base64.b64encode(secrets.token_bytes(32)).decode("ascii")
            wrapped = secrets.token_bytes(48)
            self.line.cloud.data_keys[wrapped] = (text, context)
            return Secret(text), wrapped, self.key_id

        return await self.line.call("data_keys.generate", effect)

    async def unwrap(self, wrapped: bytes, key_id: str, context: Context) -> Secret:
        """See there."""

        def effect() -> Secret:
            text, bound = self.line.cloud.data_keys.get(wrapped, ("", None))
            if key_id != self.key_id or bound != context:
                raise Refused("InvalidCiphertext", "wrapped by another key or context")
            return Secret(text)

        return await self.line.call("data_keys.unwrap", effect)
