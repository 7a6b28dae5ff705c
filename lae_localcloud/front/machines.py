"""What the front tells the booter, and hears from it."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal, Protocol

from attrs import define, field

from lae_localcloud.front.groups import Allowed

InstanceState = Literal[
    "pending", "running", "shutting-down", "terminated", "stopping", "stopped"
]
#: EC2's numbers for them.
STATE_CODES: dict[InstanceState, int] = {
    "pending": 0,
    "running": 16,
    "shutting-down": 32,
    "terminated": 48,
    "stopping": 64,
    "stopped": 80,
}


@define(frozen=True)
class LaunchOrder:
    """An instance to be started.  *user_data* holds a secret.

    *profile* is the instance profile's name; the role behind it is looked up when
    keys are asked for, as it may change.  *ends_when_shut_down*: a shutdown from inside
    terminates it.
    """

    instance_id: str
    image_id: str
    instance_type: str
    zone: str
    launch_time: datetime
    profile: str | None
    user_data: bytes = field(repr=False)
    private_address: str = "127.0.0.1"
    volume_gib: int = 10
    ends_when_shut_down: bool = False
    groups: tuple[Allowed, ...] = ()


@define(frozen=True)
class Addresses:
    """Of one instance, as its metadata service tells them; *public* may come late."""

    private: str
    public: str | None


class Heard(Protocol):
    """What machines tell of themselves, in the reactor's thread."""

    def state(self, instance_id: str, state: InstanceState) -> None:
        """What becomes of it."""
        ...

    def public_address(self, instance_id: str, address: str | None) -> None:
        """It has another one from now on, or none."""
        ...


class Machines(Protocol):
    """The machines of one level, called in the reactor's thread; what concerns one
    instance answers at once.

    What becomes of an instance is told to the :class:`Heard` that it was made with.
    """

    async def open(self) -> None:
        """Whatever machines need before the first one."""
        ...

    async def stop_all(self) -> None:
        """End every one, and what they needed."""
        ...

    def launch(self, order: LaunchOrder) -> None:
        """Start a new instance."""
        ...

    def terminate(self, instance_id: str) -> None:
        """End it for good."""
        ...

    def stop(self, instance_id: str) -> None:
        """Shut it down; its disk stays."""
        ...

    def start(self, instance_id: str) -> None:
        """Start one that was shut down."""
        ...

    def reboot(self, instance_id: str) -> None:
        """Stop its processes, and start them again."""
        ...

    def regroup(self, instance_id: str, groups: tuple[Allowed, ...]) -> None:
        """Its security groups allow this from now on."""
        ...

    def console(self, instance_id: str) -> bytes:
        """The end of its console's log (called in any thread)."""
        ...

    def kill(self, instance_id: str) -> bool:
        """Kill -9 of all its processes; False where there is no such instance."""
        ...

    def cut(self, instance_id: str) -> bool:
        """Cut its cable; False where there is no such cable."""
        ...

    def mend(self, instance_id: str) -> bool:
        """Mend its cable; False where there is no such cable."""
        ...

    def listing(self) -> list[dict[str, Any]]:
        """All instances, for the control endpoint."""
        ...

    def certificate(self) -> bytes:
        """Checks the signatures of identity documents."""
        ...
