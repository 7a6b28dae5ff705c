"""EC2 and its neighbours, with AWS's own SDK; instances are real processes."""

from __future__ import annotations

import base64
import json
import secrets
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError, ConnectionClosedError

TRUST = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Effect": "Allow",
            "Principal": {"Service": "ec2.amazonaws.com"},
            "Action": "sts:AssumeRole",
        }
    ],
}

#: What a host's program does: says its arguments, and waits to be ended.
PROGRAM = """
import json, os, pathlib, signal, sys
here = pathlib.Path("var/said.json")
here.write_text(json.dumps({"env": dict(os.environ), "cwd": os.getcwd(),
    "argv": sys.argv[1:], "pid": os.getpid()}))
print("host speaking", flush=True)
signal.pause()
"""


def code_of(call: Any, **arguments: Any) -> str:
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    return str(caught.value.response["Error"]["Code"])


def wait_for(what: Callable[[], Any], seconds: float = 60.0) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.02)
    return found


def root_of(gib: int) -> list[dict[str, Any]]:
    return [{"DeviceName": "/dev/xvda", "Ebs": {"VolumeSize": gib}}]


def ignition(program: str = PROGRAM, restart: str = "always") -> bytes:
    unit = (
        "[Unit]\nDescription=a host\n[Service]\nType=simple\n"
        'Environment="GREETING=hello there" OTHER=1\nWorkingDirectory=/\n'
        f'ExecStart={sys.executable} etc/program.py one "two words" 100%%\n'
        f"Restart={restart}\nRestartSec=50ms\n[Install]\nWantedBy=multi-user.target\n"
    )
    source = "data:;base64," + base64.b64encode(program.encode()).decode()
    return json.dumps(
        {
            "ignition": {"version": "3.3.0"},
            "storage": {
                "files": [
                    {
                        "path": "/etc/program.py",
                        "mode": 0o600,
                        "contents": {"source": source},
                    }
                ],
                "directories": [{"path": "/var", "mode": 0o700}],
            },
            "systemd": {
                "units": [{"name": "host.service", "enabled": True, "contents": unit}]
            },
        }
    ).encode()


class Launcher:
    """RunInstances with all that a launch of ours carries."""

    def __init__(self, cloud: Any) -> None:
        self.cloud = cloud
        self.ec2 = cloud.client("ec2")

    def arguments(self, **changes: Any) -> dict[str, Any]:
        facts = self.cloud.facts
        return {
            "ImageId": facts["image_id"],
            "InstanceType": "t3a.small",
            "MinCount": 1,
            "MaxCount": 1,
            "SubnetId": facts["subnet_id"],
            "SecurityGroupIds": [facts["security_group_id"]],
            "UserData": ignition().decode(),
            "MetadataOptions": {"HttpTokens": "required"},
            **changes,
        }

    def run(self, **changes: Any) -> Any:
        return self.ec2.run_instances(**self.arguments(**changes))["Instances"][0]

    def root(self, instance_id: str) -> Path:
        root: Path = self.cloud.state_dir / "instances" / instance_id
        return root

    def said(self, instance_id: str) -> Any:
        """What the host's program wrote, once it did."""
        file = self.root(instance_id) / "var" / "said.json"
        return json.loads(wait_for(lambda: file.exists() and file.read_text()))

    def state(self, instance_id: str) -> str:
        found = self.ec2.describe_instances(InstanceIds=[instance_id])
        return str(found["Reservations"][0]["Instances"][0]["State"]["Name"])

    def end(self, instance_id: str) -> None:
        self.ec2.terminate_instances(InstanceIds=[instance_id])
        wait_for(lambda: self.state(instance_id) == "terminated")


@pytest.fixture
def launcher(calm: Any) -> Launcher:
    return Launcher(calm)


def make_profile(cloud: Any, policy: dict[str, Any] | None = None) -> str:
    iam, name = cloud.client("iam"), f"r-{secrets.token_hex(4)}"
    iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(TRUST))
    if policy is not None:
        document = json.dumps(policy)
        iam.put_role_policy(RoleName=name, PolicyName="p", PolicyDocument=document)
    iam.create_instance_profile(InstanceProfileName=name)
    iam.add_role_to_instance_profile(InstanceProfileName=name, RoleName=name)
    return name


def exists(pid: int) -> bool:
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False
    return status.rpartition(")")[2].split()[0] != "Z"


