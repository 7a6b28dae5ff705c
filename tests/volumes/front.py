"""The local cloud's EC2 in this process, on a clock that a test turns."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any
from urllib.parse import urlencode
from xml.etree.ElementTree import Element

from attrs import define, field
from twisted.internet.task import Clock

from lae_localcloud.account.calls import call_of
from lae_localcloud.account.moto import Moto
from lae_localcloud.exchange import ApiError, ApiRequest
from lae_localcloud.front.ec2 import Ec2
from lae_localcloud.front.slowness import Slowness
from lae_provision.aws.channel import parse_xml
from lae_provision.aws.parameters import flatten
from lae_provision.errors import Refused, TryLater

START = datetime(2026, 11, 30, 20, tzinfo=UTC)
_FORM = "application/x-www-form-urlencoded; charset=utf-8"


class NoMachines:
    """Machines that do nothing, at once."""

    def __getattr__(self, name: str) -> Any:
        return lambda *_: None


@define(eq=False, slots=False)
class Front:
    """Answers the calls of a channel; *lost* answers get lost, *refusing* calls come
    too often.
    """

    clock: Clock = field(factory=Clock)
    slowness: Slowness = field(factory=Slowness)
    lost: list[str] = field(factory=list)
    asked: list[str] = field(factory=list)

    def now(self) -> datetime:
        return START + timedelta(seconds=self.clock.seconds())

    @cached_property
    def moto(self) -> Moto:
        made = Moto(self.clock, "eu-west-1")  # type: ignore[arg-type]
        made._load()
        from moto.backends import get_backend  # noqa: PLC0415  (slow to import)

        get_backend("ec2")["123456789012"]["eu-west-1"].reset()
        return made

    @cached_property
    def ec2(self) -> Ec2:
        return Ec2(
            self.moto,
            NoMachines(),  # type: ignore[arg-type]
            self.slowness,
            self.now,
            lambda *_: None,
        )

    def machine(self, zone: str) -> str:
        """A machine that runs."""
        answer = self.moto.query(
            "ec2",
            "RunInstances",
            "2016-11-15",
            ImageId="ami-12345678",
            MinCount="1",
            MaxCount="1",
            Placement__AvailabilityZone=zone,
        )
        return parse_xml(answer.encode()).findtext(".//instanceId") or ""

    def state(self, instance: str) -> str:
        return str(self.moto.backend("ec2").get_instance(instance).state)

    def switch(self, instance: str, state: Any) -> None:
        self.ec2.set_state(instance, state)

    # What a channel is asked.

    async def query(self, service: str, action: str, parameters: Any) -> Element:
        assert service == "ec2"
        return parse_xml(await self.post(service, action, flatten(parameters)))

    async def post(self, service: str, action: str, parameters: Any) -> bytes:
        self.asked.append(action)
        form = {"Action": action, "Version": "2016-11-15", **parameters}
        headers = {"content-type": _FORM, **self.moto.scope("ec2")}
        body = urlencode(form).encode()
        request = ApiRequest("POST", "/", "", headers, body)
        try:
            answer = self.ec2.answer(call_of(service, request), request)
        except ApiError as e:
            raise Refused(e.code, e.message) from None
        if not answer.ok:
            root = parse_xml(answer.body)
            raise Refused(root.findtext(".//Code") or "", answer.body.decode())
        if action in self.lost:
            self.lost.remove(action)
            raise TryLater("lost", "the answer is lost")
        return answer.body
