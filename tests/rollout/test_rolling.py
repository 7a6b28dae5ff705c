"""A rollout on a fleet in memory: forward, stopped, back, and through the daemon's
deaths.
"""

from __future__ import annotations

from collections import Counter

import pytest

from lae_flapp.journal import images, rollout_hosts, rollouts
from lae_flapp.journal.errors import ForbiddenMove, RolloutOpen, StateChanged
from lae_flapp.journal.signups import SIGNUPS
from lae_flapp.rollout.rolling import TRIED, TURNED
from lae_protocol.process.crash import on_crash_point
from tests.rollout.fleet import NEW, OLD, Died, TwinProgram, reference
from tests.twins.ground import CELL


def test_a_good_program_reaches_every_host(new_fleet) -> None:
    """The canary comes first, then steps, and at the end every host runs the program,
    its release is the floor, and new hosts are launched with it.
    """
    fleet = new_fleet(10)
    fleet.begin(canaries=1, step=30)
    sizes = []
    while fleet.rollout.state == "going":
        fleet.turn()
        sizes.append(fleet.running(NEW))
    assert fleet.rollout.state == "finished"
    assert sorted(set(sizes) - {0}) == [1, 4, 7, 10]
    assert fleet.outcomes() == {"proved": 10}
    fleet.turn()
    assert {host.floor for host in fleet.hosts.values()} == {2}
    assert fleet.read(rollouts.newest_finished, CELL.name).image == NEW


@pytest.mark.parametrize(
    ("program", "said"),
    [
        (TwinProgram(starts=False), "did not start"),
        (TwinProgram(signed=False), "not signed"),
        (TwinProgram(serves=False), "a client could not do this: write"),
        (TwinProgram(proves=False), "self-test"),
        (TwinProgram(problem="the bucket is closed"), "the bucket is closed"),
        (None, "cannot pull"),
    ],
)
def test_a_bad_program_stops_at_the_canary(new_fleet, program, said) -> None:
    """Whatever is wrong with a program, no host but the canaries ever runs it, and they
    run again what they ran before.
    """
    fleet = new_fleet(6)
    if program is None:
        del fleet.programs[NEW]
    else:
        fleet.programs[NEW] = program
    fleet.begin(canaries=2)
    fleet.turn_until("gone-back")
    assert fleet.ever_ran(NEW) <= 2
    assert fleet.running(OLD) == 6
    assert len(fleet.rows()) == 2
    assert said in " ".join(row.what or "" for row in fleet.rows())
    assert {host.floor for host in fleet.hosts.values()} == {0}


def test_a_program_that_fails_later_goes_back_everywhere(new_fleet) -> None:
    """A program whose hosts begin to say a problem, while the others do not, is taken
    back from all that run it.
    """
    fleet = new_fleet(6)
    fleet.begin(canaries=1, step=50)
    while fleet.outcomes().get("proved", 0) < 4:
        fleet.turn()
    fleet.programs[NEW].problem = "out of memory"
    fleet.turn_until("gone-back")
    assert fleet.running(OLD) == 6
    assert "hosts with the program say a problem" in fleet.rollout.why
    assert fleet.ever_ran(NEW) <= 4


def test_trouble_that_all_hosts_have_is_not_the_programs(new_fleet) -> None:
    """While every host says a problem, nothing goes on and nothing goes back."""
    fleet = new_fleet(6)
    fleet.begin(canaries=1, step=50)
    while fleet.outcomes().get("proved", 0) < 4:
        fleet.turn()
    for program in fleet.programs.values():
        program.problem = "S3 is away"
    for _ in range(16):
        fleet.turn()
    assert fleet.rollout.state == "going"
    assert fleet.running(NEW) == 4
    for program in fleet.programs.values():
        program.problem = None
    fleet.turn_until("finished")


def test_an_operator_takes_it_back(new_fleet) -> None:
    """Back is possible until it is finished, and never afterwards."""
    fleet = new_fleet(6)
    fleet.begin(canaries=1, step=50)
    while fleet.running(NEW) < 4:
        fleet.turn()
    number, who = fleet.rollout.number, "operator ann"
    state = {fleet.rollout.state}
    fleet.write(rollouts.move, number, state, "going-back", who=who, why="no")
    fleet.turn_until("gone-back")
    assert fleet.running(OLD) == 6
    fleet.begin()
    fleet.turn_until("finished")
    with pytest.raises(ForbiddenMove):
        fleet.write(
            rollouts.move,
            fleet.rollout.number,
            {"finished"},
            "going-back",
            who=who,
            why="no",
        )


