"""EC2's side of the front: what is seen when, and which instances live.

Runs in moto's thread; what the booter shall do is handed to the reactor's.
"""

from __future__ import annotations

import base64
import re
import xml.etree.ElementTree as ET
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from attrs import evolve

from lae_localcloud.account.calls import Call
from lae_localcloud.account.moto import Moto
from lae_localcloud.exchange import (
    ApiError,
    ApiRequest,
    ApiResponse,
    request_id,
)
from lae_localcloud.front.groups import allowed_by
from lae_localcloud.front.launches import IMAGE_GIB, Launches
from lae_localcloud.front.machines import (
    STATE_CODES,
    InstanceState,
    Machines,
)
from lae_localcloud.front.slowness import Slowness
from lae_localcloud.front.volumes import Ebs

#: A change of one of these changes what instances let in.
_REGROUPS = re.compile(r"(Authorize|Revoke|Modify).*(SecurityGroup|Attribute).*")
_NAMESPACE = "http://ec2.amazonaws.com/doc/2016-11-15/"
#: moto invents addresses of real machines; processes are all on loopback, where the
#: booter gives them other ones.
_ADDRESS = re.compile(
    rb"<(privateIpAddress|ipAddress|publicIp|carrierIp|publicIpAddress)>"
    rb"(?!127\.)[^<]+</\1>"
)
_NAME = re.compile(rb"<(privateDnsName|dnsName|publicDnsName)>[^<]+</\1>")
#: moto has one size for the snapshots of all images, which its answers alone show.
_SIZE = re.compile(rb"(?<=<volumeSize>)\d+(?=</volumeSize>)")
_GIB = str(IMAGE_GIB).encode()


