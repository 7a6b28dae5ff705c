"""One host and one cloud for all tests of releases."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from lae_localcloud.state_folder import write_private
from tests.deploy import ssh
from tests.deploy.machine import ROOT, Machine, why_not
from tests.deploy.ssh import SshServer
from tests.deploy.world import Tree, World, manual
from tests.end_to_end.stack import Stack


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What needs the whole of S4 is marked so."""
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents and "world" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.end_to_end)


@pytest.fixture(scope="session")
def machine_or_skip() -> None:
    """Skip, aloud, where no machine of one's own can be had."""
    reason = why_not() or ssh.why_not()
    if reason is not None:
        pytest.skip(reason)


@pytest.fixture(scope="session")
def world(
    machine_or_skip: None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[World]:
    """A cloud, an empty machine that is reached by ssh, and a tree; nothing is
    deployed yet.
    """
    folder = tmp_path_factory.mktemp("deploy")
    stack = Stack.new(folder / "stack")
    machine = Machine(folder / "machine", (ROOT, folder))
    server = SshServer(folder / "ssh", machine)
    try:
        stack.start_cloud()
        machine.boot()
        server.start()
        yield World(stack, machine, Tree.new(folder / "tree"), server)
    finally:
        server.stop()
        machine.stop()
        stack.stop()


@pytest.fixture(scope="session")
def installed(world: World) -> World:
    """The first release runs on it, as the manual says."""
    world.settings(world.tree.folder / "build" / "settings")
    dry, first = manual("Install on an empty host")
    told = world.type(dry.replace("--config settings", "--config build/settings"))
    assert told.returncode == 0, told.stdout + told.stderr
    assert "switch to" in told.stdout
    assert not world.machine.shell.read("/opt/s4/deploy/lock")
    world.first = world.type(
        first.replace("--config settings", "--config build/settings")
    )
    assert world.first.returncode == 0, world.first.stdout + world.first.stderr
    # Where the checks of the whole of S4 look for it.
    furl = world.machine.run("cat", "/var/lib/s4/operator.furl").stdout
    world.stack.layout.daemon.mkdir(exist_ok=True)
    write_private(world.stack.layout.operator_furl, furl)
    return world


def git(folder: Path, *argv: str) -> str:
    """Run git in a folder."""
    who = ("-c", "user.name=tests", "-c", "user.email=tests@example.org")
    done = subprocess.run(
        ["git", "-C", str(folder), *who, *argv],
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()