def test_while_paused_no_host_is_told(new_fleet) -> None:
    """A pause holds what is next, not the judgement of what was told."""
    fleet = new_fleet(6)
    fleet.begin(canaries=1, step=50)
    while fleet.outcomes() != {"proved": 1}:
        fleet.turn()
    number, ann = fleet.rollout.number, "operator ann"
    fleet.write(rollouts.move, number, {"going"}, "paused", who=ann, why="lunch")
    for _ in range(20):
        fleet.turn()
    assert fleet.running(NEW) == 1
    fleet.write(rollouts.move, number, {"paused"}, "going", who=ann, why="on")
    fleet.turn_until("finished")
    assert fleet.running(NEW) == 6


def test_one_rollout_at_a_time(new_fleet) -> None:
    """A second rollout is refused while one is open, and so is any move that another
    operator was faster with.
    """
    fleet = new_fleet(3)
    fleet.begin()
    with pytest.raises(RolloutOpen, match="rollout 1 is going"):
        fleet.begin(reference("other"))
    number = fleet.rollout.number
    fleet.write(rollouts.move, number, {"going"}, "paused", who="a", why="w")
    with pytest.raises(StateChanged):
        fleet.write(rollouts.move, number, {"going"}, "paused", who="b", why="w")


def test_a_host_that_is_lost_meanwhile(new_fleet) -> None:
    """A canary whose host is lost stops the rollout: nobody knows what ended it."""
    fleet = new_fleet(5)
    fleet.begin(canaries=2)
    while fleet.outcomes() != {"told": 2}:
        fleet.turn()
    lost = fleet.hosts[fleet.rows()[0].signup_id]
    fleet.lose(lost)
    fleet.turn_until("gone-back")
    assert "its host is lost" in " ".join(row.what or "" for row in fleet.rows())


def test_a_customer_who_leaves_stops_nothing(new_fleet) -> None:
    """A host that goes since its customer does is no failure of the program."""
    fleet = new_fleet(5)
    fleet.begin(canaries=2)
    while fleet.outcomes() != {"told": 2}:
        fleet.turn()
    leaving = fleet.hosts[fleet.rows()[0].signup_id]
    fleet.write(_put_in, leaving.signup_id, "ending")
    fleet.lose(leaving)
    fleet.turn_until("finished")
    assert fleet.outcomes() == {"left": 1, "proved": 4}


def test_a_host_that_is_away_is_told_when_it_is_back(new_fleet) -> None:
    """A silent host holds up nobody; when the rollout is finished it is told at its
    first report.
    """
    fleet = new_fleet(5)
    away = next(iter(fleet.hosts.values()))
    away.down = True
    for _ in range(16):
        fleet.turn()
    fleet.begin()
    fleet.turn_until("finished")
    assert fleet.running(NEW) == 4
    away.down = False
    fleet.turn()
    assert (away.program, away.floor) == (NEW, 2)


def test_a_canary_that_falls_silent(new_fleet) -> None:
    """A canary that is told the program and never heard again stops the rollout, and
    the rollout ends without it.
    """
    fleet = new_fleet(5)
    fleet.begin()
    while fleet.outcomes() != {"told": 1}:
        fleet.turn()
    silent = fleet.hosts[fleet.rows()[0].signup_id]
    silent.down = True
    fleet.turn_until("gone-back")
    assert fleet.outcomes() == {"stuck": 1}
    silent.down = False
    fleet.turn()
    fleet.turn()
    assert silent.program == OLD


def test_a_host_that_does_not_say_what_it_runs(new_fleet) -> None:
    """A host of an older release, which could not go back, is told nothing."""
    fleet = new_fleet(3)
    fleet.programs[""] = TwinProgram(0)
    older = fleet.add_host(program="")
    fleet.turn()
    fleet.begin()
    fleet.turn_until("finished")
    told = fleet.report(older)
    assert (told.program, told.floor) == ("", 0)
    assert fleet.running(NEW) == 3


