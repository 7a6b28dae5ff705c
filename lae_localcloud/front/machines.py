"""What the front tells the booter, and hears from it."""

from __future__ import annotations

from datetime import datetime
from typing import Literal, Protocol

from attrs import define, field

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
    keys are asked for, as it may change.
    """

    instance_id: str
    image_id: str
    instance_type: str
    zone: str
    launch_time: datetime
    profile: str | None
    user_data: bytes = field(repr=False)


class Machines(Protocol):
    """The booter, called in the reactor's thread; each call answers at once.

    What becomes of an instance is told to the ``on_state`` that it was made with.
    """

    def launch(self, order: LaunchOrder) -> None:
        """Start a new instance."""
        ...

    def terminate(self, instance_id: str) -> None:
        """End it for good."""
        ...

    def stop(self, instance_id: str) -> None:
        """Shut it down; its directory stays."""
        ...

    def start(self, instance_id: str) -> None:
        """Start one that was shut down."""
        ...

    def reboot(self, instance_id: str) -> None:
        """Stop its processes, and start them again."""
        ...

    def console(self, instance_id: str) -> bytes:
        """The end of its console's log (called in any thread)."""
        ...
