"""What there is to do with a resource of one type."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar

from attrs import define

from lae_localcloud.cloudformation.calls_signed import ServiceRefused, Services
from lae_localcloud.cloudformation.evaluation import Known

Properties = Mapping[str, Any]
_WAITS = 120
_WAIT = 0.25  # s


@define(frozen=True)
class Spot:
    """Where a resource stands: in which stack, under which name, and the how manieth.

    *tell* hears of the physical id as soon as there is one: whatever fails after it,
    the resource is removed again.
    """

    stack: str
    stack_id: str
    name: str
    generation: int
    region: str
    account: str
    tell: Callable[[str], None]

    @property
    def token(self) -> str:
        """For calls that take a token: the same for the same resource."""
        said = f"{self.stack_id}/{self.name}/{self.generation}"
        return hashlib.sha256(said.encode()).hexdigest()[:32]

    def own_name(self, most: int = 64, *, lower: bool = False) -> str:
        """A physical name, where the template gives none."""
        name = f"{self.stack[:24]}-{self.name[:24]}-{self.token[:12].upper()}"[:most]
        return name.lower() if lower else name


class Kind:
    """One resource type.

    Making is not idempotent: AWS's handlers are not, either.  Removing what is gone is
    no error.  *takes*: the properties that are made true; a template with any other is
    refused, for none is ignored.  *attributes*: what Fn::GetAtt knows.  *names*: the
    property that names a resource of IAM; *of_iam*: a template with it needs a
    capability.
    """

    takes: ClassVar[tuple[str, ...]] = ()
    attributes: ClassVar[tuple[str, ...]] = ()
    names: ClassVar[str | None] = None
    of_iam: ClassVar[bool] = False
    #: Codes that mean "gone".
    gone: ClassVar[frozenset[str]] = frozenset()

    async def make(self, services: Services, said: Properties, spot: Spot) -> Known:
        """Make it; raises :class:`ServiceRefused`."""
        raise NotImplementedError

    async def change(
        self, services: Services, known: Known, before: Properties, after: Properties
    ) -> Known:
        """Change it without making it anew."""
        del services, before, after
        return known

    async def remove(self, services: Services, known: Known, said: Properties) -> None:
        """Take it away."""
        raise NotImplementedError

    async def look(
        self, services: Services, known: Known, said: Properties
    ) -> dict[str, Any] | None:
        """Properties as they are now, of those that can be read; None: it is gone."""
        raise NotImplementedError

    def needs_another(self, name: str, before: Properties, after: Properties) -> bool:
        """Tell whether a change of a property that may need a new one does so."""
        del name, before, after
        return False


def only_if(said: Properties, *names: str) -> dict[str, Any]:
    """Those properties that are there."""
    return {name: said[name] for name in names if name in said}


def differs(before: Properties, after: Properties, *names: str) -> bool:
    """Tell whether one of these properties is another one now."""
    return any(before.get(name) != after.get(name) for name in names)


def tags_of_kind(kind: str, said: Properties) -> dict[str, Any]:
    """EC2's parameter for tags at the making."""
    tags = said.get("Tags", [])
    return {"TagSpecifications": [{"ResourceType": kind, "Tags": tags}]} if tags else {}


def tags_to_change(
    before: Properties, after: Properties, name: str = "Tags"
) -> tuple[list[str], list[dict[str, str]]]:
    """Keys of tags that go, and all tags that are wanted if they differ at all."""
    old, new = before.get(name, []), after.get(name, [])
    kept = {tag["Key"] for tag in new}
    return [t["Key"] for t in old if t["Key"] not in kept], new if new != old else []


async def retag(
    services: Services, resource_id: str, before: Properties, after: Properties
) -> None:
    """Change the tags of a resource of EC2."""
    old, new = before.get("Tags", []), after.get("Tags", [])
    if old == new:
        return
    kept = {tag["Key"] for tag in new}
    gone = [{"Key": tag["Key"]} for tag in old if tag["Key"] not in kept]
    if gone:
        await services("ec2", "DeleteTags", Resources=[resource_id], Tags=gone)
    if new:
        await services("ec2", "CreateTags", Resources=[resource_id], Tags=new)


def read_tags(said: Properties, seen: Iterable[Mapping[str, str]]) -> dict[str, Any]:
    """Tags as they are now, of those that the template writes."""
    if "Tags" not in said:
        return {}
    found = {tag["Key"]: tag["Value"] for tag in seen}
    named = [tag["Key"] for tag in said["Tags"]]
    return {"Tags": [{"Key": k, "Value": found[k]} for k in named if k in found]}


def number(value: Any) -> int:
    """A template's number, which may be a text."""
    return int(float(value))


def truth(value: Any) -> bool:
    """A template's truth value, which may be a text."""
    return value in (True, "true")


async def gone_is_done(services: Services, gone: Iterable[str], *call: Any) -> None:
    """Call, where *gone* is no error: ``(service, action, parameters)``."""
    service, action, said = call
    try:
        await services(service, action, **said)
    except ServiceRefused as e:
        if e.code not in gone:
            raise


async def found_or_none(
    services: Services, gone: Iterable[str], *call: Any
) -> dict[str, Any] | None:
    """Call; None where the code says that it is gone."""
    service, action, said = call
    try:
        return await services(service, action, **said)
    except ServiceRefused as e:
        if e.code not in gone:
            raise
        return None


async def wait_until(services: Services, what: str, there: Callable[[], Any]) -> None:
    """Wait until *there* (a coroutine's function) says so; raises ServiceRefused."""
    for _ in range(_WAITS):
        if await there():
            return
        await services.pause(_WAIT)
    raise ServiceRefused("cloudformation", "NotStabilized", f"{what}: timed out")
