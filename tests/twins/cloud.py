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
    #: From when on it shows a public address, and how many it had before.
    addressed_at: float = 0.0
    moves: int = 0

    def stop(self) -> None:
        """Somebody stops it at the console: its address is AWS' again."""
        self.stopped = True

    def start(self, now: float, late: float) -> None:
        """Somebody starts it again: it gets another address, *late* (seconds)."""
        self.stopped = False
        self.moves += 1
        self.runs_at, self.addressed_at = now, now + late

    @property
    def address(self) -> str:
        """The public address that it has while it is not stopped."""
        number = int(self.instance_id.removeprefix("i-"), 16) + 50_000 * self.moves
        return f"198.{18 + number // 62_500}.{number // 250 % 250}.{number % 250 + 1}"

    def shown(self, now: float) -> Host:
        """Show it as the cloud does; a public address comes after running."""
        running = now >= self.runs_at
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
            address = self.address if now >= self.addressed_at else None
            return evolve(host, state="running", address=address)
        return host


@define
class Cloud:
    """One account in one region.

    *visibility* is how long what was made stays invisible (seconds); *boot* is from
    pending to running; *addressing* is from there until a public address is shown,
    *naming* from a change of a record until it is served;
    *profile_delay* is how long a launch does not know a new
    instance profile; *room* is how many hosts may live at once.
    """

    visibility: float = 0.0
    boot: float = 0.0
    addressing: float = 0.0
    naming: float = 0.0
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
    #: Changes of names: when, which, and where to (None: removed).
    changes: list[tuple[float, str, str | None]] = Factory(list)

    def change_name(self, now: float, name: str, address: str | None) -> str:
        """Change a record; name servers have it after a while."""
        if address is None:
            self.records.pop(name, None)
        else:
            self.records[name] = address
        self.changes.append((now, name, address))
        return str(len(self.changes) - 1)

    def is_served(self, now: float, change: str) -> bool:
        """Tell whether the name servers have it."""
        return now >= self.changes[int(change)][0] + self.naming

    def served(self, now: float) -> dict[str, str]:
        """Tell where name servers lead at this moment."""
        led = {n: to for at, n, to in self.changes if now >= at + self.naming}
        return {name: address for name, address in led.items() if address}

    def live(self) -> list[Instance]:
        """Tell every instance that costs money, visible or not."""
        return [i for i in self.instances.values() if not i.terminated]

    def empty(self) -> bool:
        """Whether nothing of any customer exists but sealed identities."""
        return not (self.buckets or self.roles or self.live() or self.records)


def moment(seconds: float) -> datetime:
    """Turn a clock's seconds into an aware time."""
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
