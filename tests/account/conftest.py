"""One local cloud for all tests here, and settings of deployments in its account."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
import yaml
from attrs import define
from botocore.config import Config

from lae_protocol.process.resources import config_folder

LAE = Path(sys.executable).with_name("lae")


@define
class Cloud:
    """``python -m lae_localcloud aws``, seen by the account's owner."""

    facts: dict[str, Any]

    def client(self, service: str, key: str = "", secret: str = "") -> Any:
        at = "s3_endpoint" if service == "s3" else "aws_endpoint"
        return boto3.client(
            service,
            endpoint_url=self.facts[at],
            region_name=self.facts["region"],
            aws_access_key_id=key or self.facts["access_key"],
            aws_secret_access_key=secret or self.facts["secret_key"],
            config=Config(s3={"addressing_style": "path"}),
        )

    def fault(self, service: str, action: str, kind: str, **more: Any) -> None:
        fault = {"service": service, "action": action, "kind": kind, **more}
        self._control("POST", "faults", fault)

    def calm(self) -> None:
        self._control("DELETE", "faults", None)

    def _control(self, method: str, path: str, body: Any) -> None:
        request = urllib.request.Request(
            self.facts["control_url"] + path,
            None if body is None else json.dumps(body).encode(),
            {"Content-Type": "application/json"},
            method=method,
        )
        urllib.request.urlopen(request, timeout=10).close()


@pytest.fixture(scope="session")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    state = tmp_path_factory.mktemp("account") / "state"
    started = subprocess.Popen(
        [sys.executable, "-m", "lae_localcloud", "aws", "--state-dir", state],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert started.stdout is not None
    assert any("everything else" in line for line in started.stdout)
    yield Cloud(json.loads((state / "aws.json").read_text()))
    started.terminate()
    assert started.wait(timeout=20) == 0


@define
class Operator:
    """Somebody at a machine with settings of a deployment and keys of the account."""

    cloud: Cloud
    folder: Path
    settings: dict[str, Any]
    keys: tuple[str, str]

    def change(self, section: str, **values: Any) -> None:
        held = self.settings[section]
        (held[0] if section == "cells" else held).update(values)

    def account(self, *arguments: str, code: int | None = 0) -> str:
        """What ``lae account`` prints; it ends with *code*."""
        path = self.folder / "daemon.yaml"
        path.write_text(yaml.safe_dump(self.settings))
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder),
            "LANG": "C.UTF-8",
            "AWS_ACCESS_KEY_ID": self.keys[0],
            "AWS_SECRET_ACCESS_KEY": self.keys[1],
        }
        done = subprocess.run(
            [LAE, "account", arguments[0], "--config", path, *arguments[1:]],
            check=False,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            env=environment,
            timeout=120,
        )
        said = done.stdout + done.stderr
        assert "Traceback" not in said, said
        assert self.keys[1] not in said
        if code is not None:
            assert done.returncode == code, said
        return done.stdout if "--json" in arguments else said

    def json(self, *arguments: str, code: int | None = 0) -> dict[str, Any]:
        told: dict[str, Any] = json.loads(self.account(*arguments, "--json", code=code))
        return told

    def apply(self, code: int | None = 0) -> str:
        return self.account("apply", "--yes", code=code)


def settings_in(facts: dict[str, Any], deployment: str) -> dict[str, Any]:
    """Settings of *deployment*, as somebody writes them before the first start."""
    text = (config_folder() / "daemon.localcloud.yaml").read_text()
    settings: dict[str, Any] = yaml.safe_load(text)
    settings["deployment"] = deployment
    settings["aws"] |= {
        "account": facts["account_id"],
        "region": facts["region"],
        "state_bucket": f"{deployment}-state",
        "endpoint": facts["aws_endpoint"],
        "s3_endpoint": facts["s3_endpoint"],
    }
    settings["account"] = {"domain": facts["dns_zone"]}
    settings["sealing"]["kms_key"] = f"alias/{deployment}"
    path = f"/s4/{deployment}/"
    settings["cells"][0] |= {
        "dns_zone": f"{deployment}.{facts['dns_zone']}",
        "dns_zone_id": facts["hosted_zone_id"],
        "subnet_id": facts["subnet_id"],
        "image_id": facts["image_id"],
        "security_groups": [],
        "boundary_arn": f"arn:aws:iam::{facts['account_id']}:policy{path}boundary",
        "role_path": path,
        "ports": {"introducer": 3456, "storage": 3457},
    }
    return settings


@pytest.fixture
def operator(
    cloud: Cloud, tmp_path: Path, request: pytest.FixtureRequest
) -> Iterator[Operator]:
    """An operator with a deployment of their own in the account."""
    number = abs(hash(request.node.name)) % 10**8
    facts = cloud.facts
    yield Operator(
        cloud,
        tmp_path,
        settings_in(facts, f"d{number}"),
        (facts["access_key"], facts["secret_key"]),
    )
    cloud.calm()


@pytest.fixture(scope="module")
def settled(cloud: Cloud, tmp_path_factory: pytest.TempPathFactory) -> Operator:
    """The deployment that the local cloud itself has made, with nothing left to do."""
    facts = cloud.facts
    settings = settings_in(facts, facts["deployment"])
    settings["cells"][0] |= {
        "dns_zone": facts["dns_zone"],
        "security_groups": [facts["security_group_id"]],
        "ports": {"first": 1024, "last": 65535},
    }
    keys = (facts["access_key"], facts["secret_key"])
    return Operator(cloud, tmp_path_factory.mktemp("settled"), settings, keys)
