"""What comes next with the daemon's volume, from any state."""

from __future__ import annotations

from datetime import timedelta

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from lae_provision.volumes.foresight import foresee
from lae_provision.volumes.seen_volume import (
    SeenAttachment,
    SeenModification,
    SeenSnapshot,
    SeenVolume,
    Sight,
)
from lae_provision.volumes.volume_plan import (
    AttachVolume,
    BeAttached,
    BeCopied,
    BeginMove,
    BeGrown,
    BeMoved,
    CreateSnapshot,
    CreateVolume,
    DeleteSnapshot,
    DetachVolume,
    EndMove,
    Goal,
    GoalReached,
    GrowVolume,
    NeedsPerson,
    RetireVolume,
    StopInstance,
    WaitForEc2,
    next_step,
    read_time,
    slot_of,
)
from tests.volumes.world import (
    DEPLOYMENT,
    NOW,
    World,
    instance,
    sight,
    snapshot,
    volume,
)

HOUR = timedelta(hours=1)
DAILY = BeCopied(timedelta(days=1), keep=2)


def at(name: str, state: str = "attached") -> dict[str, object]:
    return {"state": "in-use", "attachment": SeenAttachment(name, state, "/dev/sdf")}


def step(goal: Goal, seen: Sight) -> object:
    return next_step(DEPLOYMENT, goal, seen)


attachments = st.none() | st.builds(
    SeenAttachment,
    instance=st.sampled_from(["i-old", "i-new", "i-far", "i-gone"]),
    state=st.sampled_from(["attaching", "attached", "detaching", "busy"]),
    device=st.just("/dev/sdf"),
)
modifications = st.none() | st.builds(
    SeenModification,
    state=st.sampled_from(["modifying", "optimizing", "completed", "failed"]),
    target_gib=st.sampled_from([20, 40]),
    began=st.sampled_from([NOW, NOW - 5 * HOUR, NOW - 7 * HOUR]),
)
runs = st.sampled_from([None, "20261130T190000Z", "20261101T000000Z", "nonsense"])
volumes = st.builds(
    SeenVolume,
    volume=st.sampled_from(["vol-1", "vol-2"]),
    state=st.sampled_from(["creating", "available", "in-use", "error"]),
    zone=st.sampled_from(["a", "b"]),
    gib=st.sampled_from([10, 20, 40]),
    encrypted=st.sampled_from([True, True, True, False]),
    key=st.none(),
    attachment=attachments,
    modification=modifications,
    run=runs,
    moving=runs,
)
snapshots = st.builds(
    SeenSnapshot,
    snapshot=st.integers(0, 10**6).map("snap-{}".format),
    volume=st.sampled_from(["vol-1", "vol-2"]),
    state=st.sampled_from(["pending", "completed", "error"]),
    began=st.sampled_from([NOW, NOW - HOUR, NOW - 30 * HOUR]),
    gib=st.just(20),
    slot=st.sampled_from([None, slot_of(NOW, timedelta(days=1)), "20261101T000000Z"]),
    run=runs,
)
states = st.sampled_from(
    ["pending", "running", "stopping", "stopped", "shutting-down", "terminated"]
)
sights = st.builds(
    Sight,
    now=st.just(NOW),
    volumes=st.lists(volumes, max_size=2, unique_by=lambda v: v.volume).map(tuple),
    instances=st.fixed_dictionaries(
        {
            "i-old": st.builds(instance, st.just("i-old"), states),
            "i-new": st.builds(instance, st.just("i-new"), states),
            "i-far": st.builds(instance, st.just("i-far"), states, st.just("b")),
        }
    ),
    snapshots=st.lists(snapshots, max_size=5, unique_by=lambda s: s.snapshot).map(
        tuple
    ),
)
goals = st.one_of(
    st.builds(
        BeAttached,
        instance=st.sampled_from(["i-new", "i-far", "i-gone"]),
        gib=st.just(20),
        key=st.none(),
    ),
    st.builds(
        BeMoved,
        instance=st.sampled_from(["i-new", "i-far", "i-gone"]),
        stop=st.booleans(),
        unmounted=st.booleans(),
    ),
    st.builds(BeGrown, gib=st.sampled_from([10, 20, 40, 20_000])),
    st.builds(
        BeCopied, every=st.just(timedelta(days=1)), keep=st.sampled_from([None, 1, 2])
    ),
)


