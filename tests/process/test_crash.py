"""A crash point kills as ``kill -9`` does, where it is asked to and nowhere else."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from lae_protocol.process.crash import (
    VARIABLE,
    crash_point,
    declare,
    declared,
    on_crash_point,
)

PROGRAM = """
import atexit, sys
from lae_protocol.process.crash import crash_point, declare
one, two = declare("test.one", "nothing"), declare("test.two", "one")
atexit.register(lambda: sys.stdout.write("clean-up "))
try:
    for point in (one, two):
        sys.stdout.write(point + " "); sys.stdout.flush()
        crash_point(point)
finally:
    sys.stdout.write("finally "); sys.stdout.flush()
"""


def run(at: str | None) -> tuple[int, list[str]]:
    environment = dict(os.environ)
    environment.pop(VARIABLE, None)
    if at is not None:
        environment[VARIABLE] = at
    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return ended.returncode, ended.stdout.split()


@pytest.mark.parametrize(
    ("at", "seen"), [("test.one", ["test.one"]), ("test.two", ["test.one", "test.two"])]
)
def test_killed(at, seen) -> None:
    """The process dies at the point, by SIGKILL, without any clean-up."""
    assert run(at) == (-signal.SIGKILL, seen)


@pytest.mark.parametrize("at", [None, "", "test", "test.three"])
def test_not_killed(at) -> None:
    """Without the variable, or with another name in it, nothing happens."""
    assert run(at) == (0, ["test.one", "test.two", "finally", "clean-up"])


def test_declared() -> None:
    """Points are listed with their sentence, and none has two meanings."""
    name = declare("test.declared", "a sentence")
    assert declare("test.declared", "a sentence") == name
    assert declared()[name] == "a sentence"
    with pytest.raises(ValueError, match="twice"):
        declare("test.declared", "another sentence")
    with pytest.raises(AssertionError):
        crash_point("test.never-declared")


def test_struck_in_place() -> None:
    """A test in one process is told of each point instead."""
    name = declare("test.struck", "a sentence")
    struck: list[str] = []
    on_crash_point(struck.append)
    try:
        crash_point(name)
    finally:
        on_crash_point(None)
    crash_point(name)
    assert struck == [name]