class Ec2:
    """Answers every EC2 call, by moto's answer and the rules that it leaves out."""

    def __init__(
        self,
        moto: Moto,
        machines: Machines,
        slowness: Slowness,
        now: Callable[[], datetime],
        in_reactor: Callable[..., None],
        *,
        on_loopback: bool = True,
    ) -> None:
        self._moto, self._machines, self._slowness = moto, machines, slowness
        self._now, self._in_reactor, self._on_loopback = now, in_reactor, on_loopback
        self._launches = Launches(moto, slowness, now)
        self._seen_from: dict[str, datetime] = {}
        self.volumes = Ebs(moto, slowness, now)

    def answer(self, call: Call, request: ApiRequest) -> ApiResponse:
        """One call; raises :class:`ApiError`."""
        match call.action:
            case "RunInstances":
                answer = self._run(call, request)
            case "TerminateInstances":
                answer = self._terminate(call, request)
            case "StopInstances" | "StartInstances" | "RebootInstances":
                answer = self._power(call, request)
            case "GetConsoleOutput":
                answer = self._console(call)
            case _ if self.volumes.answers(call):
                answer = self.volumes.answer(call, request)
            case _ if call.action.startswith("Describe"):
                answer = self._describe(call, request)
            case _:
                answer = self._moto.call(request)
        if answer.ok and _REGROUPS.fullmatch(call.action):
            self._regroup()
        if call.action == "DescribeImages":
            answer = evolve(answer, body=_SIZE.sub(_GIB, answer.body))
        if not self._on_loopback:
            return answer
        return evolve(answer, body=without_addresses(answer.body))

    def set_state(self, instance_id: str, state: InstanceState) -> None:
        """The booter's word on an instance; a terminated one stays so."""
        instance = self._moto.backend("ec2").get_instance(instance_id)
        if instance.state == "terminated" or (
            instance.state == "shutting-down" and state != "terminated"
        ):
            return
        self._put_state(instance, state)

    def set_public_address(self, instance_id: str, address: str | None) -> None:
        """The machines' word on where an instance is reached."""
        interface = self._moto.backend("ec2").get_instance(instance_id).nics[0]
        # moto would invent one at the next start.
        interface.public_ip_auto_assign = False
        interface.public_ip = address

    def _regroup(self) -> None:
        ec2 = self._moto.backend("ec2")
        for instance in ec2.all_instances():
            if instance.state != "terminated":
                allowed = allowed_by(ec2, instance)
                self._in_reactor(self._machines.regroup, instance.id, allowed)

    def _put_state(self, instance: Any, state: InstanceState) -> None:
        current = instance._state  # noqa: SLF001  (moto has no other way in)
        current.name, current.code = state, STATE_CODES[state]

    def _run(self, call: Call, request: ApiRequest) -> ApiResponse:
        outcome = self._launches.run(call, request)
        for order in outcome.orders:
            instance = self._moto.backend("ec2").get_instance(order.instance_id)
            self._put_state(instance, "pending")
            # moto keeps it only where it is said later.
            protected = call.params.get("DisableApiTermination") == "true"
            instance.disable_api_termination = protected
            self.set_public_address(order.instance_id, None)
            seen_from = self._now() + timedelta(seconds=self._slowness.visibility)
            self._seen_from[order.instance_id] = seen_from
            self._in_reactor(self._machines.launch, order)
        return outcome.answer

    def _terminate(self, call: Call, request: ApiRequest) -> ApiResponse:
        ec2, before = self._moto.backend("ec2"), {}
        for i in call.listed("InstanceId"):
            if i in (r.id for r in ec2.all_instances()):
                before[i] = ec2.get_instance(i).state
                self._require_unprotected(i)
        answer = self._moto.call(request)
        if not answer.ok:
            return answer
        for i, state in before.items():
            if state != "terminated":
                self._put_state(ec2.get_instance(i), "shutting-down")
                self._in_reactor(self._machines.terminate, i)
        return answer

    def _require_unprotected(self, instance_id: str) -> None:
        instance = self._moto.backend("ec2").get_instance(instance_id)
        if instance.disable_api_termination in (True, "true"):
            raise ApiError(
                400,
                "OperationNotPermitted",
                f"The instance '{instance_id}' may not be terminated. Modify its"
                " 'disableApiTermination' instance attribute and try again.",
            )

    def _power(self, call: Call, request: ApiRequest) -> ApiResponse:
        ec2 = self._moto.backend("ec2")
        for i in call.listed("InstanceId"):
            if ec2.get_instance(i).state in ("terminated", "shutting-down"):
                raise ApiError(
                    400, "IncorrectInstanceState", f"The instance '{i}' is terminated."
                )
        answer = self._moto.call(request)
        if answer.ok:
            for i in call.listed("InstanceId"):
                self._switch(call.action, i)
        return answer

    def _switch(self, action: str, instance_id: str) -> None:
        instance = self._moto.backend("ec2").get_instance(instance_id)
        match action:
            case "StopInstances":
                self._put_state(instance, "stopping")
                self._in_reactor(self._machines.stop, instance_id)
            case "StartInstances":
                self._put_state(instance, "pending")
                self._in_reactor(self._machines.start, instance_id)
            case _:
                self._in_reactor(self._machines.reboot, instance_id)

    def _console(self, call: Call) -> ApiResponse:
        instance_id = call.params.get("InstanceId", "")
        try:
            self._moto.backend("ec2").get_instance(instance_id)
        except Exception:  # noqa: BLE001  (moto's own kind, slow to import)
            raise _unknown([instance_id]) from None
        output = base64.b64encode(self._machines.console(instance_id)).decode()
        stamp = self._now().strftime("%Y-%m-%dT%H:%M:%S.000Z")
        body = (
            f'<GetConsoleOutputResponse xmlns="{_NAMESPACE}">'
            f"<requestId>{request_id()}</requestId><instanceId>{instance_id}"
            f"</instanceId><timestamp>{stamp}</timestamp><output>{output}</output>"
            "</GetConsoleOutputResponse>"
        )
        return ApiResponse(200, (("content-type", "text/xml"),), body.encode())

    def _describe(self, call: Call, request: ApiRequest) -> ApiResponse:
        now = self._now()
        hidden = {i for i, t in self._seen_from.items() if t > now}
        unseen = hidden & set(call.listed("InstanceId"))
        if unseen:
            raise _unknown(sorted(unseen))
        answer = self._moto.call(self._without_token_filter(call, request))
        if hidden and answer.ok:
            return evolve(answer, body=without_hidden(answer.body, hidden))
        return answer

    def _without_token_filter(self, call: Call, request: ApiRequest) -> ApiRequest:
        """The filter ``client-token`` said in ids: moto answers 500 to it."""
        params = dict(call.params)
        for name, value in call.params.items():
            found = re.fullmatch(r"Filter\.(\d+)\.Name", name)
            if found is None or value != "client-token":
                continue
            tokens = call.listed(f"Filter.{found[1]}.Value")
            ids = [i for t in tokens for i in self._launches.instances_of_token(t)]
            for n in range(len(tokens)):
                del params[f"Filter.{found[1]}.Value.{n + 1}"]
            params[name] = "instance-id"
            for n, i in enumerate(ids or ["i-00000000000000000"]):
                params[f"Filter.{found[1]}.Value.{n + 1}"] = i
        if params == call.params:
            return request
        return evolve(request, query="", body=urlencode(params).encode())


def _unknown(ids: list[str]) -> ApiError:
    return ApiError(
        400,
        "InvalidInstanceID.NotFound",
        f"The instance ID '{', '.join(ids)}' does not exist",
    )


def without_addresses(body: bytes) -> bytes:
    """An answer whose every address is loopback's."""
    body = _ADDRESS.sub(rb"<\1>127.0.0.1</\1>", body)
    return _NAME.sub(rb"<\1>localhost</\1>", body)


def without_hidden(body: bytes, hidden: set[str]) -> bytes:
    """An answer of a Describe call without the items of instances not seen yet."""
    root = ET.fromstring(body)  # noqa: S314  (moto's own answer)
    ET.register_namespace("", root.tag[1:].partition("}")[0])
    names = ["{*}instanceId", "{*}resourceId"]
    reservation = "{*}instancesSet"
    # Innermost first: a reservation whose instances are all hidden goes as well.
    for parent in reversed(list(root.iter())):
        for item in list(parent):
            held = item.find(reservation)
            emptied = held is not None and len(held) == 0
            if emptied or any(item.findtext(n) in hidden for n in names):
                parent.remove(item)
    filtered: bytes = ET.tostring(root, encoding="utf-8", xml_declaration=True)
    return filtered
