"""What operators may do with a rollout, and what they are told."""

from __future__ import annotations

from datetime import UTC, datetime

import click
import pytest

from lae_flapp.desk.operators.facet import operator_facet
from lae_flapp.journal import operators
from lae_flapp.laptop.commands.rollout import print_state
from lae_protocol.furl import Furl
from lae_protocol.messages import Refused
from lae_protocol.rollout_messages import (
    AskRollout,
    RolloutState,
    RunningLine,
    StartRollout,
    SteerRollout,
)
from lae_protocol.secret import Secret
from tests.desk.an_operator_desk import PROGRAMS, make_desk
from tests.rollout.fleet import NEW, OLD, reference
from tests.twins.asking import ask

ANN = Secret("o" + "a" * 52)
DIGEST = NEW.partition("@")[2]


@pytest.fixture
def operated(new_fleet, tmp_path):
    """A fleet of three, and how an operator asks its daemon."""
    fleet = new_fleet(3)
    fleet.write(operators.add, "ann", ANN, "daemon")
    desk = make_desk(
        fleet.journal,
        fleet.clock,
        new_furl=lambda: Furl("t" * 32, ("h:1",), "o" + "b" * 52),
        woken=[],
        started_at=datetime.now(UTC),
        folder=tmp_path,
    )
    return fleet, lambda question: ask(operator_facet(desk, ANN), question)


def start(image=DIGEST, canaries=1, step=50, pause=60, why="release 12"):
    return StartRollout(image, canaries, step, pause, why)


def test_an_operator_starts_and_steers_one(operated) -> None:
    """A digest is enough; each move says what is so then, and stands in the event log
    with the operator's name.
    """
    fleet, operate = operated
    told = operate(start())
    assert isinstance(told, RolloutState)
    assert told.rollout.image == f"{PROGRAMS}@{DIGEST}"
    assert (told.rollout.left, told.rollout.unfit) == (3, 0)
    assert told.running == (RunningLine(OLD, 3),)
    assert operate(SteerRollout(1, "pause", "lunch")).rollout.state == "paused"
    assert operate(SteerRollout(1, "resume", "done")).rollout.state == "going"
    told = operate(SteerRollout(1, "back", "no"))
    assert (told.rollout.state, told.rollout.who) == ("going-back", "operator ann")
    fleet.turn_until("gone-back")
    assert fleet.running(OLD) == 3


def test_two_at_once_are_refused(operated) -> None:
    """While one is open no other is started, and a move from a state that was left
    changes nothing.
    """
    _, operate = operated
    operate(start())
    told = operate(start(reference("other")))
    assert told == Refused("not-now", "One rollout at a time: rollout 1 is going.")
    assert operate(SteerRollout(1, "resume", "w")).code == "changed"
    assert operate(SteerRollout(2, "pause", "w")).code == "unknown"


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (start("sha256:1"), "a program is named sha256:DIGEST"),
        (start("newest"), "a program is named sha256:DIGEST"),
        (start(reference("new", "evil.example/node")), f"of {PROGRAMS} alone"),
        (start(canaries=0), "canaries is a number from 1 to 1000"),
        (start(step=101), "step is a number from 1 to 100"),
        (start(pause=-1), "pause is a number from 0 to 604800"),
        (start(OLD), "Every host runs it already"),
    ],
)
def test_what_cannot_be_started(operated, asked, said) -> None:
    """What cannot be a rollout is refused in a sentence, and none is begun."""
    _, operate = operated
    told = operate(asked)
    assert isinstance(told, Refused)
    assert said in told.message
    assert operate(AskRollout()).rollout is None


def test_no_host_that_could_be_told(operated) -> None:
    """Where every host says a problem, nothing is begun."""
    fleet, operate = operated
    fleet.programs[OLD].problem = "the bucket is closed"
    fleet.turn()
    assert "No host can be told it now: 3 say a problem" in operate(start()).message
    assert operate(AskRollout()).rollout is None


def test_what_is_finished_cannot_be_taken_back(operated) -> None:
    """After the floor has risen there is no way back, and new hosts are launched with
    the program.
    """
    fleet, operate = operated
    operate(start())
    fleet.turn_until("finished")
    told = operate(SteerRollout(1, "back", "no"))
    assert "Rollout 1 is finished" in told.message
    told = operate(AskRollout())
    assert (told.launched, told.floor) == (NEW, 2)


def test_what_it_waits_for_is_said(operated, capsys) -> None:
    """The state names the hosts that are waited for, the pause's end, and what failed."""
    fleet, operate = operated
    operate(start())
    fleet.turn()
    (row,) = fleet.rows()
    assert operate(AskRollout()).rollout.waits == (
        f"for {row.signup_id} to run the program, and to prove it"
    )
    while fleet.outcomes() != {"proved": 1}:
        fleet.turn()
    assert operate(AskRollout()).rollout.waits.startswith("until 2026-11-")
    fleet.programs[NEW].problem = "out of memory"
    fleet.turn()
    told = operate(AskRollout())
    print_state(told)
    said = capsys.readouterr().out
    assert "1 of 1 hosts with the program say a problem" in said
    assert "none" in said
    fleet.turn_until("gone-back")
    assert operate(SteerRollout(1, "pause", "w")).code == "changed"


def test_no_rollout_yet(operated, capsys) -> None:
    """Before the first rollout the settings' command is what new hosts run."""
    _, operate = operated
    print_state(operate(AskRollout()))
    said = capsys.readouterr().out
    assert "none yet" in said
    assert f"3 run {OLD}" in said
    assert click.unstyle(said) == said
