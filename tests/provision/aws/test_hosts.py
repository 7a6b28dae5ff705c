from __future__ import annotations

import base64
from urllib.parse import parse_qs

import attrs
import pytest
from twisted.internet.error import ConnectionLost
from twisted.trial.unittest import SynchronousTestCase, TestCase
from twisted.web.client import ResponseNeverReceived

from lae_protocol.secret import Secret
from lae_provision.aws import hosts
from lae_provision.doors import HostKey, LaunchRequest
from lae_provision.errors import NoCapacity, Refused, TokenSpent, TryLater
from tests.provision.contracts.suite import role_request

REQUEST = LaunchRequest(
    key=HostKey("s4", "su1", 3),
    client_token="su1-3-1",
    image_id="ami-1",
    instance_type="t3a.small",
    subnet_id="subnet-1",
    security_group_ids=("sg-1", "sg-2"),
    instance_profile="s4-g1",
    volume_gib=10,
    volume_kms_key=None,
    user_data=Secret('{"ignition":{}}'),
    tags=(("Name", "s4-g1-3"), ("s4:label", "g1")),
)
LAUNCHED = (
    b"<RunInstancesResponse><reservationId>r-1</reservationId><ownerId>1</ownerId>"
    b"<groupSet/><instancesSet><item><instanceId>i-1</instanceId>"
    b"<instanceState><code>0</code><name>pending</name></instanceState>"
    b"<launchTime>2026-11-23T17:00:00.000Z</launchTime><groupSet/>"
    b"<placement><availabilityZone>a</availabilityZone></placement>"
    b"<privateIpAddress>10.0.0.7</privateIpAddress>"
    b"</item></instancesSet></RunInstancesResponse>"
)


