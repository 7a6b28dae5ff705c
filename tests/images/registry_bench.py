"""A local cloud with a registry, and the doors to it."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

from attrs import define, field
from twisted.internet import reactor
from twisted.internet.ssl import Certificate, trustRootFromCertificates

from lae_protocol.aws.agent import pooled_agent
from lae_protocol.aws.credentials import StaticCredentials
from lae_protocol.aws.sigv4 import Credentials
from lae_protocol.aws.tls import NamedPeerPolicy
from lae_protocol.secret import Secret
from lae_provision.aws.channel import Patience
from lae_provision.aws.cloud import AwsCloud, open_cloud
from lae_provision.aws.repositories import RegistryTokens
from lae_provision.aws.signing_keys import KmsSigningKey
from lae_provision.hosts.programs import ImageReference
from lae_provision.images.remote_registry import RemoteRegistry


def run_cloud(state: Path) -> Iterator[dict[str, Any]]:
    """One with a registry; what ``aws.json`` says."""
    command = [sys.executable, "-m", "lae_localcloud.command", "aws"]
    started = subprocess.Popen(
        [*command, "--state-dir", state, "--registry"],
        stdout=subprocess.PIPE,
        stderr=state.with_suffix(".log").open("wb"),
        text=True,
    )
    assert started.stdout is not None
    up = any("everything else" in line for line in started.stdout)
    assert up, state.with_suffix(".log").read_text()
    yield json.loads((state / "aws.json").read_text())
    started.terminate()
    assert started.wait(timeout=20) == 0


@define
class RegistryBench:
    """An owner's doors; each bench has agents of its own, which it closes."""

    facts: dict[str, Any]
    pools: list[Any] = field(factory=list)

    def cloud(self, access_key: str = "", secret_key: str = "") -> AwsCloud:
        keys = Credentials(
            access_key or self.facts["access_key"],
            Secret(secret_key or self.facts["secret_key"]),
        )
        agent = pooled_agent(reactor)
        self.pools.append(agent._pool)
        return open_cloud(
            reactor,
            Random(1),
            StaticCredentials(keys),
            self.facts["region"],
            endpoint=self.facts["aws_endpoint"],
            agent=agent,
            patience=Patience(seconds=20, attempts=3, base=0.01),
        )

    def registry(self, cloud: AwsCloud | None = None) -> RemoteRegistry:
        """The registry, with tokens of the owner's or another's."""
        tokens = RegistryTokens((cloud or self.cloud()).repositories)
        authority = Path(self.facts["registry"]["authority"]).read_bytes()
        root = trustRootFromCertificates([Certificate.loadPEM(authority)])
        agent = pooled_agent(reactor, NamedPeerPolicy(root))
        self.pools.append(agent._pool)
        url = self.facts["registry"]["url"]
        return RemoteRegistry(reactor, Random(1), agent, url, tokens)

    def key(self, alias: str = "alias/images") -> KmsSigningKey:
        return self.cloud().signing_key(alias)

    def reference(self, name: str, digest: str) -> ImageReference:
        return ImageReference(f"{self.facts['registry']['name']}/{name}@{digest}")

    def fault(self, service: str, action: str, kind: str, **more: Any) -> None:
        self.control(
            "POST",
            "faults",
            {"service": service, "action": action, "kind": kind, **more},
        )

    def control(self, method: str, path: str, body: Any = None) -> Any:
        request = urllib.request.Request(
            self.facts["control_url"] + path,
            None if body is None else json.dumps(body).encode(),
            {"Content-Type": "application/json"},
            method=method,
        )
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.load(answer)

    async def close(self) -> None:
        for pool in self.pools:
            await pool.closeCachedConnections()