def test_an_instance_runs_what_its_user_data_names(launcher: Launcher) -> None:
    """Files, modes, arguments and environment are as the user-data says."""
    instance_id = launcher.run()["InstanceId"]
    said, root = launcher.said(instance_id), launcher.root(instance_id)
    assert said["argv"] == ["one", "two words", "100%"]
    assert said["cwd"] == str(root)
    assert (said["env"]["GREETING"], said["env"]["OTHER"]) == ("hello there", "1")
    assert (root / "etc/program.py").stat().st_mode & 0o777 == 0o600
    assert (root / "var").stat().st_mode & 0o777 == 0o700
    wait_for(lambda: launcher.state(instance_id) == "running")
    wait_for(lambda: b"host speaking" in (root / "console.log").read_bytes())
    output = launcher.ec2.get_console_output(InstanceId=instance_id)["Output"]
    assert "host speaking" in output
    launcher.end(instance_id)
    assert not exists(said["pid"])


def test_a_killed_host_comes_back(launcher: Launcher) -> None:
    """A service killed with -9 is started again; the instance stays the same."""
    instance_id = launcher.run()["InstanceId"]
    first = launcher.said(instance_id)["pid"]
    assert launcher.cloud.control("POST", f"instances/{instance_id}/kill", {})["killed"]
    wait_for(lambda: launcher.said(instance_id)["pid"] != first)
    launcher.ec2.reboot_instances(InstanceIds=[instance_id])
    second = launcher.said(instance_id)["pid"]
    wait_for(lambda: launcher.said(instance_id)["pid"] != second)
    launcher.end(instance_id)


def test_an_instance_stops_and_starts(launcher: Launcher) -> None:
    """A stopped instance has no process, and its files when it starts again."""
    instance_id = launcher.run()["InstanceId"]
    first = launcher.said(instance_id)["pid"]
    (launcher.root(instance_id) / "kept").write_text("kept")
    launcher.ec2.stop_instances(InstanceIds=[instance_id])
    wait_for(lambda: launcher.state(instance_id) == "stopped")
    assert not exists(first)
    launcher.ec2.start_instances(InstanceIds=[instance_id])
    wait_for(lambda: launcher.said(instance_id)["pid"] != first)
    assert (launcher.root(instance_id) / "kept").read_text() == "kept"
    launcher.end(instance_id)
    started = code_of(launcher.ec2.start_instances, InstanceIds=[instance_id])
    assert started == "IncorrectInstanceState"


def test_an_address_comes_late_and_is_another_one_after_a_stop(
    launcher: Launcher,
) -> None:
    """Somebody stops and starts an instance: EC2, metadata service and control endpoint
    show its public address after a while, and then another one.
    """
    cloud = launcher.cloud

    def address(instance_id: str) -> str | None:
        found = launcher.ec2.describe_instances(InstanceIds=[instance_id])
        instance = found["Reservations"][0]["Instances"][0]
        shown: str | None = instance.get("PublicIpAddress")
        return shown

    with cloud.slow(address=1.0):
        instance_id = launcher.run()["InstanceId"]
        wait_for(lambda: launcher.state(instance_id) == "running")
        assert address(instance_id) is None
    first = wait_for(lambda: address(instance_id))
    assert cloud.control("POST", f"instances/{instance_id}/stop", {})["stopping"]
    wait_for(lambda: launcher.state(instance_id) == "stopped")
    assert address(instance_id) is None
    assert cloud.control("POST", f"instances/{instance_id}/start", {})["starting"]
    second = wait_for(lambda: address(instance_id))
    assert first != second
    with pytest.raises(urllib.error.HTTPError):
        cloud.control("POST", "instances/i-0123/stop", {})
    launcher.end(instance_id)


def test_user_data_that_is_no_ignition_boots_nothing(launcher: Launcher) -> None:
    """A shell script as user-data runs nowhere; the console says why."""
    instance_id = launcher.run(UserData="#!/bin/sh\necho hello")["InstanceId"]
    console = launcher.root(instance_id) / "console.log"
    wait_for(lambda: console.exists() and "not JSON" in console.read_text())
    listed = launcher.cloud.control("GET")["instances"]
    assert [i["services"] for i in listed if i["instance_id"] == instance_id] == [[]]
    launcher.end(instance_id)


