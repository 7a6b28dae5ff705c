"""Customers' hosts as EC2 instances."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Literal, cast
from xml.etree.ElementTree import Element

from attrs import define, field
from twisted.logger import Logger

from lae_provision.aws.channel import Channel, parse_xml
from lae_provision.aws.parameters import flatten
from lae_provision.aws.query import QueryFactory
from lae_provision.aws.s3 import NO_CREDENTIALS
from lae_provision.doors import ConsoleOutput, Host, HostKey, IHosts, LaunchRequest
from lae_provision.errors import ProvisionError, Refused, TryLater
from lae_provision.txaws3.clients import EC2Client, Instance, Parser

#: EC2's limit, before base64.
MOST_USER_DATA = 16_384  # bytes
LONGEST_TOKEN = 64  # characters
PAGE = 500
#: Of Fedora CoreOS' AMIs.
ROOT_DEVICE = "/dev/xvda"
LIVE = ("pending", "running", "stopping", "stopped")
UNKNOWN = frozenset({"InvalidInstanceID.NotFound"})
#: Answers to a question for the newest console of an instance that is not of Nitro.
OLDER_TYPE = frozenset({"UnsupportedOperation", "InvalidParameterCombination"})

State = Literal["pending", "running", "stopping", "stopped", "terminated"]


class TaggedInstance(Instance):
    """txAWS' instance, with the tags that identify its signup."""

    tags: Mapping[str, str]


class TaggedParser(Parser):
    """txAWS' parser, which also keeps an instance's tags."""

    def instance(self, instance_data: Element, reservation: object) -> TaggedInstance:
        """Parse an instance with its tags."""
        plain = super().instance(instance_data, reservation)
        made = TaggedInstance(
            plain.instance_id,
            plain.instance_state,
            private_ip_address=plain.private_ip_address,
            ip_address=plain.ip_address,
            launch_time=plain.launch_time,
            reservation=reservation,
        )
        made.tags = {
            item.findtext("key") or "": item.findtext("value") or ""
            for item in instance_data.findall("tagSet/item")
        }
        return made


@define(frozen=True)
class Ec2Hosts(IHosts):
    """See :class:`~lae_provision.doors.IHosts`."""

    channel: Channel
    _parser: TaggedParser = field(factory=TaggedParser, init=False)

    _log = Logger()

    async def find(self, key: HostKey) -> Host | None:
        """Find the live instance with this key in its tags."""
        found = await self._described(key_tags(key))
        if len(found) > 1:
            ids = [host.instance_id for host in found]
            self._log.error("more than one live host of {key}: {ids}", key=key, ids=ids)
        # If there are several, always choose the first.
        return min(found, key=lambda h: (h.launch_time, h.instance_id), default=None)

    async def list(self, deployment: str) -> tuple[Host, ...]:
        """List all live instances with the deployment's tag."""
        return await self._described({"s4:deployment": deployment})

    async def _described(self, tags: Mapping[str, str]) -> tuple[Host, ...]:
        filters: list[Mapping[str, Any]] = [
            {"Name": f"tag:{name}", "Value": [value]} for name, value in tags.items()
        ]
        filters.append({"Name": "instance-state-name", "Value": LIVE})
        hosts: list[Host] = []
        token: str | None = None
        while True:
            asked = {"Filter": filters, "MaxResults": PAGE, "NextToken": token}
            body = await self._submit("DescribeInstances", asked)
            token = parse_xml(body).findtext("nextToken")
            instances = self._parser.describe_instances(body)
            hosts += [host for i in instances if (host := host_of(i)) is not None]
            if not token:
                return tuple(hosts)

    async def make(self, request: LaunchRequest) -> Host:
        """Launch, under the request's token.

        TryLater while EC2 does not know the instance profile yet.
        """
        parameters = flatten(launch_parameters(request))

        async def launch() -> Sequence[Instance]:
            try:
                body = await self.channel.post("ec2", "RunInstances", parameters)
                return self._parser.run_instances(body)
            except ProvisionError as e:
                if is_profile_unknown(e):
                    raise TryLater("InvalidIamInstanceProfile", e.message) from None
                raise

        # Each try is byte-identical, with the same token.
        instances = await self.channel.attempt(launch, "ec2")
        if len(instances) != 1:
            raise Refused(
                "UnknownAnswer", f"one launch made {len(instances)} instances"
            )
        shown = instances[0]
        # The tags in the answer may be incomplete, so use those of the request.
        return Host(
            key=request.key,
            instance_id=shown.instance_id,
            state=_state(shown),
            address=shown.ip_address or None,
            launch_time=datetime.fromisoformat(shown.launch_time),
        )

    async def unmake(self, instance_id: str) -> None:
        """Terminate the instance; an unknown instance is success."""
        client = EC2Client(
            creds=NO_CREDENTIALS, query_factory=QueryFactory(self.channel)
        )
        try:
            await client.terminate_instances(instance_id)
        except Refused as e:
            # For an instance that is gone EC2 may answer "access denied": our policy is
            # by tag, and the instance has no tags any more.
            if e.code not in UNKNOWN and await self._exists(instance_id):
                raise

    async def console(self, instance_id: str) -> ConsoleOutput | None:
        """Read the console's output."""
        try:
            body = await self._console(instance_id)
        except Refused as e:
            # As in unmake: an instance that is gone may look like "access denied".
            if e.code in UNKNOWN or not await self._exists(instance_id):
                return None
            raise
        answer = parse_xml(body)
        # EC2's own line breaks and padding are not base64's.
        written = base64.b64decode(answer.findtext("output") or "")
        stamp = answer.findtext("timestamp") or ""
        try:
            at = datetime.fromisoformat(stamp)
        except ValueError:
            raise TryLater(
                "NotATime", "the console's output has no timestamp"
            ) from None
        return ConsoleOutput(written.decode("utf-8", "replace"), at)

    async def _console(self, instance_id: str) -> bytes:
        """Ask for the newest output, which instances of older types do not have: of
        them EC2 keeps a copy that it makes at start, reboot and end.
        """
        asked: dict[str, Any] = {"InstanceId": instance_id}
        try:
            return await self._submit("GetConsoleOutput", asked | {"Latest": True})
        except Refused as e:
            if e.code not in OLDER_TYPE:
                raise
            return await self._submit("GetConsoleOutput", asked)

    async def _exists(self, instance_id: str) -> bool:
        wanted = {"Filter": [{"Name": "instance-id", "Value": [instance_id]}]}
        body = await self._submit("DescribeInstances", wanted)
        return bool(self._parser.describe_instances(body))

    async def _submit(self, action: str, parameters: Mapping[str, Any]) -> bytes:
        query = QueryFactory(self.channel)(action, other_params=flatten(parameters))
        return await query.submit()


