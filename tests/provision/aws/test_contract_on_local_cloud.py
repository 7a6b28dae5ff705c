"""The doors keep the contract on the local cloud, which judges the whole of the
daemon's policy, conditions too, and is as slow as AWS can be.
"""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from random import Random
from typing import Any

import boto3
import pytest
from attrs import define, evolve
from botocore.config import Config
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.trial.unittest import TestCase

from lae_protocol.aws.agent import pooled_agent
from lae_protocol.aws.credentials import StaticCredentials
from lae_protocol.aws.sigv4 import Credentials
from lae_protocol.secret import Secret
from lae_provision.aws.channel import Patience
from lae_provision.aws.cloud import open_cloud
from lae_provision.errors import Refused
from tests.provision.contracts import suite


@pytest.fixture(scope="module")
def facts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """A local cloud where new instances, addresses and profiles are unknown for a
    while.
    """
    state = tmp_path_factory.mktemp("aws") / "state"
    slow = ("--visibility", "0.3", "--profile-delay", "0.5", "--address-delay", "0.4")
    slow += ("--names-delay", "0.3")
    command = [sys.executable, "-m", "lae_localcloud.command", "aws"]
    options = ["--state-dir", state, "--deployment", "s4", *slow]
    started = subprocess.Popen(
        [*command, *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert started.stdout is not None
    assert any("everything else" in line for line in started.stdout)
    yield json.loads((state / "aws.json").read_text())
    started.terminate()
    assert started.wait(timeout=20) == 0


@define(slots=False)
class LocalBench:
    """The doors of the local cloud's daemon."""

    facts: dict[str, str]
    agent: Any

    def __attrs_post_init__(self) -> None:
        facts = self.facts
        keys = Credentials(
            facts["daemon_access_key"], Secret(facts["daemon_secret_key"])
        )
        cloud = open_cloud(
            reactor,
            Random(1),
            StaticCredentials(keys),
            facts["region"],
            endpoint=facts["aws_endpoint"],
            s3_endpoint=facts["s3_endpoint"],
            agent=self.agent,
            patience=Patience(seconds=20, attempts=3, base=0.05),
        )
        self.buckets, self.roles, self.hosts = cloud.buckets, cloud.roles, cloud.hosts
        self.addresses = cloud.addresses(facts["hosted_zone_id"])
        self.vault = cloud.vault(facts["state_bucket"])
        self.data_keys = cloud.data_keys(facts["kms_key_arn"])
        self.region, self.deployment = facts["region"], facts["deployment"]
        self.role_path, self.boundary_arn = facts["role_path"], facts["boundary_arn"]
        self.image_id, self.subnet_id = facts["image_id"], facts["subnet_id"]
        self.security_group_ids = (facts["security_group_id"],)
        self.dns_zone, self.tls_only = facts["dns_zone"], False

    def pause(self) -> Deferred:
        return deferLater(reactor, 0.05)

    async def make_wildcard(self, address: str) -> None:
        """The local cloud's set-up has made it, with another address."""

    async def press(self, button: str, instance_id: str) -> None:
        ec2 = self._owner("ec2", "aws_endpoint")
        pressed = {"stop": ec2.stop_instances, "start": ec2.start_instances}
        pressed[button](InstanceIds=[instance_id])

    async def store(self, bucket: str, key: str, body: bytes) -> None:
        owner = self._owner("s3", "s3_endpoint")
        owner.put_object(Bucket=bucket, Key=key, Body=body)

    def _owner(self, service: str, endpoint: str) -> Any:
        return boto3.client(
            service,
            region_name=self.region,
            endpoint_url=self.facts[endpoint],
            aws_access_key_id=self.facts["access_key"],
            aws_secret_access_key=self.facts["secret_key"],
            config=Config(s3={"addressing_style": "path"}),
        )


class OnLocalCloud:
    @pytest.fixture(autouse=True)
    def _facts(self, facts: dict[str, str]) -> None:
        self.facts = facts

    def bench(self) -> LocalBench:
        agent = pooled_agent(reactor)
        self.addCleanup(agent._pool.closeCachedConnections)
        return LocalBench(self.facts, agent)


class LocalBuckets(OnLocalCloud, suite.BucketsContract, TestCase): ...


class LocalRoles(OnLocalCloud, suite.RolesContract, TestCase): ...


class LocalHosts(OnLocalCloud, suite.HostsContract, TestCase):
    def lose_the_answer_to(self, action: str) -> None:
        fault = {"service": "ec2", "action": action, "kind": "lost-reply"}
        request = urllib.request.Request(
            self.facts["control_url"] + "faults",
            json.dumps(fault).encode(),
            {"Content-Type": "application/json"},
        )
        urllib.request.urlopen(request, timeout=10).close()

    async def test_a_lost_answer_is_one_host(self) -> None:
        """The answer to a launch is lost after its effect: still one host."""
        bench = await self._bench()
        role = suite.role_request(bench)
        await bench.roles.make(role)
        self.lose_the_answer_to("RunInstances")
        key = suite.HostKey(bench.deployment, suite.word("su"), 1)
        wanted = suite.launch_request(bench, key, role.name)
        host = await self.launch(bench, wanted)
        await self.eventually(bench, lambda: bench.hosts.find(key))
        found = [h for h in await bench.hosts.list(bench.deployment) if h.key == key]
        self.assertEqual([h.instance_id for h in found], [host.instance_id])

    async def test_what_is_not_the_cells_is_not_launched(self) -> None:
        """The daemon's own keys launch no other type, into no other group, and under no
        key of volumes that the settings do not name.
        """
        bench = await self._bench()
        role = suite.role_request(bench)
        await bench.roles.make(role)
        key = suite.HostKey(bench.deployment, suite.word("su"), 1)
        right = suite.launch_request(bench, key, role.name)
        for change in (
            {"instance_type": "m5.large"},
            {"security_group_ids": ("sg-0123456789abcdef0",)},
            {"volume_kms_key": self.facts["kms_key_arn"]},
        ):
            failure = await self.raises(
                Refused, self.launch(bench, evolve(right, **change))
            )
            self.assertEqual(failure.code, "UnauthorizedOperation", change)
        self.assertIsNone(await bench.hosts.find(key))


class LocalAddresses(OnLocalCloud, suite.AddressesContract, TestCase):
    async def test_what_is_no_hosts_is_not_changed(self) -> None:
        """The daemon's own keys change no name of the zone but those of hosts."""
        bench = await self._bench()
        for name in ("*", "www", "gabc"):
            changed = bench.addresses.make(f"{name}.{bench.dns_zone}", "198.18.0.1")
            failure = await self.raises(Refused, changed)
            self.assertEqual(failure.code, "AccessDenied", name)


class LocalVault(OnLocalCloud, suite.VaultContract, TestCase): ...


class LocalDataKeys(OnLocalCloud, suite.DataKeysContract, TestCase): ...
