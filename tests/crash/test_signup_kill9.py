"""The same with a real process and a real SIGKILL: nothing of Python cleans up."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import pytest

from lae_protocol.process.crash import VARIABLE
from tests import forks
from tests.crash.scenarios import story_of

ROOT = Path(__file__).parents[2]
POINTS = (
    "signup.paid.after",
    "signup.identity.after-make",
    "signup.host.before-make",
    "signup.host.after-make",
    "signup.ready.before",
    "signup.second-session.after-refund",
    "signup.goodwill.after-refund",
    "signup.unserved.after-refund",
    "signup.host.after-unmake",
)


def run(folder, story, crash_at=None):
    environment = {} if crash_at is None else {VARIABLE: crash_at}
    done = forks.ours().run(
        [sys.executable, "-m", "tests.crash.routine_process", folder, story],
        env=os.environ | environment,
        cwd=ROOT,
        timeout=120,
    )
    return done.returncode, done.stderr.decode()


@pytest.mark.parametrize("point", POINTS)
def test_killed_with_9_at(tmp_path, point):
    """A process that was killed there is followed by one that ends the story well."""
    story = story_of(point)
    code, errors = run(tmp_path, story, crash_at=point)
    assert code == -signal.SIGKILL, errors
    code, errors = run(tmp_path, story)
    assert code == 0, errors
