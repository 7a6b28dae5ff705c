"""A deployment is killed with -9 at each of its crash points, and called again."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from lae_protocol.process.crash import VARIABLE
from lae_provision.deploy.engine import AFTER, BEFORE, ORDERED
from lae_provision.deploy.plan import Remove
from tests.deploy.kept_twin import main, state
from tests.deploy.twin import NEW, OLD

#: Nothing is removed on the way forward when little is installed.
POINTS = [
    ORDERED,
    *(BEFORE[kind] for kind in BEFORE if kind is not Remove),
    *(AFTER[kind] for kind in AFTER if kind is not Remove),
]


def run(folder: Path, *more: str, crash_at: str = "") -> int:
    """One call, in a process of its own; how it ended."""
    pid = os.fork()
    if pid == 0:
        # Nothing of the tests' may run in the child.
        code = 1
        try:
            os.environ[VARIABLE] = crash_at
            main(folder, *more)
            code = 0
        finally:
            os._exit(code)
    _, status = os.waitpid(pid, 0)
    code = os.waitstatus_to_exitcode(status)
    assert code in {0, -signal.SIGKILL}
    return code


@pytest.mark.parametrize("point", POINTS)
def test_killed_there_the_next_call_ends_it(point: str, tmp_path: Path) -> None:
    """Whatever is running after the kill is one whole release, and the next call ends
    with one everywhere and nothing unfinished.
    """
    assert run(tmp_path, crash_at=point) == -signal.SIGKILL
    seen, _, _ = state(tmp_path)
    assert seen.daemon in seen.installed
    assert set(dict(seen.sites).values()) <= set(seen.installed)
    if seen.current == OLD:
        assert {seen.daemon, *dict(seen.sites).values()} == {OLD}
    assert run(tmp_path) == 0
    seen, noted, history = state(tmp_path)
    assert noted is None
    assert {seen.current, seen.daemon, *dict(seen.sites).values()} in ({OLD}, {NEW})
    assert len(history) == 1 or history == ["given-up", "done"]
    assert seen.partial == ()


@pytest.mark.parametrize(
    "point", ["deploy.switch.after", "deploy.restart-daemon.before"]
)
def test_killed_on_the_way_back_the_next_call_ends_there(
    point: str, tmp_path: Path
) -> None:
    """A release that is bad, killed and called again ends with the old one."""
    assert run(tmp_path, "bad", crash_at=point) == -signal.SIGKILL
    assert run(tmp_path, "bad") == 0
    seen, noted, history = state(tmp_path)
    assert {seen.current, seen.daemon, *dict(seen.sites).values()} == {OLD}
    assert noted is None
    assert history == ["rolled-back"]