def test_a_client_token_starts_one_instance(launcher: Launcher) -> None:
    """One token, one instance: repeated, changed, and after its end."""
    token = secrets.token_hex(16)
    first = launcher.run(ClientToken=token)["InstanceId"]
    assert launcher.run(ClientToken=token)["InstanceId"] == first
    changed = launcher.arguments(ClientToken=token, InstanceType="t3.large")
    refused = code_of(launcher.ec2.run_instances, **changed)
    assert refused == "IdempotentParameterMismatch"
    by_token = {"Name": "client-token", "Values": [token]}
    found = launcher.ec2.describe_instances(Filters=[by_token])["Reservations"]
    assert [i["InstanceId"] for r in found for i in r["Instances"]] == [first]
    launcher.end(first)
    same = launcher.arguments(ClientToken=token)
    gone = code_of(launcher.ec2.run_instances, **same)
    assert gone == "IdempotentInstanceTerminated"


@pytest.mark.parametrize("kind", ["lost-reply", "error-after", "doubled"])
def test_one_instance_whatever_the_reply(launcher: Launcher, kind: str) -> None:
    """A repeat after a lost, failed or doubled call finds the first instance."""
    token = secrets.token_hex(16)
    launcher.cloud.fault("ec2", "RunInstances", kind)
    if kind == "doubled":
        launcher.run(ClientToken=token)
    else:
        with pytest.raises((ClientError, ConnectionClosedError)):
            launcher.run(ClientToken=token)
    instance_id = launcher.run(ClientToken=token)["InstanceId"]
    listed = launcher.cloud.control("GET")["instances"]
    alive = [i["instance_id"] for i in listed if i["state"] != "terminated"]
    assert alive == [instance_id]
    launcher.end(instance_id)


def test_throttling_and_errors_before_the_effect(launcher: Launcher) -> None:
    """A throttled call, or one that fails at once, starts nothing."""
    before = len(launcher.cloud.control("GET")["instances"])
    launcher.cloud.fault("ec2", "RunInstances", "throttle", times=2)
    for _ in range(2):
        refused = code_of(launcher.ec2.run_instances, **launcher.arguments())
        assert refused == "RequestLimitExceeded"
    launcher.cloud.fault("ec2", "RunInstances", "lost-call")
    with pytest.raises(ConnectionClosedError):
        launcher.run()
    launcher.cloud.fault(
        "ec2", "*", "error-before", code="InsufficientInstanceCapacity"
    )
    refused = code_of(launcher.ec2.run_instances, **launcher.arguments())
    assert refused == "InsufficientInstanceCapacity"
    assert len(launcher.cloud.control("GET")["instances"]) == before


def test_a_new_instance_is_not_seen_at_once(launcher: Launcher) -> None:
    """For the visibility delay, Describe calls know nothing of a new instance."""
    tag = secrets.token_hex(4)
    spec = {"ResourceType": "instance", "Tags": [{"Key": "t", "Value": tag}]}
    by_tag = {"Name": "tag:t", "Values": [tag]}
    with launcher.cloud.slow(visibility=1.5):
        instance_id = launcher.run(TagSpecifications=[spec])["InstanceId"]
        unseen = launcher.ec2.describe_instances(Filters=[by_tag])["Reservations"]
        assert unseen == []
        by_id = code_of(launcher.ec2.describe_instances, InstanceIds=[instance_id])
        assert by_id == "InvalidInstanceID.NotFound"
    wait_for(lambda: launcher.ec2.describe_instances(Filters=[by_tag])["Reservations"])
    launcher.end(instance_id)


def test_a_new_profile_is_unknown_for_a_while(launcher: Launcher) -> None:
    """RunInstances refuses a profile made a moment ago, and takes it later."""
    with launcher.cloud.slow(profile=1.0):
        name = make_profile(launcher.cloud)
        profile = {"IamInstanceProfile": {"Name": name}}
        refused = code_of(launcher.ec2.run_instances, **launcher.arguments(**profile))
        assert refused == "InvalidParameterValue"

        def launched() -> Any:
            try:
                return launcher.run(**profile)["InstanceId"]
            except ClientError as e:
                assert e.response["Error"]["Code"] == "InvalidParameterValue"
                return None

        launcher.end(wait_for(launched))


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"ImageId": "ami-00000000"}, "InvalidAMIID.NotFound"),
        ({"ImageId": "mine"}, "InvalidAMIID.Malformed"),
        ({"InstanceType": "t4g.small"}, "InvalidParameterValue"),
        ({"BlockDeviceMappings": root_of(gib=9)}, "InvalidBlockDeviceMapping"),
        ({"UserData": "x" * 16_385}, "InvalidParameterValue"),
        ({"IamInstanceProfile": {"Name": "nobody"}}, "InvalidParameterValue"),
        ({"ClientToken": "t" * 65}, "InvalidParameterValue"),
    ],
)
def test_launches_that_ec2_refuses(
    launcher: Launcher, changes: dict[str, Any], code: str
) -> None:
    """What EC2 refuses and moto would accept is refused."""
    assert code_of(launcher.ec2.run_instances, **launcher.arguments(**changes)) == code