def key_tags(key: HostKey) -> dict[str, str]:
    """Make the tags by which a host is found."""
    return {
        "s4:deployment": key.deployment,
        "s4:signup": key.signup_id,
        "s4:generation": str(key.generation),
    }


def launch_parameters(request: LaunchRequest) -> dict[str, Any]:
    """Make RunInstances' parameters from the request alone, so that a repeat is
    byte-identical.  Raises Refused, before any call, for what EC2 would refuse.
    """
    user_data = request.user_data.reveal().encode()
    if len(user_data) > MOST_USER_DATA:
        raise Refused(
            "UserDataTooLarge", f"{len(user_data)} bytes, {MOST_USER_DATA} are allowed"
        )
    token = request.client_token
    if not (token.isascii() and 0 < len(token) <= LONGEST_TOKEN):
        raise Refused(
            "InvalidToken", f"a token has 1 to {LONGEST_TOKEN} ASCII characters"
        )
    every_tag = dict(request.tags) | key_tags(request.key)
    tags = [{"Key": name, "Value": every_tag[name]} for name in sorted(every_tag)]
    return {
        "ClientToken": token,
        "ImageId": request.image_id,
        "InstanceType": request.instance_type,
        "MinCount": 1,
        "MaxCount": 1,
        "SubnetId": request.subnet_id,
        "SecurityGroupId": request.security_group_ids,
        "IamInstanceProfile": {"Name": request.instance_profile},
        "UserData": base64.b64encode(user_data).decode("ascii"),
        "InstanceInitiatedShutdownBehavior": "stop",
        "MetadataOptions": {
            "HttpEndpoint": "enabled",
            "HttpTokens": "required",
            "HttpPutResponseHopLimit": 1,
        },
        "BlockDeviceMapping": [
            {
                "DeviceName": ROOT_DEVICE,
                "Ebs": {
                    "VolumeSize": request.volume_gib,
                    "VolumeType": "gp3",
                    "Encrypted": True,
                    "KmsKeyId": request.volume_kms_key,
                    "DeleteOnTermination": True,
                },
            }
        ],
        "TagSpecification": [
            {"ResourceType": kind, "Tag": tags} for kind in ("instance", "volume")
        ],
    }


def is_profile_unknown(error: ProvisionError) -> bool:
    """Whether EC2 does not know the instance profile, or its role, yet.

    IAM's changes reach the regions within seconds; EC2 answers this error until then.
    """
    text = error.message.lower()
    return error.code in ("InvalidParameterValue", "NoSuchEntity") and (
        "instance profile" in text or "instanceprofile" in text
    )


def host_of(instance: Instance) -> Host | None:
    """Convert an instance; None if it does not have the tags of a host."""
    tags = instance.tags if isinstance(instance, TaggedInstance) else {}
    try:
        key = HostKey(
            tags["s4:deployment"], tags["s4:signup"], int(tags["s4:generation"])
        )
    except (KeyError, ValueError):
        return None
    return Host(
        key=key,
        instance_id=instance.instance_id,
        state=_state(instance),
        address=instance.ip_address or None,
        launch_time=datetime.fromisoformat(instance.launch_time),
    )


def _state(instance: Instance) -> State:
    state = instance.instance_state
    return "terminated" if state == "shutting-down" else cast("State", state)