@given(sights, goals)
def test_from_any_state(seen: Sight, goal: Goal) -> None:
    """Every sight has an answer, the steps from it come to an end, and none takes a
    volume from a machine that may write to it.
    """
    *steps, last = foresee(DEPLOYMENT, goal, seen)
    assert isinstance(last, GoalReached | NeedsPerson)
    named = {v.volume: v for v in seen.volumes}
    for one in steps:
        if isinstance(one, DetachVolume) and one is steps[0]:
            state = seen.instance_state(one.instance)
            assert state == "stopped" or (
                isinstance(goal, BeMoved) and goal.unmounted and state == "running"
            )
        if isinstance(one, AttachVolume) and one is steps[0]:
            at_rest = named[one.volume]
            assert (at_rest.attachment, at_rest.state) == (None, "available")
            assert at_rest.zone == seen.instances[one.instance].zone
            assert at_rest.encrypted
        if isinstance(one, StopInstance):
            assert isinstance(goal, BeMoved)
            assert goal.stop
            assert one.instance != goal.instance
        if isinstance(one, CreateVolume) and one.snapshot is None:
            assert seen.volumes == ()
    if isinstance(last, GoalReached) and isinstance(goal, BeGrown) and steps:
        assert GrowVolume in map(type, steps) or WaitForEc2 in map(type, steps)


#: What happens between two looks of somebody who moves the volume.
EVENTS = ("write", "settle", "look", "stop-old", "start-old", "late")


@given(
    st.lists(st.sampled_from(EVENTS), max_size=30),
    st.sampled_from(["i-new", "i-far"]),
    st.sampled_from([(True, False), (False, True), (False, False), (True, True)]),
)
def test_no_write_is_lost(events: list[str], to: str, how: tuple[bool, bool]) -> None:
    """Whatever happens meanwhile, and however often the move begins again, the volume
    that is attached at last has everything that the daemon ever wrote.
    """
    stop, unmounted = how
    world = World(sight(volume(**at("i-old"))), mounted=not unmounted)
    goal = BeMoved(to, stop=stop, unmounted=unmounted)

    def look() -> object:
        answer = next_step(DEPLOYMENT, goal, world.sight)
        if not isinstance(answer, GoalReached | NeedsPerson | WaitForEc2):
            world.do(answer)
        return answer

    happen = {
        "write": world.write,
        "settle": world.settle,
        "look": look,
        "stop-old": lambda: world.switch("i-old", "stopped"),
        "start-old": lambda: world.switch("i-old", "running"),
        "late": lambda: world.pass_time(HOUR),
    }
    for event in events:
        happen[event]()
    for _ in range(30):
        answer = look()
        if isinstance(answer, GoalReached):
            break
        if isinstance(answer, NeedsPerson):
            # Nobody said that it may be taken from there.
            assert goal == BeMoved(to)
            world.switch("i-old", "stopped")
        world.settle()
    assert isinstance(answer, GoalReached)
    (one,) = world.sight.volumes
    assert one.attachment is not None
    assert (one.attachment.instance, one.moving) == (to, None)
    assert world.data.get(one.volume, 0) == world.written


def test_what_is_foreseen_is_done() -> None:
    """The dry run of a move into another zone has each step of the move, in order."""
    world = World(sight(volume(**at("i-old"))))
    goal = BeMoved("i-far", stop=True)
    foreseen = foresee(DEPLOYMENT, goal, world.sight)
    for _ in range(30):
        answer = next_step(DEPLOYMENT, goal, world.sight)
        if isinstance(answer, GoalReached):
            break
        if isinstance(answer, WaitForEc2):
            world.settle()
        else:
            world.do(answer)  # type: ignore[arg-type]
    kinds = [type(a) for a in foreseen if not isinstance(a, WaitForEc2 | GoalReached)]
    assert kinds == [type(s) for s in world.steps]
    assert kinds == [
        StopInstance,
        DetachVolume,
        BeginMove,
        CreateSnapshot,
        CreateVolume,
        RetireVolume,
        AttachVolume,
    ]


