"""EBS as it is: states last, names are in use, sizes change once in six hours.

moto does all at once and refuses little.  Here a call is judged first, done by moto,
and what moto shows is put right: until when something is under way stands in this
module.  Runs in moto's thread.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from attrs import define, evolve, field

from lae_localcloud.account.calls import Call
from lae_localcloud.account.moto import Moto
from lae_localcloud.exchange import ApiError, ApiRequest, ApiResponse
from lae_localcloud.front.slowness import Slowness

#: EC2 changes a volume once in this time.
MODIFIED_ONCE_IN = timedelta(hours=6)
#: Of one volume, pending at the same time.
MOST_PENDING = 5
_ACTIONS = frozenset(
    {
        "AttachVolume",
        "CreateSnapshot",
        "CreateVolume",
        "DeleteVolume",
        "DescribeSnapshots",
        "DescribeVolumes",
        "DescribeVolumesModifications",
        "DetachVolume",
        "ModifyVolume",
    }
)


@define
class _Change:
    """A change of size: *modifying* until then, *optimizing* three times as long."""

    began: datetime
    before: int
    target: int
    lasts: float

    def state(self, now: datetime) -> str:
        passed = (now - self.began).total_seconds()
        if passed < self.lasts:
            return "modifying"
        return "optimizing" if passed < 3 * self.lasts else "completed"


@define
class Ebs:
    """Answers the calls about volumes and snapshots.

    *mounted* are volumes that a machine uses: they detach once the machine has stopped,
    and not before.  Of the volumes in *failing* the next snapshot ends in error.
    """

    moto: Moto
    slowness: Slowness
    now: Callable[[], datetime]
    mounted: set[str] = field(factory=set)
    failing: set[str] = field(factory=set)
    _busy: dict[str, datetime] = field(factory=dict)
    _detaching: dict[str, tuple[str, str, datetime]] = field(factory=dict)
    _changes: dict[str, _Change] = field(factory=dict)
    _errors: set[str] = field(factory=set)
    _tokens: dict[str, tuple[dict[str, str], ApiResponse]] = field(factory=dict)

    def press(self, volume: str, what: str) -> bool:
        """What the control endpoint does to a volume; in any thread."""
        match what:
            case "mount":
                self.mounted.add(volume)
            case "unmount":
                self.mounted.discard(volume)
            case "fail":
                self.failing.add(volume)
            case _:
                return False
        return True

    def answers(self, call: Call) -> bool:
        """Whether this is a call for it."""
        return call.action in _ACTIONS

    def answer(  # noqa: PLR0911  (a table)
        self, call: Call, request: ApiRequest
    ) -> ApiResponse:
        """One call; raises :class:`ApiError`."""
        self._let_go()
        match call.action:
            case "CreateVolume":
                return self._create(call, request)
            case "AttachVolume":
                return self._attach(call, request)
            case "DetachVolume":
                return self._detach(call, request)
            case "ModifyVolume":
                return self._modify(call, request)
            case "CreateSnapshot":
                return self._copy(call, request)
            case "DeleteVolume":
                self._check_state(self._volume(call), "available", "VolumeInUse")
                return self.moto.call(request)
        return self._described(call, request)

    def _create(self, call: Call, request: ApiRequest) -> ApiResponse:
        token = call.params.get("ClientToken")
        if token in self._tokens:
            params, answer = self._tokens[token]
            if params != call.params:
                raise ApiError(400, "IdempotentParameterMismatch", f"token {token}")
            return answer
        copied = call.params.get("SnapshotId")
        if copied is not None and self._snapshot_state(copied) != "completed":
            raise ApiError(
                400, "IncorrectState", f"Snapshot is in invalid state - {copied}"
            )
        answer = self.moto.call(request)
        if answer.ok:
            self._begin(ET.fromstring(answer.body).findtext("{*}volumeId") or "")  # noqa: S314
            answer = self._put_right(answer)
            if token is not None:
                self._tokens[token] = (dict(call.params), answer)
        return answer

    def _attach(self, call: Call, request: ApiRequest) -> ApiResponse:
        volume, instance = self._volume(call), self._instance(call)
        self._check_state(volume, "available", "VolumeInUse")
        if instance.state not in ("running", "stopped"):
            raise ApiError(
                400,
                "IncorrectState",
                f"Instance '{instance.id}' is not 'running'.",
            )
        if volume.zone.name != instance.placement.zone:
            raise ApiError(
                400,
                "InvalidVolume.ZoneMismatch",
                f"The volume '{volume.id}' is not in the same availability zone as"
                f" instance '{instance.id}'",
            )
        device = call.params.get("Device", "")
        if device in instance.block_device_mapping:
            raise ApiError(
                400,
                "InvalidParameterValue",
                f"Invalid value '{device}' for unixDevice. Attachment point {device} is"
                " already in use",
            )
        answer = self.moto.call(request)
        if answer.ok:
            self._begin(volume.id)
        return self._put_right(answer)

    def _detach(self, call: Call, request: ApiRequest) -> ApiResponse:
        volume = self._volume(call)
        self._check_state(volume, "in-use", "IncorrectState")
        if volume.id in self._detaching:
            return self._detach_answer(volume.id)
        here = volume.attachment
        named = call.params.get("InstanceId", here.instance.id)
        if named != here.instance.id:
            raise ApiError(
                400,
                "InvalidAttachment.NotFound",
                f"The volume '{volume.id}' is not attached to instance '{named}'.",
            )
        del request
        until = self.now() + timedelta(seconds=self.slowness.volume)
        self._detaching[volume.id] = (here.instance.id, here.device, until)
        self._let_go()
        return self._detach_answer(volume.id)

    def _detach_answer(self, volume: str) -> ApiResponse:
        body = (
            '<DetachVolumeResponse xmlns="http://ec2.amazonaws.com/doc/2016-11-15/">'
            f"<requestId>s4</requestId><volumeId>{volume}</volumeId>"
            "<status>detaching</status></DetachVolumeResponse>"
        )
        return ApiResponse(200, (("content-type", "text/xml"),), body.encode())

    def _let_go(self) -> None:
        """What was detaching long enough, and is not mounted, is free."""
        ec2, now = self.moto.backend("ec2"), self.now()
        for name, volume in list(ec2.volumes.items()):
            here = volume.attachment
            if here is None:
                self._detaching.pop(name, None)
                continue
            if here.instance.state == "terminated":
                self._free(volume, here.device)
            elif name in self._detaching:
                *_, until = self._detaching[name]
                held = name in self.mounted and here.instance.state != "stopped"
                if now >= until and not held:
                    self._free(volume, here.device)

    def _free(self, volume: Any, device: str) -> None:
        here = volume.attachment
        here.instance.block_device_mapping.pop(device, None)
        volume.attachment = None
        self._detaching.pop(volume.id, None)
        self.mounted.discard(volume.id)

    def _modify(self, call: Call, request: ApiRequest) -> ApiResponse:
        volume, now = self._volume(call), self.now()
        asked = int(call.params.get("Size", volume.size))
        last = self._changes.get(volume.id)
        if last is not None and last.state(now) != "completed":
            raise ApiError(
                400,
                "IncorrectModificationState",
                f"Cannot modify volume {volume.id}, currently in"
                f" {last.state(now)} state.",
            )
        if last is not None and now - last.began < MODIFIED_ONCE_IN:
            raise ApiError(
                400,
                "VolumeModificationRateExceeded",
                "You've reached the maximum modification rate per volume limit. Wait"
                " at least 6 hours between modifications per EBS volume.",
            )
        if asked < volume.size:
            raise ApiError(
                400,
                "InvalidParameterValue",
                "New size cannot be smaller than existing size",
            )
        change = _Change(now, volume.size, asked, self.slowness.volume)
        answer = self.moto.call(request)
        if answer.ok:
            self._changes[volume.id] = change
        return self._put_right(answer)

    def _copy(self, call: Call, request: ApiRequest) -> ApiResponse:
        volume = self._volume(call)
        if volume.id in self._busy and not volume.attachment:
            self._check_state(volume, "available", "IncorrectState")
        pending = [
            s.id
            for s in self.moto.backend("ec2").snapshots.values()
            if s.volume.id == volume.id and self._snapshot_state(s.id) == "pending"
        ]
        if len(pending) >= MOST_PENDING:
            raise ApiError(
                400,
                "ConcurrentSnapshotLimitExceeded",
                f"Maximum allowed in-progress snapshots for a single volume exceeded"
                f" ({MOST_PENDING}).",
            )
        answer = self.moto.call(request)
        if answer.ok:
            made = ET.fromstring(answer.body).findtext("{*}snapshotId") or ""  # noqa: S314
            self._begin(made)
            if volume.id in self.failing:
                self.failing.discard(volume.id)
                self._errors.add(made)
        return self._put_right(answer)

    def _described(self, call: Call, request: ApiRequest) -> ApiResponse:
        if call.action == "DescribeVolumesModifications":
            asked = call.listed("VolumeId")
            never = [i for i in asked if i not in self._changes]
            if never:
                raise ApiError(
                    400,
                    "InvalidVolumeModification.NotFound",
                    f"Modification for volume '{never[0]}' does not exist.",
                )
        return self._put_right(self.moto.call(request))

    def _put_right(self, answer: ApiResponse) -> ApiResponse:
        """An answer of moto's, with the states that last."""
        if not answer.ok:
            return answer
        root = ET.fromstring(answer.body)  # noqa: S314  (moto's own answer)
        ET.register_namespace("", root.tag[1:].partition("}")[0])
        for item in root.iter():
            self._put_item_right(item)
        body: bytes = ET.tostring(root, encoding="utf-8", xml_declaration=True)
        return evolve(answer, body=body)

    def _put_item_right(self, item: ET.Element) -> None:
        snapshot = item.findtext("{*}snapshotId")
        if item.find("{*}progress") is not None and snapshot:
            state = self._snapshot_state(snapshot)
            _write(item, "status", state)
            _write(item, "progress", "100%" if state == "completed" else "40%")
            return
        volume = item.findtext("{*}volumeId")
        if not volume:
            return
        if item.find("{*}modificationState") is not None:
            self._put_change_right(item, volume)
        elif item.find("{*}instanceId") is not None:
            _write(item, "status", self._attachment_state(volume))
        elif item.find("{*}availabilityZone") is not None:
            if self._is_busy(volume) and not item.findall("{*}attachmentSet/{*}item"):
                _write(item, "status", "creating")
            change = self._changes.get(volume)
            if change is not None and change.state(self.now()) == "modifying":
                _write(item, "size", str(change.before))

    def _put_change_right(self, item: ET.Element, volume: str) -> None:
        change = self._changes.get(volume)
        if change is not None:
            state = change.state(self.now())
            _write(item, "modificationState", state)
            _write(item, "progress", "100" if state == "completed" else "40")
            _write(item, "originalSize", str(change.before))
            stamp = change.began.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")
            _write(item, "startTime", stamp)

    def _attachment_state(self, volume: str) -> str:
        if volume in self._detaching:
            *_, until = self._detaching[volume]
            return "detaching" if self.now() < until else "busy"
        return "attaching" if self._is_busy(volume) else "attached"

    def _snapshot_state(self, snapshot: str) -> str:
        if self._is_busy(snapshot):
            return "pending"
        return "error" if snapshot in self._errors else "completed"

    def _begin(self, name: str) -> None:
        self._busy[name] = self.now() + timedelta(seconds=self.slowness.volume)

    def _is_busy(self, name: str) -> bool:
        return name in self._busy and self._busy[name] > self.now()

    def _check_state(self, volume: Any, wanted: str, code: str) -> None:
        state = "in-use" if volume.attachment else "available"
        if state == "available" and self._is_busy(volume.id):
            state, code = "creating", "IncorrectState"
        if state != wanted:
            raise ApiError(
                400, code, f"Volume '{volume.id}' is in the '{state}' state."
            )

    def _volume(self, call: Call) -> Any:
        name = call.params.get("VolumeId", "")
        volume = self.moto.backend("ec2").volumes.get(name)
        if volume is None:
            raise ApiError(
                400, "InvalidVolume.NotFound", f"The volume '{name}' does not exist."
            )
        return volume

    def _instance(self, call: Call) -> Any:
        name = call.params.get("InstanceId", "")
        for instance in self.moto.backend("ec2").all_instances():
            if instance.id == name:
                return instance
        raise ApiError(
            400,
            "InvalidInstanceID.NotFound",
            f"The instance ID '{name}' does not exist",
        )


def _write(item: ET.Element, name: str, text: str) -> None:
    found = item.find(f"{{*}}{name}")
    if found is not None:
        found.text = text
