"""What EC2 shows of the daemon's volume, its copies, and the machines.  Values."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from attrs import define, field

#: EC2 changes the size of a volume once in this time.
MODIFIED_ONCE_IN = timedelta(hours=6)
#: An interrupted move goes on within this time; after it, its copy may be too old.
MOVE_WITHIN = timedelta(hours=24)

#: The values of a volume's tag ``s4:purpose``: in use, and of before a move.
JOURNAL, BEFORE = "journal", "journal-before"


@define(frozen=True)
class SeenAttachment:
    """*state*: attaching, attached, detaching, detached or busy."""

    instance: str
    state: str
    device: str


@define(frozen=True)
class SeenModification:
    """The last change of the size; *state*: modifying, optimizing, completed or
    failed.
    """

    state: str
    target_gib: int
    began: datetime
    progress: int = 0


@define(frozen=True)
class SeenVolume:
    """*state*: creating, available, in-use, deleting, deleted or error.

    *run* is the move that made it, *moving* the move that copies it.
    """

    volume: str
    state: str
    zone: str
    gib: int
    encrypted: bool
    key: str | None = None
    attachment: SeenAttachment | None = None
    modification: SeenModification | None = None
    purpose: str = JOURNAL
    run: str | None = None
    moving: str | None = None


@define(frozen=True)
class SeenInstance:
    """*state*: pending, running, stopping, stopped, shutting-down or terminated."""

    instance: str
    state: str
    zone: str


@define(frozen=True)
class SeenSnapshot:
    """*state*: pending, completed or error.

    *slot* is the time of the schedule that it is of, *run* the move; one has none.
    """

    snapshot: str
    volume: str
    state: str
    began: datetime
    gib: int
    slot: str | None = None
    run: str | None = None
    progress: int = 0


@define(frozen=True)
class Sight:
    """Everything at one time.  *volumes* are those in use (purpose journal)."""

    now: datetime
    volumes: tuple[SeenVolume, ...] = ()
    instances: Mapping[str, SeenInstance] = field(factory=dict)
    snapshots: tuple[SeenSnapshot, ...] = ()

    def instance_state(self, name: str) -> str:
        """The state of an instance; one that nobody knows is terminated."""
        seen = self.instances.get(name)
        return "terminated" if seen is None else seen.state