def test_an_image_of_another_architecture_is_refused_in_ec2s_words(
    launcher: Launcher,
) -> None:
    """Whoever launches an image on a type of another architecture reads both; one that
    fits, on a volume as large as the image, is launched.
    """
    with pytest.raises(ClientError, match=r"architecture 'arm64' .* 'x86_64'"):
        launcher.ec2.run_instances(**launcher.arguments(InstanceType="t4g.small"))
    images = launcher.ec2.describe_images(ImageIds=[launcher.cloud.facts["image_id"]])
    [device] = images["Images"][0]["BlockDeviceMappings"]
    assert (device["DeviceName"], device["Ebs"]["VolumeSize"]) == ("/dev/xvda", 10)
    made = launcher.run(BlockDeviceMappings=root_of(gib=10))
    launcher.end(made["InstanceId"])


def test_no_address_leads_out(launcher: Launcher) -> None:
    """Every address of an instance is this machine's own."""
    made = launcher.run()
    found = launcher.ec2.describe_instances(InstanceIds=[made["InstanceId"]])
    instance = found["Reservations"][0]["Instances"][0]
    for seen in (made, instance):
        assert seen["PrivateIpAddress"] == "127.0.0.1"
        assert ip_address(seen.get("PublicIpAddress", "127.0.0.1")).is_loopback
        assert seen.get("PublicDnsName", "localhost") in ("", "localhost")
    launcher.end(made["InstanceId"])


def test_signatures_and_policies_are_checked(launcher: Launcher) -> None:
    """A wrong secret and a policy that does not allow are both refused, in EC2's words."""
    cloud = launcher.cloud
    wrong = {
        "aws_access_key_id": cloud.facts["access_key"],
        "aws_secret_access_key": "wrong",
    }
    refused = code_of(cloud.client("ec2", wrong).describe_instances)
    assert refused == "AuthFailure"
    iam, name = cloud.client("iam"), f"u-{secrets.token_hex(4)}"
    iam.create_user(UserName=name)
    made = iam.create_access_key(UserName=name)["AccessKey"]
    poor = {
        "aws_access_key_id": made["AccessKeyId"],
        "aws_secret_access_key": made["SecretAccessKey"],
    }
    refused = code_of(cloud.client("ec2", poor).describe_instances)
    assert refused == "UnauthorizedOperation"
    assert code_of(cloud.client("kms", poor).create_key) == "AccessDeniedException"
    assert code_of(cloud.client("iam", poor).list_users) == "AccessDenied"
    assert cloud.client("sts", poor).get_caller_identity()["Arn"].endswith(name)


def test_a_role_is_assumed_by_whom_it_trusts(launcher: Launcher) -> None:
    """A role for instances is refused to a user; one that trusts the account is not."""
    cloud = launcher.cloud
    sts, iam = cloud.client("sts"), cloud.client("iam")
    role = iam.get_role(RoleName=make_profile(cloud))["Role"]
    asked = {"RoleArn": role["Arn"], "RoleSessionName": "us"}
    assert code_of(sts.assume_role, **asked) == "AccessDenied"
    trust = {
        "Effect": "Allow",
        "Principal": {"AWS": "arn:aws:iam::123456789012:root"},
        "Action": "sts:AssumeRole",
    }
    iam.update_assume_role_policy(
        RoleName=role["RoleName"],
        PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [trust]}),
    )
    keys = sts.assume_role(**asked)["Credentials"]
    session = {
        "aws_access_key_id": keys["AccessKeyId"],
        "aws_secret_access_key": keys["SecretAccessKey"],
        "aws_session_token": keys["SessionToken"],
    }
    named = cloud.client("sts", session).get_caller_identity()["Arn"]
    assert f"assumed-role/{role['RoleName']}" in named


def read(url: str, method: str = "GET", **headers: str) -> tuple[int, bytes]:
    named = {k.replace("_", "-"): v for k, v in headers.items()}
    request = urllib.request.Request(url, method=method, headers=named)
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as e:
        return e.code, b""


