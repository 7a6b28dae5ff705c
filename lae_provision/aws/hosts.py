"""Customers' hosts as EC2 instances."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Literal, cast
from xml.etree.ElementTree import Element

from attrs import define, field
from twisted.logger import Logger

from lae_provision.aws.channel import Channel, parsed
from lae_provision.aws.parameters import flatten
from lae_provision.aws.query import QueryFactory
from lae_provision.aws.s3 import NO_CREDENTIALS
from lae_provision.doors import ConsoleOutput, Host, HostKey, IHosts, LaunchRequest
from lae_provision.errors import ProvisionError, Refused, TryLater
from lae_provision.txaws3.clients import EC2Client, Instance, Parser

#: EC2's limit, before base64.
MOST_USER_DATA = 16_384
LONGEST_TOKEN = 64
PAGE = 500
#: Of Fedora CoreOS' and Flatcar's images alike.
ROOT_DEVICE = "/dev/xvda"
LIVE = ("pending", "running", "stopping", "stopped")
UNKNOWN = frozenset({"InvalidInstanceID.NotFound"})

State = Literal["pending", "running", "stopping", "stopped", "terminated"]


class TaggedInstance(Instance):
    """txaws' instance, with the tags that say whose it is."""

    tags: Mapping[str, str]


class TaggedParser(Parser):
    """txaws' parser, which drops an instance's tags, without dropping them."""

    def instance(self, instance_data: Element, reservation: object) -> TaggedInstance:
        """An instance with its tags, and what else a host needs."""
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
        """The live instance with this key in its tags."""
        found = await self._described(key_tags(key))
        if len(found) > 1:
            ids = [host.instance_id for host in found]
            self._log.error("more than one host of {key}: {ids}", key=key, ids=ids)
        # Always the same one of several: the first.
        return min(found, key=lambda h: (h.launch_time, h.instance_id), default=None)

    async def list(self, deployment: str) -> tuple[Host, ...]:
        """All live instances with the deployment's tag."""
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
            token = parsed(body).findtext("nextToken")
            instances = self._parser.describe_instances(body)
            hosts += [host for i in instances if (host := host_of(i)) is not None]
            if not token:
                return tuple(hosts)

    async def make(self, request: LaunchRequest) -> Host:
        """Launch, under the request's token.

        TryLater where EC2 does not know the instance profile yet.
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

        # Each try is the same to the byte, under the same token.
        instances = await self.channel.attempt(launch, "ec2")
        if len(instances) != 1:
            raise Refused("UnknownAnswer", f"{len(instances)} instances of one launch")
        shown = instances[0]
        # The answer's own tags may lag behind; what was asked for is known.
        return Host(
            key=request.key,
            instance_id=shown.instance_id,
            state=_state(shown),
            address=_address(shown),
            launch_time=datetime.fromisoformat(shown.launch_time),
        )

    async def unmake(self, instance_id: str) -> None:
        """Terminate; success where EC2 does not know the instance."""
        client = EC2Client(
            creds=NO_CREDENTIALS, query_factory=QueryFactory(self.channel)
        )
        try:
            await client.terminate_instances(instance_id)
        except Refused as e:
            # Of an instance that is no more EC2 does not always say so: it has no tags
            # either, and our policy is by tag.
            if e.code not in UNKNOWN and await self._exists(instance_id):
                raise

    async def console(self, instance_id: str) -> ConsoleOutput | None:
        """GetConsoleOutput."""
        try:
            body = await self._submit("GetConsoleOutput", {"InstanceId": instance_id})
        except Refused as e:
            # Where there is no instance there are no tags, and our policy is by tag.
            if e.code in UNKNOWN or not await self._exists(instance_id):
                return None
            raise
        answer = parsed(body)
        # EC2's own line breaks and padding are not base64's.
        written = base64.b64decode(answer.findtext("output") or "")
        stamp = answer.findtext("timestamp") or ""
        try:
            at = datetime.fromisoformat(stamp)
        except ValueError:
            raise TryLater("NotATime", "a console without its time") from None
        return ConsoleOutput(written.decode("utf-8", "replace"), at)

    async def _exists(self, instance_id: str) -> bool:
        wanted = {"Filter": [{"Name": "instance-id", "Value": [instance_id]}]}
        body = await self._submit("DescribeInstances", wanted)
        return bool(self._parser.describe_instances(body))

    async def _submit(self, action: str, parameters: Mapping[str, Any]) -> bytes:
        query = QueryFactory(self.channel)(action, other_params=flatten(parameters))
        return await query.submit()


def key_tags(key: HostKey) -> dict[str, str]:
    """The tags by which a host is found again."""
    return {
        "s4:deployment": key.deployment,
        "s4:signup": key.signup_id,
        "s4:generation": str(key.generation),
    }


def launch_parameters(request: LaunchRequest) -> dict[str, Any]:
    """RunInstances, from the request alone: a repeat is the same to the byte.

    Raises Refused for what EC2 would refuse, with no call made.
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
    """Whether EC2 has not heard of the instance profile, or of the role in it.

    IAM tells the regions within some seconds; until then this is what they say.
    """
    text = error.message.lower()
    return error.code in ("InvalidParameterValue", "NoSuchEntity") and (
        "instance profile" in text or "instanceprofile" in text
    )


def host_of(instance: Instance) -> Host | None:
    """An instance as the doors show it; None where its tags are not of a host."""
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
        address=_address(instance),
        launch_time=datetime.fromisoformat(instance.launch_time),
    )


def _state(instance: Instance) -> State:
    state = instance.instance_state
    return "terminated" if state == "shutting-down" else cast("State", state)


def _address(instance: Instance) -> str | None:
    """The public address where there is one."""
    return instance.ip_address or instance.private_ip_address or None
