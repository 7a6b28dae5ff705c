"""RunInstances as EC2 promises it: tokens, limits, images and profiles that exist.

All of this runs in moto's thread, so that two calls with one token cannot meet.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from attrs import define, evolve

from lae_localcloud.account.calls import Call
from lae_localcloud.account.moto import Moto
from lae_localcloud.exchange import ApiError, ApiRequest, ApiResponse
from lae_localcloud.front.groups import allowed_by
from lae_localcloud.front.machines import LaunchOrder
from lae_localcloud.front.slowness import Slowness

#: The size of an image's snapshot, as that of Fedora CoreOS.
IMAGE_GIB = 10
#: Bytes of user-data, before base64.
USER_DATA_LIMIT = 16_384
#: Of Fedora CoreOS.
IMAGE_GIB = 10
_TOKEN = re.compile(r"[\x21-\x7e]{1,64}")
#: A new instance has none yet, and moto invents one.
_PUBLIC = re.compile(rb"<(ipAddress|publicIp)>[^<]*</\1>")
_INSTANCE_ID = re.compile(r"<instanceId>(i-[0-9a-f]+)</instanceId>")
#: What does not belong to the request that a token stands for.
_NOT_COMPARED = frozenset({"Action", "Version", "ClientToken", "AWSAccessKeyId"})


@define(frozen=True)
class _Launched:
    fingerprint: str
    instance_ids: tuple[str, ...]
    answer: ApiResponse


@define(frozen=True)
class Outcome:
    """The answer, and what is to be started because of it (nothing for a repeat)."""

    answer: ApiResponse
    orders: tuple[LaunchOrder, ...]


class Launches:
    """All launches so far, by token."""

    def __init__(
        self, moto: Moto, slowness: Slowness, now: Callable[[], datetime]
    ) -> None:
        self._moto, self._slowness, self._now = moto, slowness, now
        self._tokens: dict[str, _Launched] = {}

    def run(self, call: Call, request: ApiRequest) -> Outcome:
        """RunInstances; raises :class:`ApiError` as EC2 refuses."""
        token = call.params.get("ClientToken")
        fingerprint = _fingerprint(call.params)
        if token is not None:
            repeated = self._repeated(token, fingerprint)
            if repeated is not None:
                return Outcome(repeated, ())
        user_data = _user_data(call.params.get("UserData", ""))
        self._check_image(call.params)
        profile = self._checked_profile(call.params)
        answer = self._moto.call(request)
        if not answer.ok:
            return Outcome(answer, ())
        answer = evolve(answer, body=_PUBLIC.sub(b"", answer.body))
        ids = tuple(_INSTANCE_ID.findall(answer.body.decode()))
        instances = [self._moto.backend("ec2").get_instance(i) for i in ids]
        if token is not None:
            self._tokens[token] = _Launched(fingerprint, ids, answer)
        ec2 = self._moto.backend("ec2")
        orders = tuple(
            _order(ec2, i, profile, user_data, _volume_gib(call)) for i in instances
        )
        return Outcome(answer, orders)

    def instances_of_token(self, token: str) -> tuple[str, ...]:
        """The instances that a token started."""
        launched = self._tokens.get(token)
        return () if launched is None else launched.instance_ids

    def _repeated(self, token: str, fingerprint: str) -> ApiResponse | None:
        if not _TOKEN.fullmatch(token):
            raise ApiError(
                400, "InvalidParameterValue", "ClientToken: up to 64 ASCII characters"
            )
        launched = self._tokens.get(token)
        if launched is None:
            return None
        if launched.fingerprint != fingerprint:
            raise ApiError(
                400,
                "IdempotentParameterMismatch",
                "The client token was used with other parameters.",
            )
        ec2 = self._moto.backend("ec2")
        gone = {"terminated", "shutting-down"}
        if any(ec2.get_instance(i).state in gone for i in launched.instance_ids):
            raise ApiError(
                400,
                "IdempotentInstanceTerminated",
                "The instance of this client token is terminated.",
            )
        return launched.answer

    def _check_image(self, params: dict[str, str]) -> None:
        image_id = params.get("ImageId", "")
        if not re.fullmatch(r"ami-([0-9a-f]{8}|[0-9a-f]{17})", image_id):
            raise ApiError(
                400, "InvalidAMIID.Malformed", f"Invalid id: {json.dumps(image_id)}"
            )
        if image_id not in self._moto.backend("ec2").amis:
            raise ApiError(
                400,
                "InvalidAMIID.NotFound",
                f"The image id '[{image_id}]' does not exist",
            )
        image = self._moto.backend("ec2").amis[image_id]
        _check_architecture(params.get("InstanceType", "m1.small"), image)
        _check_volume(params, image)

    def _checked_profile(self, params: dict[str, str]) -> str | None:
        named = params.get("IamInstanceProfile.Name")
        by_arn = params.get("IamInstanceProfile.Arn")
        if named is None and by_arn is None:
            return None
        name = named or (by_arn or "").rpartition("/")[2]
        profile = self._moto.backend("iam").instance_profiles.get(name)
        field = "name" if named else "arn"
        if profile is None or self._is_new(profile):
            raise ApiError(
                400,
                "InvalidParameterValue",
                f"Value ({named or by_arn}) for parameter iamInstanceProfile.{field}"
                f" is invalid. Invalid IAM Instance Profile {field}",
            )
        if not profile.roles:
            raise ApiError(
                400,
                "InvalidParameterValue",
                f'IAM Instance Profile "{profile.arn}" has no associated IAM Roles',
            )
        return name

    def _is_new(self, profile: Any) -> bool:
        made: datetime = profile.create_date.replace(tzinfo=UTC)
        return (self._now() - made).total_seconds() < self._slowness.profile


def _check_architecture(instance_type: str, image: Any) -> None:
    from moto.ec2.models.instance_types import (  # noqa: PLC0415  (slow to import)
        INSTANCE_TYPES,
    )

    processor = INSTANCE_TYPES[instance_type]["ProcessorInfo"]
    (supported, *_) = found = processor["SupportedArchitectures"]
    if image.architecture not in found:
        raise ApiError(
            400,
            "InvalidParameterValue",
            f"The architecture '{supported}' of the specified instance type does not"
            f" match the architecture '{image.architecture}' of the specified AMI."
            " Specify an instance type and an AMI that have matching architectures,"
            " and try again.",
        )


def _check_volume(params: dict[str, str], image: Any) -> None:
    for name, device in params.items():
        found = re.fullmatch(r"BlockDeviceMapping\.(\d+)\.DeviceName", name)
        if found is None or device != image.root_device_name:
            continue
        asked = params.get(f"BlockDeviceMapping.{found[1]}.Ebs.VolumeSize")
        if asked is not None and int(asked) < IMAGE_GIB:
            raise ApiError(
                400,
                "InvalidBlockDeviceMapping",
                f"Volume of size {asked}GB is smaller than snapshot"
                f" '{image.ebs_snapshot.id}', expect size >= {IMAGE_GIB}GB",
            )


def _fingerprint(params: dict[str, str]) -> str:
    compared = sorted((k, v) for k, v in params.items() if k not in _NOT_COMPARED)
    return hashlib.sha256(json.dumps(compared).encode()).hexdigest()


def _user_data(text: str) -> bytes:
    try:
        data = base64.b64decode("".join(text.split()), validate=True)
    except binascii.Error:
        raise ApiError(
            400, "InvalidParameterValue", "Invalid BASE64 encoding of user data"
        ) from None
    if len(data) > USER_DATA_LIMIT:
        raise ApiError(
            400,
            "InvalidParameterValue",
            f"User data is limited to {USER_DATA_LIMIT} bytes",
        )
    return data


def _volume_gib(call: Call) -> int:
    """Of the root device, which is the first that is named; else the image's."""
    named = call.params.get("BlockDeviceMapping.1.Ebs.VolumeSize")
    return IMAGE_GIB if named is None else int(named)


def _order(
    ec2: Any, instance: Any, profile: str | None, user_data: bytes, volume_gib: int
) -> LaunchOrder:
    return LaunchOrder(
        instance_id=instance.id,
        image_id=instance.image_id,
        instance_type=instance.instance_type,
        zone=instance.availability_zone,
        launch_time=instance.launch_time.replace(tzinfo=UTC, microsecond=0),
        profile=profile,
        user_data=user_data,
        private_address=instance.private_ip,
        volume_gib=volume_gib,
        ends_when_shut_down=instance.instance_initiated_shutdown_behavior
        == "terminate",
        groups=allowed_by(ec2, instance),
    )
