"""The daemon's volume at EC2 as the local cloud has it: slow and unwilling."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from random import Random
from typing import Any

import pytest
from attrs import define, evolve, field
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from lae_provision.errors import ProvisionError, Refused
from lae_provision.volumes.convergence import Convergence, NotFinished
from lae_provision.volumes.ebs import JournalVolume
from lae_provision.volumes.seen_volume import SeenSnapshot, Sight
from lae_provision.volumes.volume_plan import (
    Answer,
    BeAttached,
    BeCopied,
    BeGrown,
    BeMoved,
    Goal,
    GoalReached,
    WaitForEc2,
)
from tests.volumes.front import Front
from tests.volumes.world import NOW, sight, volume

DAY = timedelta(days=1)
HERE, THERE = "eu-west-1a", "eu-west-1b"


@define
class Desk:
    """Somebody who works at one volume; *said* is what the command prints."""

    front: Front
    said: list[Answer] = field(factory=list)
    killed_after: int = 10**6

    @property
    def volume(self) -> JournalVolume:
        channel: Any = self.front
        return JournalVolume(channel, "s4-prod", self.front.now)

    def reach(
        self,
        goal: Goal,
        within: float = 3600.0,
        meanwhile: Callable[[], None] | None = None,
    ) -> GoalReached:
        """Work until it is reached, the time passing as fast as may be."""
        work = Convergence(
            self.front.clock,
            Random(1),
            self.volume,
            "s4-prod",
            self.said.append,
            within,
        )
        outcome: list[Any] = []
        Deferred.fromCoroutine(work.reach(goal)).addBoth(outcome.append)
        for _ in range(5000):
            if outcome or len(self.said) >= self.killed_after:
                break
            if meanwhile is not None:
                meanwhile()
            self.front.clock.advance(5)
        if not outcome:
            raise KilledHere
        if isinstance(outcome[0], GoalReached):
            return outcome[0]
        raise outcome[0].value

    def looked(self, *names: str) -> Any:
        seen: list[Any] = []
        Deferred.fromCoroutine(self.volume.look(*names)).addBoth(seen.append)
        return seen[0]

    def kinds(self) -> list[str]:
        return [type(a).__name__ for a in self.said if not isinstance(a, WaitForEc2)]


class KilledHere(Exception):
    """The command was killed."""


@pytest.fixture
def desk() -> Desk:
    made = Desk(Front())
    made.front.slowness.volume = 20.0
    return made


def test_from_nothing(desk: Desk) -> None:
    """The volume is made, encrypted, in the machine's zone, and attached, each while it
    takes its time; a second call does nothing.
    """
    machine = desk.front.machine(HERE)
    goal = BeAttached(machine, 20, None)
    desk.reach(goal)
    assert desk.kinds() == ["CreateVolume", "AttachVolume"]
    waits = [a.why for a in desk.said if isinstance(a, WaitForEc2)]
    assert any("is being made" in why for why in waits)
    assert any("attaching" in why for why in waits)
    (volume,) = desk.looked().volumes
    assert (volume.encrypted, volume.gib, volume.zone) == (True, 20, HERE)
    assert volume.attachment.device == "/dev/sdf"
    desk.said.clear()
    desk.reach(goal)
    assert desk.said == []


def test_lost_answers(desk: Desk) -> None:
    """A call whose answer is lost is not done twice."""
    machine = desk.front.machine(HERE)
    desk.front.lost += [
        "CreateVolume",
        "AttachVolume",
        "CreateSnapshot",
        "ModifyVolume",
    ]
    desk.reach(BeAttached(machine, 20, None))
    desk.reach(BeCopied(DAY))
    desk.reach(BeGrown(40))
    seen = desk.looked()
    assert desk.front.lost == []
    assert (len(seen.volumes), len(seen.snapshots)) == (1, 1)
    assert seen.volumes[0].gib == 40


@pytest.mark.parametrize(
    ("zone", "killed_after"),
    [(HERE, 2), (HERE, 4), (THERE, 1), (THERE, 4), (THERE, 6), (THERE, 8), (THERE, 9)],
)
def test_a_move_that_is_killed(desk: Desk, zone: str, killed_after: int) -> None:
    """Killed at any point, the move goes on at the next call; the machine before is
    stopped first, and one volume is in use at the end.
    """
    old, new = desk.front.machine(HERE), desk.front.machine(zone)
    desk.reach(BeAttached(old, 20, None))
    desk.said.clear()

    def power() -> None:
        if desk.front.state(old) == "stopping":
            desk.front.switch(old, "stopped")

    goal = BeMoved(new, stop=True)
    desk.killed_after = killed_after
    try:
        desk.reach(goal, meanwhile=power)
    except KilledHere:
        desk.killed_after = 10**6
        desk.reach(goal, meanwhile=power)
    assert desk.looked(old).instance_state(old) == "stopped"
    (volume,) = desk.looked().volumes
    assert (volume.attachment.instance, volume.zone) == (new, zone)
    assert volume.moving is None
    every = desk.front.moto.backend("ec2").volumes
    purposes = sorted(
        tag["value"]
        for one in every.values()
        for tag in one.get_tags()
        if tag["key"] == "s4:purpose"
    )
    assert purposes == ["journal"] + ["journal-before"] * (zone == THERE)


def test_detaching_that_is_stuck(desk: Desk) -> None:
    """A volume that is mounted is not let go: the call ends in its time and says what
    it waits for, and nothing is attached elsewhere; with the machine stopped it goes on.
    """
    old, new = desk.front.machine(HERE), desk.front.machine(HERE)
    desk.reach(BeAttached(old, 20, None))
    (volume,) = desk.looked().volumes
    desk.front.ec2.volumes.press(volume.volume, "mount")
    with pytest.raises(NotFinished, match="which runs: is it unmounted there"):
        desk.reach(BeMoved(new, unmounted=True), within=300)
    (held,) = desk.looked().volumes
    assert held.attachment.instance == old
    desk.front.switch(old, "stopped")
    desk.reach(BeMoved(new))
    assert desk.looked().volumes[0].attachment.instance == new


def test_once_in_six_hours(desk: Desk) -> None:
    """A volume that has grown serves while it is optimized, and grows again after six
    hours; until then a person is told when.
    """
    desk.reach(BeAttached(desk.front.machine(HERE), 20, None))
    desk.reach(BeGrown(40))
    assert desk.looked().volumes[0].modification.state == "optimizing"
    with pytest.raises(Refused, match="EC2 changes it again at 2026-12-01 02:0"):
        desk.reach(BeGrown(80))
    desk.front.clock.advance(6 * 3600)
    desk.reach(BeGrown(80))
    assert desk.looked().volumes[0].gib == 80


def test_copies(desk: Desk) -> None:
    """One that ends in error is made again; each day has one, and two stay."""
    desk.reach(BeAttached(desk.front.machine(HERE), 20, None))
    (volume,) = desk.looked().volumes
    desk.front.ec2.volumes.press(volume.volume, "fail")
    for _ in range(4):
        desk.reach(BeCopied(DAY, keep=2))
        desk.reach(BeCopied(DAY, keep=2))
        desk.front.clock.advance(86_400)
    assert len(desk.looked().snapshots) == 2
    assert {s.state for s in desk.looked().snapshots} == {"completed"}


def test_what_ec2_refuses(desk: Desk) -> None:
    """EC2 refuses what it refuses: another zone, a volume in use, a device in use, one
    that is not ready, the same token for something else.
    """
    near, far = desk.front.machine(HERE), desk.front.machine(THERE)
    desk.reach(BeAttached(near, 20, None))
    (volume,) = desk.looked().volumes

    def refused(action: str, **parameters: Any) -> str:
        outcome: list[Any] = []
        asked = desk.front.query("ec2", action, parameters)
        Deferred.fromCoroutine(asked).addBoth(outcome.append)
        error = outcome[0].value
        assert isinstance(error, ProvisionError)
        return error.code

    name, device = volume.volume, "/dev/sdf"
    used = {"VolumeId": name, "InstanceId": near, "Device": device}
    assert refused("AttachVolume", **used) == "VolumeInUse"
    assert refused("DeleteVolume", VolumeId=name) == "VolumeInUse"
    elsewhere = {"VolumeId": name, "InstanceId": far}
    assert refused("DetachVolume", **elsewhere) == "InvalidAttachment.NotFound"
    token = {"AvailabilityZone": HERE, "ClientToken": "s4-prod-journal-eu-west-1a-20"}
    assert refused("CreateVolume", Size=30, **token) == "IdempotentParameterMismatch"
    other: list[Any] = []
    made = desk.front.query(
        "ec2", "CreateVolume", {"AvailabilityZone": HERE, "Size": 1}
    )
    Deferred.fromCoroutine(made).addBoth(other.append)
    second = other[0].findtext("volumeId")
    asked = {"VolumeId": second, "InstanceId": near, "Device": device}
    assert refused("AttachVolume", **asked) == "IncorrectState"
    desk.front.clock.advance(30)
    assert refused("AttachVolume", **asked) == "InvalidParameterValue"
    far_off = {**asked, "InstanceId": far}
    assert refused("AttachVolume", **far_off) == "InvalidVolume.ZoneMismatch"
    assert refused("DetachVolume", VolumeId=second) == "IncorrectState"
    assert refused("ModifyVolume", VolumeId=name, Size=10) == "InvalidParameterValue"
    asked = {"VolumeId": "vol-0000", "InstanceId": near, "Device": device}
    assert refused("AttachVolume", **asked) == "InvalidVolume.NotFound"


@define
class Unseen:
    """A volume door whose snapshots are seen late, or never."""

    looks: int
    steps: list[Any] = field(factory=list)

    async def look(self, *named: str) -> Sight:
        assert named == ()
        seen = sight(volume())
        if not self.steps:
            return seen
        self.looks -= 1
        slot = self.steps[0].slot
        copy = SeenSnapshot("snap-1", "vol-1", "completed", NOW, 20, slot)
        return evolve(seen, snapshots=(copy,) if self.looks < 0 else ())

    async def carry_out(self, step: Any) -> str:
        self.steps.append(step)
        return "snap-1"


@pytest.mark.parametrize(("looks", "ends"), [(3, True), (1000, False)])
def test_not_seen_at_once(looks: int, ends: bool) -> None:
    """What was made and is not to be seen yet is waited for, not made again; what does
    not come within a minute is told.
    """
    clock, door, outcome = Clock(), Unseen(looks), []
    work = Convergence(clock, Random(1), door, "s4-prod", lambda _: None, 3600.0)
    Deferred.fromCoroutine(work.reach(BeCopied(DAY))).addBoth(outcome.append)
    for _ in range(60):
        clock.advance(5)
    assert len(door.steps) == 1
    (told,) = outcome
    if ends:
        assert isinstance(told, GoalReached)
    else:
        assert told.value.code == "made-and-gone"