class LaunchTests(SynchronousTestCase):
    @pytest.fixture(autouse=True)
    def _scripted(self, scripted: object) -> None:
        self.scripted = scripted

    def launch(self, *answers: object, request: LaunchRequest = REQUEST) -> object:
        queue = list(answers)
        door = self.scripted.cloud(lambda _: queue.pop(0)).hosts
        return self.scripted.after(door.make(request))

    def sent(self) -> list[dict[str, list[str]]]:
        return [parse_qs(b.decode()) for b in self.scripted.script.bodies]

    def test_what_is_asked(self) -> None:
        """One instance, with token, profile, tokens for metadata, an encrypted volume
        and the key's tags on both, under the API of 2016.
        """
        host = self.successResultOf(self.launch(self.scripted.ok(LAUNCHED)))
        self.assertEqual((host.instance_id, host.state), ("i-1", "pending"))
        self.assertEqual(host.key, REQUEST.key)
        self.assertEqual(host.launch_time.isoformat(), "2026-11-23T17:00:00+00:00")
        [sent] = self.sent()
        told = {name: value[0] for name, value in sent.items()}
        user_data = base64.b64decode(told.pop("UserData"))
        self.assertEqual(user_data, b'{"ignition":{}}')
        tags = {
            told.pop(f"TagSpecification.{kind}.Tag.{n}.Key"): told.pop(
                f"TagSpecification.{kind}.Tag.{n}.Value"
            )
            for kind in (1, 2)
            for n in range(1, 6)
        }
        self.assertEqual(
            tags,
            {
                "Name": "s4-g1-3",
                "s4:deployment": "s4",
                "s4:generation": "3",
                "s4:label": "g1",
                "s4:signup": "su1",
            },
        )
        self.assertEqual(
            told,
            {
                "Action": "RunInstances",
                "Version": "2016-11-15",
                "ClientToken": "su1-3-1",
                "ImageId": "ami-1",
                "InstanceType": "t3a.small",
                "MinCount": "1",
                "MaxCount": "1",
                "SubnetId": "subnet-1",
                "SecurityGroupId.1": "sg-1",
                "SecurityGroupId.2": "sg-2",
                "IamInstanceProfile.Name": "s4-g1",
                "InstanceInitiatedShutdownBehavior": "stop",
                "MetadataOptions.HttpEndpoint": "enabled",
                "MetadataOptions.HttpTokens": "required",
                "MetadataOptions.HttpPutResponseHopLimit": "1",
                "BlockDeviceMapping.1.DeviceName": "/dev/xvda",
                "BlockDeviceMapping.1.Ebs.VolumeSize": "10",
                "BlockDeviceMapping.1.Ebs.VolumeType": "gp3",
                "BlockDeviceMapping.1.Ebs.Encrypted": "true",
                "BlockDeviceMapping.1.Ebs.DeleteOnTermination": "true",
                "TagSpecification.1.ResourceType": "instance",
                "TagSpecification.2.ResourceType": "volume",
            },
        )

    def test_own_volume_key(self) -> None:
        """A key of the customer's account for volumes is named where there is one."""
        request = attrs.evolve(REQUEST, volume_kms_key="arn:k")
        self.successResultOf(self.launch(self.scripted.ok(LAUNCHED), request=request))
        self.assertEqual(self.sent()[0]["BlockDeviceMapping.1.Ebs.KmsKeyId"], ["arn:k"])

    def test_a_repeat_is_the_same_to_the_byte(self) -> None:
        """After lost answers, throttling and nonsense the same bytes go out again."""
        done = self.launch(
            ResponseNeverReceived([ConnectionLost()]),
            self.scripted.refusal("RequestLimitExceeded", status=503),
            self.scripted.ok(b"<html>a proxy's page</html"),
            self.scripted.ok(LAUNCHED),
        )
        self.assertEqual(self.successResultOf(done).instance_id, "i-1")
        self.assertEqual(len(self.scripted.script.bodies), 4)
        self.assertEqual(len(set(self.scripted.script.bodies)), 1)

    def test_a_new_profile_may_be_unknown(self) -> None:
        """EC2 hears of a new instance profile late: tried again with the same token,
        and then told as something that passes.
        """
        unknown = self.scripted.refusal(
            "InvalidParameterValue",
            "Value (s4-g1) for parameter iamInstanceProfile.name is invalid. "
            "Invalid IAM Instance Profile name",
        )
        done = self.launch(unknown, unknown, self.scripted.ok(LAUNCHED))
        self.successResultOf(done)
        self.assertEqual(len(set(self.scripted.script.bodies)), 1)
        self.failureResultOf(self.launch(*[unknown] * 4), TryLater)

    def test_other_invalid_values_are_refused(self) -> None:
        """Only the instance profile is waited for."""
        wrong = self.scripted.refusal("InvalidParameterValue", "Invalid volume size")
        self.failureResultOf(self.launch(wrong), Refused)

    def test_no_room_and_spent_token(self) -> None:
        """A full cloud and a spent token are told apart, and not tried again."""
        full = self.scripted.refusal("InsufficientInstanceCapacity", status=500)
        self.failureResultOf(self.launch(full), NoCapacity)
        spent = self.scripted.refusal("IdempotentInstanceTerminated")
        self.failureResultOf(self.launch(spent), TokenSpent)

    def test_user_data_has_a_limit(self) -> None:
        """16,384 bytes of user-data are sent, one more is refused with no call made."""
        fits = attrs.evolve(REQUEST, user_data=Secret("x" * 16_384))
        self.successResultOf(self.launch(self.scripted.ok(LAUNCHED), request=fits))
        over = attrs.evolve(REQUEST, user_data=Secret("é" * 8193))
        failure = self.failureResultOf(self.launch(request=over), Refused)
        self.assertEqual(failure.value.code, "UserDataTooLarge")
        self.assertEqual(self.scripted.script.bodies, [])

    def test_tokens_have_a_shape(self) -> None:
        """A token that EC2 would refuse, or cut, is refused with no call made."""
        for token in ("", "x" * 65, "té"):
            bad = attrs.evolve(REQUEST, client_token=token)
            self.failureResultOf(self.launch(request=bad), Refused)
        self.assertEqual(self.scripted.script.bodies, [])


class TerminateTests(SynchronousTestCase):
    @pytest.fixture(autouse=True)
    def _scripted(self, scripted: object) -> None:
        self.scripted = scripted

    def terminate(self, described: bytes) -> object:
        """Terminate what our policy, which is by tag, does not let us touch."""
        answers = [
            self.scripted.refusal("UnauthorizedOperation", status=403),
            self.scripted.ok(described),
        ]
        door = self.scripted.cloud(lambda _: answers.pop(0)).hosts
        return self.scripted.after(door.unmake("i-1"))

    def test_what_is_gone_has_no_tags(self) -> None:
        """EC2 refuses to terminate what it no longer knows; that is success."""
        self.successResultOf(self.terminate(b"<R><reservationSet/></R>"))

    def test_what_is_there_and_not_ours(self) -> None:
        """An instance that is there and refused is an operator's business."""
        shown = LAUNCHED.replace(
            b"<RunInstancesResponse>", b"<R><reservationSet><item>"
        )
        shown = shown.replace(
            b"</RunInstancesResponse>", b"</item></reservationSet></R>"
        )
        failure = self.failureResultOf(self.terminate(shown), Refused)
        self.assertEqual(failure.value.code, "UnauthorizedOperation")