def test_images_that_a_rollout_needs_are_kept(new_fleet) -> None:
    """No prune deletes what a host is told, or goes back to."""
    fleet = new_fleet(2)
    fleet.begin()
    fleet.turn()
    assert {NEW, OLD} <= fleet.read(images.in_use)
    fleet.turn_until("finished")
    assert {NEW, OLD} <= fleet.read(images.in_use)


def test_an_image_is_as_old_as_its_rollout(new_fleet) -> None:
    """Hosts that were launched long ago run an image that came with the rollout."""
    fleet = new_fleet(2)
    fleet.turn()
    (old,) = fleet.read(images.ages)
    assert (old.image, old.hosts) == (OLD, 2)
    fleet.clock.advance(90 * 86_400)
    fleet.turn()
    fleet.begin()
    fleet.turn_until("finished")
    fleet.turn()
    (new,) = fleet.read(images.ages)
    assert (new.image, new.hosts) == (NEW, 2)
    assert (new.since - old.since).days == 90


def test_a_second_rollout_of_the_program_that_failed(new_fleet) -> None:
    """What was refused once is judged anew when it is started again."""
    fleet = new_fleet(4)
    fleet.programs[NEW].starts = False
    fleet.begin()
    fleet.turn_until("gone-back")
    fleet.programs[NEW].starts = True
    fleet.begin()
    fleet.turn_until("finished")
    assert fleet.running(NEW) == 4


def test_an_old_program_never_comes_back(new_fleet) -> None:
    """A program below the floor is refused by the canary, which goes on as it is."""
    fleet = new_fleet(4)
    fleet.begin()
    fleet.turn_until("finished")
    fleet.turn()
    fleet.begin(OLD)
    fleet.turn_until("gone-back")
    assert fleet.running(NEW) == 4
    assert "older than one that was finished" in fleet.rollout.why + str(fleet.rows())
    assert all(host.ran == [OLD, NEW] for host in fleet.hosts.values())


@pytest.mark.parametrize("point", [TRIED, TURNED])
@pytest.mark.parametrize("good", [True, False])
def test_a_daemon_that_dies_at_each_point(new_fleet, point, good) -> None:
    """A daemon that is killed at a crash point, every second time that it comes there,
    finishes the rollout all the same, or undoes it.
    """
    fleet = new_fleet(5)
    fleet.programs[NEW].serves = good
    passed: Counter[str] = Counter()

    def strike(name: str) -> None:
        if name in {TRIED, TURNED}:
            passed[name] += 1
            if name == point and passed[name] % 2:
                raise Died

    on_crash_point(strike)
    fleet.begin(canaries=1, step=40)
    fleet.turn_until("finished" if good else "gone-back")
    assert passed[point] > 2
    assert fleet.running(NEW if good else OLD) == 5
    assert fleet.ever_ran(NEW) == (5 if good else 1)


def test_a_daemon_that_was_away_for_hours_blames_nobody(new_fleet) -> None:
    """What could not be heard while the daemon was away is not the program's failure."""
    fleet = new_fleet(4)
    fleet.begin(canaries=2)
    while fleet.outcomes() != {"proved": 2}:
        fleet.turn()
    fleet.stop()
    fleet.clock.advance(6 * 3600)
    fleet.start()
    fleet.look()
    assert fleet.rollout.state == "going"
    fleet.turn_until("finished")


def test_hosts_hear_the_floor_once_it_has_risen(new_fleet) -> None:
    """The floor that hosts are told is the highest release that was finished."""
    fleet = new_fleet(2)
    newer = reference("newer")
    fleet.programs[newer] = TwinProgram(release=7)
    for image in (NEW, newer):
        fleet.begin(image)
        assert fleet.read(rollouts.floor_of, CELL.name) in {0, 2}
        fleet.turn_until("finished")
    assert fleet.read(rollouts.floor_of, CELL.name) == 7
    for row in fleet.rows():
        wished = fleet.read(
            rollout_hosts.wished, CELL.name, row.signup_id, row.generation
        )
        assert wished == (newer, 7)


def _put_in(tx, signup_id, state) -> None:
    row = SIGNUPS.c.signup_id == signup_id
    tx.run(SIGNUPS.update().where(row).values(state=state))
