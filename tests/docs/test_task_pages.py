"""The commands of the task pages, typed by an operator of a running demo with a signup."""

from __future__ import annotations

import json

import boto3
import pytest

from lae_localcloud.booter.booter import PROGRAMS
from lae_localcloud.booter.programs import Programs
from lae_localcloud.demo.parts import twistd_argv
from tests.docs.reading import ROOT, blocks
from tests.docs.test_commands import Machine

PAGES = sorted((ROOT / "docs" / "operations").glob("*.rst"))


@pytest.fixture
def machine(demo, tmp_path):
    made = Machine(tmp_path, demo)
    yield made
    for name in ("site", "daemon"):
        pid = made.pid(name)
        if pid is not None:
            made.type(f"kill -9 {pid}")


@pytest.mark.end_to_end
@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.stem)
def test_every_command_of_a_task_page(machine, page):
    """Every command of the page does what it should, one after the other."""
    commands = [command for block in blocks(page) for command in block.commands]
    assert len(commands) > 3
    meanings = what_stands_for(machine)
    if page.stem == "volume":
        meanings["INSTANCE"] = machine_in_zone(machine.demo, "a")
        meanings["OTHER"] = machine_in_zone(machine.demo, "b")
    for command in commands:
        said = machine.type(with_meanings(command, meanings))
        if command.startswith("twistd"):
            machine.wait_for(
                "the daemon is not up", lambda: "ready: " in machine.log("daemon")
            )
        if command.startswith("lae config check"):
            assert ": good (" in said
        if "--dry-run" in command and command.startswith("lae volume"):
            assert said.startswith("Would do:")
        if command.startswith("lae account check"):
            assert said.endswith("Everything is as it should be.\n")
        if command.startswith("lae subscriptions list") and "--state" not in command:
            assert machine.demo.signup["signup_id"] in said


def test_every_page_is_found():
    """The manual's index has every task page."""
    index = (ROOT / "docs" / "operations.rst").read_text("utf-8")
    assert PAGES
    for page in PAGES:
        assert f"<operations/{page.name}>`_" in index


def what_stands_for(machine) -> dict[str, str]:
    """The placeholders of the pages, in this demo."""
    furl = machine.demo.facts["operator_furl_file"]
    told = machine.type(f"lae subscriptions list --json --furl-file {furl}")
    signup = machine.demo.signup["signup_id"]
    [row] = [s for s in json.loads(told)["signups"] if s["signup_id"] == signup]
    backup = machine.folder / "backup"
    backup.mkdir()
    settings = machine.demo.state / "config" / "daemon.yaml"
    machine.type(f"lae journal backup --daemon {settings} {backup}/journal.sqlite")
    programs = Programs(machine.demo.state / "aws" / PROGRAMS)
    node = (*twistd_argv("lae-node"), "--config", "etc/s4/node.yaml")
    return {
        "DIGEST": programs.publish(2, node),
        "ADDRESS": row["email"],
        "BACKUP": str(backup),
        "RECOVERY_KEY_FILE": str(machine.demo.state / "recovery.key"),
    }


def machine_in_zone(demo, letter: str) -> str:
    """An instance that runs nothing, for the pages about machines."""
    facts = demo.facts
    ec2 = boto3.client(
        "ec2",
        endpoint_url=facts["aws_endpoint"],
        region_name=facts["region"],
        aws_access_key_id=facts["access_key"],
        aws_secret_access_key=facts["secret_key"],
    )
    image = ec2.describe_images()["Images"][0]
    made = ec2.run_instances(
        ImageId=image["ImageId"],
        MinCount=1,
        MaxCount=1,
        Placement={"AvailabilityZone": f"{facts['region']}{letter}"},
    )
    return made["Instances"][0]["InstanceId"]


def with_meanings(command: str, meanings: dict[str, str]) -> str:
    for placeholder, meaning in meanings.items():
        command = command.replace(placeholder, meaning)
    return command