CONSOLE = b"""<GetConsoleOutputResponse><instanceId>i-1</instanceId>
<timestamp>2026-11-30T09:00:00.000Z</timestamp><output>d29yZHM=</output>
</GetConsoleOutputResponse>"""


class ConsoleTests(SynchronousTestCase):
    @pytest.fixture(autouse=True)
    def _scripted(self, scripted: object) -> None:
        self.scripted = scripted

    def read(self, *answers: object) -> object:
        """What is read, while EC2 answers so."""
        left = list(answers)
        door = self.scripted.cloud(lambda _: left.pop(0)).hosts
        return self.scripted.after(door.console("i-1"))

    def asked(self) -> list[list[str] | None]:
        """Whether each question was for the newest output."""
        bodies = self.scripted.script.bodies
        return [parse_qs(body.decode()).get("Latest") for body in bodies]

    def test_the_newest_output_is_asked_for(self) -> None:
        """EC2's own copy is of the last start: it would be empty while a host boots."""
        output = self.successResultOf(self.read(self.scripted.ok(CONSOLE)))
        self.assertEqual(output.text, "words")
        self.assertEqual(self.asked(), [["true"]])

    def test_older_types_have_a_copy_alone(self) -> None:
        """Where EC2 has no newest output, its copy is read."""
        refused = self.scripted.refusal("UnsupportedOperation", status=400)
        output = self.successResultOf(self.read(refused, self.scripted.ok(CONSOLE)))
        self.assertEqual(output.text, "words")
        self.assertEqual(self.asked(), [["true"], None])


class OnMotoTests(TestCase):
    @pytest.fixture(autouse=True)
    def _benches(self, benches: object, monkeypatch: pytest.MonkeyPatch) -> None:
        self.benches, self.monkeypatch = benches, monkeypatch
        self.ec2 = benches.account.client("ec2")

    async def test_what_is_made(self) -> None:
        """What moto shows of the instance and its volume is what was asked for."""
        self.addCleanup(self.benches.close)
        bench = self.benches.bench()
        role = role_request(bench)
        await bench.roles.make(role)
        request = attrs.evolve(
            REQUEST,
            client_token="what-is-made",
            image_id=bench.image_id,
            subnet_id=bench.subnet_id,
            security_group_ids=bench.security_group_ids,
            instance_profile=role.name,
        )
        made = await bench.hosts.make(request)
        shown = self.ec2.describe_instances(InstanceIds=[made.instance_id])
        instance = shown["Reservations"][0]["Instances"][0]
        self.assertEqual(instance["MetadataOptions"]["HttpTokens"], "required")
        self.assertEqual(instance["MetadataOptions"]["HttpPutResponseHopLimit"], 1)
        self.assertTrue(instance["IamInstanceProfile"]["Arn"].endswith(role.name))
        mapped = [d["Ebs"]["VolumeId"] for d in instance["BlockDeviceMappings"]]
        [volume] = self.ec2.describe_volumes(VolumeIds=mapped)["Volumes"]
        self.assertEqual((volume["VolumeType"], volume["Encrypted"]), ("gp3", True))
        self.assertIn({"Key": "s4:signup", "Value": "su1"}, volume["Tags"])
        self.assertIn({"Key": "s4:generation", "Value": "3"}, instance["Tags"])

    async def test_lists_go_through_all_pages(self) -> None:
        """Every host is listed, however many pages they are on; a machine that only
        has the deployment's tag is none.
        """
        self.addCleanup(self.benches.close)
        self.monkeypatch.setattr(hosts, "PAGE", 5)
        tags = {"s4:deployment": "paged", "s4:signup": "su9", "s4:generation": "1"}
        for n in range(12):
            self.ec2.run_instances(
                ImageId=self.benches.account.image_id,
                MinCount=1,
                MaxCount=1,
                TagSpecifications=[
                    {
                        "ResourceType": "instance",
                        "Tags": [
                            {"Key": key, "Value": value}
                            for key, value in tags.items()
                            if n or key == "s4:deployment"
                        ],
                    }
                ],
            )
        door = self.benches.bench().hosts
        found = await door.list("paged")
        self.assertEqual(len(found), 11)
        # Eleven with one key are a fault of somebody's; the answer is always the same.
        first = await door.find(HostKey("paged", "su9", 1))
        self.assertEqual(
            first.instance_id, min((h.launch_time, h.instance_id) for h in found)[1]
        )