def test_the_metadata_service_asks_for_a_token(launcher: Launcher) -> None:
    """Version 2 alone: a token is got by PUT, not through a proxy, and needed."""
    instance_id = launcher.run()["InstanceId"]
    base = launcher.said(instance_id)["env"]["AWS_EC2_METADATA_SERVICE_ENDPOINT"]
    token_url, ttl = base + "/latest/api/token", "X_aws_ec2_metadata_token_ttl_seconds"
    assert read(base + "/latest/user-data")[0] == 401
    assert read(token_url, "PUT")[0] == 400
    assert read(token_url, "PUT", **{ttl: "60", "X_Forwarded_For": "1.2.3.4"})[0] == 403
    status, token = read(token_url, "PUT", **{ttl: "60"})
    assert status == 200
    shown = {"X_aws_ec2_metadata_token": token.decode()}

    def get(path: str) -> bytes:
        status, body = read(f"{base}/latest/{path}", **shown)
        assert status == 200, path
        return body

    assert get("user-data") == ignition()
    assert get("meta-data/instance-id").decode() == instance_id
    document = json.loads(get("dynamic/instance-identity/document"))
    assert document["instanceId"] == instance_id
    found = launcher.ec2.describe_instances(InstanceIds=[instance_id])
    launched = found["Reservations"][0]["Instances"][0]["LaunchTime"]
    assert document["pendingTime"] == launched.strftime("%Y-%m-%dT%H:%M:%SZ")
    assert read(f"{base}/latest/meta-data/iam/info", **shown)[0] == 404
    _, short = read(token_url, "PUT", **{ttl: "1"})
    late = {"X_aws_ec2_metadata_token": short.decode()}
    wait_for(lambda: read(f"{base}/latest/user-data", **late)[0] == 401)
    launcher.end(instance_id)
    with pytest.raises(OSError):
        read(token_url, "PUT", **{ttl: "60"})


def test_a_host_reaches_its_own_bucket_alone(launcher: Launcher) -> None:
    """Keys from the metadata service reach what the role's policy names, no more."""
    cloud, mine = launcher.cloud, f"mine-{secrets.token_hex(4)}"
    s3, place = cloud.client("s3"), {"LocationConstraint": "eu-west-1"}
    for bucket in (mine, f"other-{mine}"):
        s3.create_bucket(Bucket=bucket, CreateBucketConfiguration=place)
    statement = {
        "Effect": "Allow",
        "Action": ["s3:GetObject", "s3:PutObject"],
        "Resource": f"arn:aws:s3:::{mine}/*",
    }
    profile = make_profile(cloud, {"Version": "2012-10-17", "Statement": [statement]})
    made = launcher.run(IamInstanceProfile={"Name": profile})
    base = launcher.said(made["InstanceId"])["env"]["AWS_EC2_METADATA_SERVICE_ENDPOINT"]
    ttl = {"X_aws_ec2_metadata_token_ttl_seconds": "60"}
    token = read(base + "/latest/api/token", "PUT", **ttl)[1].decode()
    shown = {"X_aws_ec2_metadata_token": token}
    roles = base + "/latest/meta-data/iam/security-credentials/"
    role = read(roles, **shown)[1].decode()
    assert role == profile
    keys = json.loads(read(roles + role, **shown)[1])
    held = {
        "aws_access_key_id": keys["AccessKeyId"],
        "aws_secret_access_key": keys["SecretAccessKey"],
        "aws_session_token": keys["Token"],
    }
    host = cloud.client("s3", held)
    host.put_object(Bucket=mine, Key="share", Body=b"x")
    assert host.get_object(Bucket=mine, Key="share")["Body"].read() == b"x"
    other = {"Bucket": f"other-{mine}", "Key": "share"}
    assert code_of(host.get_object, **other) == "AccessDenied"
    assert code_of(host.delete_object, Bucket=mine, Key="share") == "AccessDenied"
    without = cloud.client("s3", {k: v for k, v in held.items() if "token" not in k})
    assert code_of(without.get_object, Bucket=mine, Key="share") == "InvalidAccessKeyId"
    cloud.client("iam").delete_role_policy(RoleName=profile, PolicyName="p")
    assert code_of(host.get_object, Bucket=mine, Key="share") == "AccessDenied"
    launcher.end(made["InstanceId"])
