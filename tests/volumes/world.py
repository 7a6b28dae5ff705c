"""EC2 as the plan's steps meet it: a world with a daemon that writes."""

from __future__ import annotations

from datetime import datetime, timedelta

from attrs import define, evolve, field

from lae_provision.volumes.foresight import done, settled
from lae_provision.volumes.seen_volume import (
    SeenInstance,
    SeenSnapshot,
    SeenVolume,
    Sight,
)
from lae_provision.volumes.volume_plan import (
    AttachVolume,
    BeginMove,
    CreateSnapshot,
    CreateVolume,
    DeleteSnapshot,
    DetachVolume,
    EndMove,
    GrowVolume,
    RetireVolume,
    Step,
    StopInstance,
)

NOW = datetime.fromisoformat("2026-11-30T20:00:00+00:00")
DEPLOYMENT = "s4-prod"


def volume(name: str = "vol-1", **other: object) -> SeenVolume:
    """A volume that nobody has."""
    made = SeenVolume(name, "available", "a", 20, encrypted=True)
    return evolve(made, **other)  # type: ignore[arg-type]


def instance(name: str, state: str = "running", zone: str = "a") -> SeenInstance:
    return SeenInstance(name, state, zone)


def sight(*volumes: SeenVolume, **other: object) -> Sight:
    """What is seen of these, and two machines in two zones."""
    machines = (instance("i-old"), instance("i-new"), instance("i-far", zone="b"))
    made = Sight(NOW, volumes, {m.instance: m for m in machines})
    return evolve(made, **other)  # type: ignore[arg-type]


@define
class World:
    """*data* counts the writes that a volume or snapshot has; *written* those that the
    daemon made.  *mounted* is where the volume's file system is in use.
    """

    sight: Sight
    data: dict[str, int] = field(factory=dict)
    written: int = 0
    mounted: bool = True
    steps: list[Step] = field(factory=list)
    _names: int = 0

    def write(self) -> None:
        """The daemon writes, where it runs and has its volume."""
        for one in self.sight.volumes:
            here = one.attachment
            if here is None or not self.mounted:
                continue
            writes = here.state in ("attached", "busy", "detaching")
            if writes and self.sight.instance_state(here.instance) == "running":
                self.written += 1
                self.data[one.volume] = self.written

    def do(self, step: Step) -> None:
        """One step, by EC2's rules: what it would refuse or lose fails here."""
        self.steps.append(step)
        seen = {v.volume: v for v in self.sight.volumes}
        match step:
            case CreateVolume(snapshot=None):
                assert not seen, "a second, empty volume"
            case CreateVolume(snapshot=copied):
                (copy,) = (s for s in self.sight.snapshots if s.snapshot == copied)
                assert copy.state == "completed"
            case AttachVolume():
                at = seen[step.volume]
                assert (at.state, at.attachment) == ("available", None)
                assert self.sight.instances[step.instance].zone == at.zone
                assert self.sight.instance_state(step.instance) in (
                    "running",
                    "stopped",
                )
                assert self.data.get(step.volume, 0) == self.written, "an old copy"
            case DetachVolume():
                state = self.sight.instance_state(step.instance)
                assert state == "stopped" or not self.mounted, "still written to"
            case CreateSnapshot(run=run) if run is not None:
                assert seen[step.volume].attachment is None, "still written to"
            case GrowVolume():
                assert step.gib > seen[step.volume].gib
            case RetireVolume():
                assert seen[step.volume].attachment is None
            case StopInstance() | BeginMove() | EndMove() | DeleteSnapshot():
                pass
        self.sight = self._named(done(step, self.sight), step)

    def _named(self, after: Sight, step: Step) -> Sight:
        """What is new has a name, and the data of what it was made of."""
        self._names += 1
        match step:
            case CreateVolume():
                *old, new = after.volumes
                name = f"vol-new{self._names}"
                self.data[name] = self.data.get(step.snapshot or "", 0)
                return evolve(after, volumes=(*old, evolve(new, volume=name)))
            case CreateSnapshot():
                *before, made = after.snapshots
                name = f"snap-{self._names}"
                self.data[name] = self.data.get(step.volume, 0)
                copies = (*before, evolve(made, snapshot=name))
                return evolve(after, snapshots=copies)
        return after

    def settle(self) -> None:
        """EC2 finishes what it is at; a mounted volume stays where a machine runs."""
        before = {v.volume: v for v in self.sight.volumes}
        after = settled(self.sight)
        kept = tuple(
            before[one.volume] if self._holds(before[one.volume], one) else one
            for one in after.volumes
        )
        self.sight = evolve(after, volumes=kept)

    def _holds(self, before: SeenVolume, after: SeenVolume) -> bool:
        """Whether a machine that runs has it mounted, so that it is not let go."""
        here = before.attachment
        if here is None or after.attachment is not None or not self.mounted:
            return False
        return self.sight.instance_state(here.instance) == "running"

    def switch(self, name: str, state: str) -> None:
        """Somebody stops or starts a machine."""
        seen = self.sight.instances[name]
        changed = {name: evolve(seen, state=state)}
        self.sight = evolve(self.sight, instances={**self.sight.instances, **changed})

    def pass_time(self, by: timedelta) -> None:
        self.sight = evolve(self.sight, now=self.sight.now + by)


def snapshot(name: str, age_hours: float, **other: object) -> SeenSnapshot:
    made = SeenSnapshot(
        name, "vol-1", "completed", NOW - timedelta(hours=age_hours), 20
    )
    return evolve(made, **other)  # type: ignore[arg-type]
