"""The in-memory twins keep the contract of the doors, however slow the cloud is."""

from __future__ import annotations

from attrs import define, field
from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase, TestCase

from lae_provision.doors import HostKey
from lae_provision.errors import NoCapacity, Refused, TryLater
from tests.provision.contracts import suite
from tests.twins.cloud import Cloud
from tests.twins.doors import (
    Line,
    MemoryAddresses,
    MemoryBuckets,
    MemoryDataKeys,
    MemoryHosts,
    MemoryRoles,
    MemoryVault,
)
from tests.twins.weather import Fault


@define
class MemoryBench:
    """Doors on one cloud and one clock."""

    line: Line
    region: str = "eu-west-1"
    deployment: str = "contract"
    role_path: str = "/s4/contract/"
    boundary_arn: str = "arn:aws:iam::123456789012:policy/s4/boundary"
    image_id: str = "ami-12345678"
    subnet_id: str = "subnet-1"
    security_group_ids: tuple[str, ...] = ("sg-1",)
    dns_zone: str = "grid.example"
    tls_only: bool = True
    buckets: MemoryBuckets = field(init=False)
    roles: MemoryRoles = field(init=False)
    hosts: MemoryHosts = field(init=False)
    addresses: MemoryAddresses = field(init=False)
    vault: MemoryVault = field(init=False)
    data_keys: MemoryDataKeys = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.buckets = MemoryBuckets(self.line)
        self.roles = MemoryRoles(self.line)
        self.hosts = MemoryHosts(self.line)
        self.addresses = MemoryAddresses(self.line)
        self.vault = MemoryVault(self.line)
        self.data_keys = MemoryDataKeys(self.line)

    def pause(self) -> Deferred[None]:
        self.line.clock.advance(0.5)
        return succeed(None)

    async def make_wildcard(self, address: str) -> None:
        await self.addresses.make(f"*.{self.dns_zone}", address)

    async def press(self, button: str, instance_id: str) -> None:
        cloud, now = self.line.cloud, self.line.now
        instance = cloud.instances[instance_id]
        if button == "stop":
            instance.stop()
        else:
            instance.start(now, cloud.addressing)

    async def store(self, bucket: str, key: str, body: bytes) -> None:
        self.line.cloud.objects[bucket][key] = body


class Prompt:
    """A cloud that shows everything at once."""

    def bench(self) -> MemoryBench:
        return MemoryBench(Line(Cloud(), Clock()))


class Slow:
    """A cloud that shows nothing for some seconds."""

    def bench(self) -> MemoryBench:
        cloud = Cloud(visibility=4, boot=9, addressing=5, naming=7, profile_delay=6)
        return MemoryBench(Line(cloud, Clock()))


class PromptBuckets(Prompt, suite.BucketsContract, TestCase): ...


class SlowBuckets(Slow, suite.BucketsContract, TestCase): ...


class PromptRoles(Prompt, suite.RolesContract, TestCase): ...


class SlowRoles(Slow, suite.RolesContract, TestCase): ...


class PromptHosts(Prompt, suite.HostsContract, TestCase): ...


class SlowHosts(Slow, suite.HostsContract, TestCase): ...


class PromptAddresses(Prompt, suite.AddressesContract, TestCase): ...


class SlowAddresses(Slow, suite.AddressesContract, TestCase): ...


class PromptVault(Prompt, suite.VaultContract, TestCase): ...


class PromptDataKeys(Prompt, suite.DataKeysContract, TestCase): ...


class Weathered(SynchronousTestCase):
    """The doubles fail as their names say."""

    def bench(self, fault: Fault) -> MemoryBench:
        faults = iter([fault])
        line = Line(Cloud(), Clock(), weather=lambda _: next(faults, Fault.NONE))
        return MemoryBench(line)

    def test_throttled(self) -> None:
        """A throttled call has no effect."""
        bench = self.bench(Fault.THROTTLED)
        self.failureResultOf(bench.addresses.make("a", "198.18.0.1"), TryLater)
        assert not bench.line.cloud.records

    def test_reply_lost(self) -> None:
        """A call whose reply is lost has its effect all the same."""
        bench = self.bench(Fault.REPLY_LOST)
        self.failureResultOf(bench.addresses.make("a", "198.18.0.1"), TryLater)
        assert bench.line.cloud.records == {"a": "198.18.0.1"}

    def test_refused(self) -> None:
        """A refused call has no effect."""
        bench = self.bench(Fault.REFUSED)
        self.failureResultOf(bench.addresses.make("a", "198.18.0.1"), Refused)
        assert not bench.line.cloud.records

    def test_late_effect_comes_although_the_caller_gave_up(self) -> None:
        """Cancelling a late call does not take back its effect."""
        bench = self.bench(Fault.LATE)
        waiting = Deferred.fromCoroutine(bench.addresses.make("a", "198.18.0.1"))
        waiting.addErrback(lambda _: None)
        waiting.cancel()
        assert not bench.line.cloud.records
        bench.line.clock.advance(bench.line.late)
        assert bench.line.cloud.records == {"a": "198.18.0.1"}

    def test_doubled_launch_is_one_host(self) -> None:
        """A launch that the network doubles is one host, thanks to its token."""
        bench = self.bench(Fault.NONE)
        self.successResultOf(bench.roles.make(suite.role_request(bench, "s4-role")))
        faults = iter([Fault.DOUBLED])
        line = Line(
            bench.line.cloud, bench.line.clock, lambda _: next(faults, Fault.NONE)
        )
        request = suite.launch_request(bench, HostKey("t", "su", 1), "s4-role")
        self.successResultOf(MemoryHosts(line).make(request))
        assert len(bench.line.cloud.live()) == 1

    def test_full_cloud(self) -> None:
        """A cloud with no room says so, and launches when there is room again."""
        bench = self.bench(Fault.NONE)
        bench.line.cloud.room = 0
        self.successResultOf(bench.roles.make(suite.role_request(bench, "s4-role")))
        request = suite.launch_request(bench, HostKey("t", "su", 1), "s4-role")
        self.failureResultOf(bench.hosts.make(request), NoCapacity)
        bench.line.cloud.room = 1
        self.successResultOf(bench.hosts.make(request))

    def test_host_not_visible_yet_survives_its_unmaking(self) -> None:
        """Terminating an instance that is not visible yet answers, and does nothing."""
        bench = MemoryBench(Line(Cloud(visibility=5), Clock()))
        self.successResultOf(bench.roles.make(suite.role_request(bench, "s4-role")))
        bench.line.clock.advance(5)
        request = suite.launch_request(bench, HostKey("t", "su", 1), "s4-role")
        host = self.successResultOf(bench.hosts.make(request))
        self.successResultOf(bench.hosts.unmake(host.instance_id))
        assert len(bench.line.cloud.live()) == 1
