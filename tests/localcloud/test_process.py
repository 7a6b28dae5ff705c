"""The cloud as a process: how it ends, and what ends with it."""

from __future__ import annotations

import base64
import json
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
import psutil
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

#: A host that will not end by itself, with a child that will not either.
STUBBORN = """
import pathlib, signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = subprocess.Popen(["sleep", "1000"])
pathlib.Path("pids").write_text(f"{__import__('os').getpid()} {child.pid}")
while True:
    time.sleep(1)
"""


def wait_for(what: Callable[[], Any], seconds: float = 60.0) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.02)
    return found


def user_data(program: str) -> str:
    source = "data:;base64," + base64.b64encode(program.encode()).decode()
    unit = f"[Service]\nExecStart={sys.executable} program.py\n"
    return json.dumps(
        {
            "ignition": {"version": "3.3.0"},
            "storage": {
                "files": [{"path": "/program.py", "contents": {"source": source}}]
            },
            "systemd": {
                "units": [{"name": "h.service", "enabled": True, "contents": unit}]
            },
        }
    )


def launch(cloud: Any, program: str, **more: Any) -> str:
    made = cloud.client("ec2").run_instances(
        ImageId=cloud.facts["image_id"],
        SubnetId=cloud.facts["subnet_id"],
        MinCount=1,
        MaxCount=1,
        UserData=user_data(program),
        **more,
    )
    return str(made["Instances"][0]["InstanceId"])


def host_pids(cloud: Any, instance_id: str) -> list[int]:
    file = cloud.state_dir / "instances" / instance_id / "pids"
    text = wait_for(lambda: file.exists() and file.read_text())
    return [int(p) for p in text.split()]


def alive(pids: list[int]) -> list[int]:
    found = []
    for pid in pids:
        try:
            if psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
                found.append(pid)
        except psutil.NoSuchProcess:
            pass
    return found


def test_nothing_survives_the_cloud(cloud_process: Any, tmp_path: Path) -> None:
    """SIGTERM ends store and hosts, stubborn ones too, before the cloud itself ends; of
    an instance that was terminated before nothing is left, where that was asked for.
    """
    cloud = cloud_process(tmp_path / "state", "--remove-terminated")
    ended = launch(cloud, "")
    root = cloud.state_dir / "instances" / ended
    wait_for(root.exists)
    cloud.client("ec2").terminate_instances(InstanceIds=[ended])
    wait_for(lambda: not root.exists())
    pids = host_pids(cloud, launch(cloud, STUBBORN))
    children = [p.pid for p in psutil.Process(cloud.pid).children(recursive=True)]
    assert set(pids) < set(children)
    assert cloud.stop() == 0
    assert alive(children) == []


def test_nothing_survives_the_cloud_killed(cloud_process: Any, tmp_path: Path) -> None:
    """After kill -9 of the cloud neither the store nor a host's program runs."""
    cloud = cloud_process(tmp_path / "state", "--credential-seconds", "2")
    keys_end(cloud)
    host = host_pids(cloud, launch(cloud, STUBBORN))[0]
    children = [p.pid for p in psutil.Process(cloud.pid).children()]
    assert host in children
    cloud.stop(signal.SIGKILL)
    wait_for(lambda: not alive(children))


def keys_end(cloud: Any) -> None:
    """Keys from the metadata service hold for as long as they say, and no longer."""
    iam = cloud.client("iam")
    service = {"Service": "ec2.amazonaws.com"}
    trust = {"Effect": "Allow", "Principal": service, "Action": "sts:AssumeRole"}
    everything = {"Effect": "Allow", "Action": "*", "Resource": "*"}
    iam.create_role(
        RoleName="r", AssumeRolePolicyDocument=json.dumps({"Statement": [trust]})
    )
    iam.put_role_policy(
        RoleName="r",
        PolicyName="p",
        PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [everything]}),
    )
    iam.create_instance_profile(InstanceProfileName="r")
    iam.add_role_to_instance_profile(InstanceProfileName="r", RoleName="r")
    launch(cloud, "", IamInstanceProfile={"Name": "r"})
    base = wait_for(lambda: cloud.control("GET")["instances"])[0]["metadata_url"]

    def get(path: str, **headers: str) -> str:
        method = "PUT" if path == "/latest/api/token" else "GET"
        named = {k.replace("_", "-"): v for k, v in headers.items()}
        request = urllib.request.Request(base + path, method=method, headers=named)
        with urllib.request.urlopen(request, timeout=5) as answer:
            return str(answer.read().decode())

    token = get("/latest/api/token", X_aws_ec2_metadata_token_ttl_seconds="60")
    path = "/latest/meta-data/iam/security-credentials/r"
    keys = json.loads(get(path, X_aws_ec2_metadata_token=token))
    held = {
        "aws_access_key_id": keys["AccessKeyId"],
        "aws_secret_access_key": keys["SecretAccessKey"],
        "aws_session_token": keys["Token"],
    }
    host = cloud.client("s3", held)
    host.list_buckets()

    def refused() -> str:
        try:
            host.list_buckets()
        except ClientError as e:
            return str(e.response["Error"]["Code"])
        return ""

    assert wait_for(refused) == "ExpiredToken"
    again = json.loads(get(path, X_aws_ec2_metadata_token=token))
    assert again["AccessKeyId"] != keys["AccessKeyId"]


def test_s3_alone(tmp_path: Path) -> None:
    """``python -m lae_localcloud s3`` serves S3 with the key that it wrote down for us alone."""
    state = tmp_path / "s3"
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "lae_localcloud.command",
            "s3",
            "--state-dir",
            str(state),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert process.stdout is not None
        assert any("everything else" in line for line in process.stdout)
        assert (state / "aws.json").stat().st_mode & 0o777 == 0o600
        facts = json.loads((state / "aws.json").read_text())
        s3 = boto3.client(
            "s3",
            endpoint_url=facts["s3_endpoint"],
            aws_access_key_id=facts["access_key"],
            aws_secret_access_key=facts["secret_key"],
            region_name=facts["region"],
            config=Config(s3={"addressing_style": "path"}),
        )
        s3.put_object(Bucket=facts["state_bucket"], Key="k", Body=b"v", IfNoneMatch="*")
        assert (
            s3.get_object(Bucket=facts["state_bucket"], Key="k")["Body"].read() == b"v"
        )
    finally:
        process.terminate()
    assert process.wait(10) == 0


def test_a_used_folder_is_refused(tmp_path: Path) -> None:
    """A folder with something in it is refused in one line, and nothing starts."""
    (tmp_path / "thesis.txt").touch()
    command = [sys.executable, "-m", "lae_localcloud.command", "aws"]
    refused = subprocess.run(
        [*command, "--state-dir", str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert refused.returncode == 1
    assert "is not empty" in refused.stderr


@pytest.mark.parametrize("part", ["aws", "s3", "smtp", "stripe", "demo"])
def test_each_part_tells_its_options(part: str) -> None:
    """``python -m lae_localcloud PART --help`` answers for every part."""
    told = subprocess.run(
        [
            sys.executable,
            "-m",
            "lae_localcloud",
            part,
            "-h",
        ],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert told.returncode == 0, told.stderr
    assert "--port" in told.stdout
