"""What a cloud knows, in memory: it outlives every restart of its callers.

Doors (:mod:`tests.twins.doors`) act on it; tests look into it.  It is plain
data, so that a test of real processes can keep it in a file.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from attrs import Factory, define, evolve

from lae_provision.doors import BucketRequest, Host, LaunchRequest, RoleRequest, Sealed


@define
class Made:
    """Something made: what was asked for, and from when on others can see it."""

    request: BucketRequest | RoleRequest | LaunchRequest
    visible_at: float


@define
class Instance:
    """A launched instance: who sees it, when it runs, whether it was terminated."""

    request: LaunchRequest
    instance_id: str
    launched_at: float
    visible_at: float
    runs_at: float
    terminated: bool = False
    console: str = "booting\n"
    stopped: bool = False

    def shown(self, now: float) -> Host:
        """Show it as the cloud does; an address comes with running."""
        running = now >= self.runs_at
        number = int(self.instance_id.removeprefix("i-"), 16)
        host = Host(
            key=self.request.key,
            instance_id=self.instance_id,
            state="pending",
            address=None,
            launch_time=datetime.fromtimestamp(self.launched_at, tz=UTC),
        )
        if self.terminated:
            return evolve(host, state="terminated")
        if self.stopped:
            return evolve(host, state="stopped")
        if running:
            address = f"198.18.{number // 250 % 256}.{number % 250 + 1}"
            return evolve(host, state="running", address=address)
        return host


@define
class Cloud:
    """One account in one region.

    *visibility* is how long what was made stays invisible (seconds); *boot* is from
    pending to running; *profile_delay* is how long a launch does not know a new
    instance profile; *room* is how many hosts may live at once.
    """

    visibility: float = 0.0
    boot: float = 0.0
    profile_delay: float = 0.0
    room: int = 1000
    buckets: dict[str, Made] = Factory(dict)
    objects: dict[str, dict[str, bytes]] = Factory(dict)
    foreign_buckets: set[str] = Factory(set)
    roles: dict[str, Made] = Factory(dict)
    instances: dict[str, Instance] = Factory(dict)
    tokens: dict[str, str] = Factory(dict)
    records: dict[str, str] = Factory(dict)
    vault: dict[str, Sealed] = Factory(dict)
    data_keys: dict[bytes, tuple[str, tuple[tuple[str, str], ...]]] = Factory(dict)
    launches: int = 0

    def live(self) -> list[Instance]:
        """Tell every instance that costs money, visible or not."""
        return [i for i in self.instances.values() if not i.terminated]

    def empty(self) -> bool:
        """Whether nothing of any customer exists but sealed identities."""
        return not (self.buckets or self.roles or self.live() or self.records)


def moment(seconds: float) -> datetime:
    """Turn a clock's seconds into an aware time."""
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
