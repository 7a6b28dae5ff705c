"""The local cloud as a process, started once for all tests here."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config


class CloudClients:
    """Clients of AWS's own SDK for a local cloud that runs, and its control."""

    def __init__(self, facts: dict[str, Any]) -> None:
        self.facts = facts

    def client(
        self,
        service: str,
        key: dict[str, str] | None = None,
        region: str | None = None,
    ) -> Any:
        """A boto3 client that never retries; the administrator's where no *key*."""
        held = key or {
            "aws_access_key_id": self.facts["access_key"],
            "aws_secret_access_key": self.facts["secret_key"],
        }
        at = "s3_endpoint" if service == "s3" else "aws_endpoint"
        config = Config(
            retries={"total_max_attempts": 1},
            s3={"addressing_style": "path"},
            read_timeout=30,
        )
        return boto3.client(
            service,
            endpoint_url=self.facts[at],
            region_name=region or self.facts["region"],
            config=config,
            **held,
        )

    def daemon_key(self) -> dict[str, str]:
        return {
            "aws_access_key_id": self.facts["daemon_access_key"],
            "aws_secret_access_key": self.facts["daemon_secret_key"],
        }

    def control(self, method: str, path: str = "", body: Any = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(
            self.facts["control_url"] + path,
            data=data,
            method=method,
            headers={"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.load(answer)

    def fault(self, service: str, action: str, kind: str, **more: Any) -> int:
        fault = {"service": service, "action": action, "kind": kind, **more}
        number: int = self.control("POST", "faults", fault)["number"]
        return number

    @contextlib.contextmanager
    def slow(self, **seconds: float) -> Iterator[None]:
        self.control("PUT", "slowness", seconds)
        try:
            yield
        finally:
            self.control("PUT", "slowness", dict.fromkeys(seconds, 0))


class CloudProcess(CloudClients):
    """``python -m lae_localcloud aws``."""

    def __init__(self, state_dir: Path, *options: str) -> None:
        self.state_dir = state_dir
        self.log = state_dir.with_suffix(".log")
        self._process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "lae_localcloud.command",
                "aws",
                "--state-dir",
                str(state_dir),
                *options,
            ],
            stdout=subprocess.PIPE,
            stderr=self.log.open("wb"),
            text=True,
        )
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if "everything else" in line:
                break
        else:
            raise AssertionError(self.log.read_text())
        super().__init__(json.loads((state_dir / "aws.json").read_text()))

    @property
    def pid(self) -> int:
        return self._process.pid

    def stop(self, number: int = signal.SIGTERM) -> int:
        if self._process.poll() is None:
            os.kill(self._process.pid, number)
        return self._process.wait(timeout=20)


@pytest.fixture(scope="session")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CloudProcess]:
    started = CloudProcess(tmp_path_factory.mktemp("cloud") / "state")
    yield started
    assert started.stop() == 0


@pytest.fixture
def calm(cloud: CloudProcess) -> Iterator[CloudProcess]:
    """The cloud without faults, before and after."""
    cloud.control("DELETE", "faults")
    yield cloud
    cloud.control("DELETE", "faults")


@pytest.fixture
def cloud_process() -> type[CloudProcess]:
    return CloudProcess
