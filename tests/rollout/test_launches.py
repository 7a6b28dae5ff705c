"""What hosts are launched with, before and after a rollout."""

from __future__ import annotations

import json
from pathlib import Path

from attrs import evolve

from lae_flapp.cell_settings import HostProgram
from lae_flapp.journal import hosts, rollouts
from tests.grid.world import CELL, PLACE, World, check_served

REPOSITORY = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/s4test/node"
CONFIGURED, BROUGHT = (f"{REPOSITORY}@sha256:{letter * 64}" for letter in "ab")


def test_a_new_host_runs_what_the_newest_finished_rollout_brought(tmp_path) -> None:
    """An open rollout changes no launch, and one that went back neither; after one is
    finished, new and replaced hosts are launched with its image.
    """
    program = HostProgram(image=CONFIGURED, signing_keys=(Path("image.pem"),))
    world = World(tmp_path / "state", place=evolve(PLACE, program=program))
    world.start()
    try:
        walks = (
            ((), CONFIGURED),
            (("going-back", "gone-back"), CONFIGURED),
            (("finished",), BROUGHT),
        )
        for number, (states, image) in enumerate(walks):
            before = world.paid(f"form {number}".encode())
            if states:
                _move(world, *states)
            signup_id = world.paid(f"another form {number}".encode())
            world.advance(60)
            for one in (before, signup_id):
                check_served(world, one)
            assert _launched_with(world, signup_id) == image
            assert world.read(hosts.live, signup_id).image == image
    finally:
        world.kill()


def _move(world: World, *states: str) -> None:
    row = world.write(
        rollouts.begin,
        CELL.name,
        BROUGHT,
        canaries=1,
        step=10,
        pause=0,
        who="operator ann",
        why="news",
    )
    for state in states:
        now = world.read(rollouts.get, row.number).state
        world.write(rollouts.move, row.number, {now}, state, who="daemon", why="so")


def _launched_with(world: World, signup_id: str) -> str:
    (request,) = (
        instance.request
        for instance in world.cloud.live()
        if instance.request.key.signup_id == signup_id
    )
    return json.loads(request.user_data.reveal())["image"]