def test_first_time() -> None:
    """Without a volume one is made in the machine's zone, under a token, and attached;
    then nothing is to be done.
    """
    goal = BeAttached("i-new", 20, "key")
    made = step(goal, sight())
    assert made == CreateVolume("a", 20, "key", "s4-prod-journal-a-20")
    assert step(goal, sight(volume(state="creating"))) == WaitForEc2(
        "vol-1 is being made"
    )
    assert step(goal, sight(volume())) == AttachVolume("vol-1", "i-new")
    for state in ("attaching", "detaching", "busy"):
        assert isinstance(step(goal, sight(volume(**at("i-new", state)))), WaitForEc2)
    assert isinstance(step(goal, sight(volume(**at("i-new")))), GoalReached)


@pytest.mark.parametrize(
    ("seen", "word"),
    [
        (sight(volume(**at("i-old"))), "attached at i-old: lae volume move"),
        (sight(volume(zone="b")), "vol-1 is in b, i-new in a"),
        (sight(volume(encrypted=False)), "not encrypted"),
        (sight(volume(state="error")), "in state error"),
        (sight(volume(), volume("vol-2")), "several volumes"),
        (sight(volume(moving="20261130T190000Z")), "is being moved"),
        (sight(volume(), instances={}), "i-new is terminated"),
    ],
)
def test_what_attach_leaves_to_a_person(seen: Sight, word: str) -> None:
    """Attaching takes a volume from nobody, and makes no second one."""
    answer = step(BeAttached("i-new", 20, None), seen)
    assert isinstance(answer, NeedsPerson)
    assert word in answer.why


def test_fence() -> None:
    """A machine that runs keeps its volume until it may be stopped, or the volume is
    said to be unmounted; one that goes down is waited for.
    """
    running = sight(volume(**at("i-old")))
    asked = step(BeMoved("i-new"), running)
    assert isinstance(asked, NeedsPerson)
    assert "--stop" in asked.why
    assert "--unmounted" in asked.why
    assert step(BeMoved("i-new", stop=True), running) == StopInstance("i-old")
    taken = step(BeMoved("i-new", unmounted=True), running)
    assert taken == DetachVolume("vol-1", "i-old")
    for state in ("stopping", "shutting-down", "pending", "terminated"):
        world = World(running)
        world.switch("i-old", state)
        assert isinstance(step(BeMoved("i-new", stop=True), world.sight), WaitForEc2)
    attaching = sight(volume(**at("i-old", "attaching")))
    assert isinstance(step(BeMoved("i-new", stop=True), attaching), WaitForEc2)
    stuck = sight(volume(**at("i-old", "busy")))
    assert step(BeMoved("i-new", unmounted=True), stuck) == WaitForEc2(
        "vol-1 is busy at i-old, which runs: is it unmounted there?"
    )
    # A detachment that is stuck ends once the machine stops.
    assert step(BeMoved("i-new", stop=True), stuck) == StopInstance("i-old")


def test_an_old_copy_is_never_used() -> None:
    """A copy of an earlier move is not used once the volume was attached again, nor
    after a day.
    """
    run = "20261130T190000Z"
    copy = snapshot("snap-1", 1, run=run)
    goal = BeMoved("i-far", stop=True)
    fresh = sight(volume(moving=run), snapshots=(copy,))
    made = step(goal, fresh)
    assert isinstance(made, CreateVolume)
    assert made.snapshot == "snap-1"
    of_another = evolve(fresh, snapshots=(evolve(copy, volume="vol-9"),))
    assert step(goal, of_another) == CreateSnapshot("vol-1", run=run)
    again = sight(volume(moving=run, **at("i-old")), snapshots=(copy,))
    assert step(goal, again) == EndMove("vol-1")
    late = evolve(fresh, now=NOW + 24 * HOUR)
    assert step(goal, late) == BeginMove("vol-1", "20261201T200000Z")
    both = sight(volume(moving=run, **at("i-old")), volume("vol-2", run=run, zone="b"))
    held = step(goal, both)
    assert isinstance(held, NeedsPerson)
    assert "delete vol-2" in held.why


def test_change_over() -> None:
    """The old volume is retired once the new one is there, not before; then the new
    one is attached.
    """
    run, goal = "20261130T190000Z", BeMoved("i-far", stop=True)
    old, new = volume(moving=run), volume("vol-2", run=run, zone="b")
    assert step(goal, sight(old, new)) == RetireVolume("vol-1")
    assert isinstance(step(goal, sight(old, evolve(new, state="creating"))), WaitForEc2)
    assert isinstance(step(goal, sight(old, evolve(new, state="error"))), NeedsPerson)
    assert isinstance(step(BeGrown(40), sight(old, new)), NeedsPerson)
    other = evolve(new, run="20261101T000000Z")
    assert isinstance(step(goal, sight(old, other)), NeedsPerson)
    assert step(goal, sight(new)) == AttachVolume("vol-2", "i-far")


def test_growing() -> None:
    """A volume grows once in six hours, never shrinks, and is ready while EC2 still
    optimizes it.
    """

    def changed(state: str, hours: float, gib: int = 20) -> Sight:
        last = SeenModification(state, 40, NOW - hours * HOUR)
        return sight(volume(modification=last, gib=gib))

    goal = BeGrown(40)
    assert step(goal, sight(volume())) == GrowVolume("vol-1", 40)
    assert isinstance(step(goal, changed("modifying", 0)), WaitForEc2)
    assert isinstance(step(goal, changed("optimizing", 1, 40)), GoalReached)
    early = step(BeGrown(80), changed("completed", 5.5, 40))
    assert isinstance(early, NeedsPerson)
    assert "again at 2026-11-30 20:30 UTC" in early.why
    assert isinstance(step(BeGrown(80), changed("optimizing", 7, 40)), NeedsPerson)
    assert step(BeGrown(80), changed("completed", 6, 40)) == GrowVolume("vol-1", 80)
    assert isinstance(step(BeGrown(10), sight(volume())), NeedsPerson)
    assert isinstance(step(BeGrown(16_385), sight(volume())), NeedsPerson)


def test_schedule() -> None:
    """There is one snapshot for each time of the schedule, and those that are kept."""
    slot = slot_of(NOW, timedelta(days=1))
    assert slot == "20261130T000000Z"
    assert step(DAILY, sight(volume())) == CreateSnapshot("vol-1", slot=slot)
    today = snapshot("snap-9", 1, slot=slot)
    pending = evolve(today, state="pending", progress=40)
    assert step(DAILY, sight(volume(), snapshots=(pending,))) == WaitForEc2(
        "snap-9 is at 40 %"
    )
    broken = tuple(evolve(today, state="error", snapshot=f"snap-{n}") for n in range(3))
    assert isinstance(
        step(DAILY, sight(volume(), snapshots=broken[:2])), CreateSnapshot
    )
    assert isinstance(step(DAILY, sight(volume(), snapshots=broken)), NeedsPerson)
    older = tuple(
        snapshot(f"snap-{n}", 24 * (n + 1), slot=f"2026112{9 - n}T000000Z")
        for n in range(3)
    )
    failed = evolve(broken[0], snapshot="snap-e")
    moved = snapshot("snap-m", 900, run="20261020T000000Z")
    seen = sight(volume(), snapshots=(today, *older, moved, failed))
    gone = [
        a for a in foresee(DEPLOYMENT, DAILY, seen) if isinstance(a, DeleteSnapshot)
    ]
    assert [a.snapshot for a in gone] == ["snap-e", "snap-2", "snap-1"]
    kept = BeCopied(timedelta(days=1))
    assert isinstance(step(kept, seen), GoalReached)


def test_times_in_tags() -> None:
    """What is no time is long ago: a move that has it begins anew."""
    assert read_time("20261130T200000Z") == NOW
    assert read_time("yesterday").year == 1970
