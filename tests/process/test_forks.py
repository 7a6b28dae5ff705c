"""What is forked is as what is executed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.forks import Forks

#: Says what it was given, in all the ways that a program has to see it.
TELLS = """
import json, os, sys
from pathlib import Path
from twisted.internet import reactor, threads

def tell():
    shown = Path("/proc/self/cmdline").read_bytes().rstrip(b"\\0").decode().split("\\0")
    found = {
        "argv": sys.argv, "shown": shown, "env": dict(os.environ), "cwd": os.getcwd(),
        "session": os.getsid(0) == os.getpid(), "read": sys.stdin.read(),
        "path": sys.path[0], "name": __name__,
    }
    print(json.dumps(found))
    threads.deferToThread(os.getpid).addBoth(lambda _: reactor.stop())

reactor.callLater(0, tell)
reactor.run()
sys.exit(7)
"""
WAITS = "import time; print('up', flush=True); time.sleep(600)"


@pytest.fixture(scope="module")
def forks() -> Iterator[Forks]:
    """Has imported a reactor, as our programs have."""
    made = Forks(modules=["twisted.internet.reactor"])
    yield made
    made.end()


def script(folder: Path, text: str) -> Path:
    path = folder / "program.py"
    path.write_text(text)
    return path


def test_a_program_has_what_it_was_given_and_a_reactor_that_runs(
    tmp_path, forks
) -> None:
    """Arguments (to be seen from outside, too), environment, folder, input, a session
    of its own; and the exit code comes back.
    """
    path = str(script(tmp_path, TELLS))
    argv = [sys.executable, path, "--one", "two words"]
    for _ in range(2):
        done = forks.run(argv, env={"A": "b"}, cwd=tmp_path, data=b"in")
        assert (done.returncode, done.stderr) == (7, b"")
        assert json.loads(done.stdout) == {
            "argv": argv[1:],
            "shown": argv,
            "env": {"A": "b"},
            "cwd": str(tmp_path),
            "session": True,
            "read": "in",
            "path": str(tmp_path),
            "name": "__main__",
        }


def test_an_error_is_printed_as_python_prints_it(tmp_path, forks) -> None:
    """... and the exit code is 1."""
    path = script(tmp_path, "raise ValueError('why')")
    done = forks.run([sys.executable, str(path)], env={})
    assert done.returncode == 1
    assert done.stderr.endswith(b"ValueError: why\n")


def test_a_killed_program_is_seen_to_be_killed(tmp_path, forks) -> None:
    """The negative number of the signal, as subprocess has it; and more signals reach
    nobody.
    """
    path = script(tmp_path, WAITS)
    argv = [sys.executable, str(path)]
    program = forks.start(argv, env={}, stdout=subprocess.PIPE)
    assert program.stdout.readline() == "up\n"
    assert program.poll() is None
    with pytest.raises(subprocess.TimeoutExpired):
        program.wait(0)
    program.kill()
    assert program.wait(20) == -signal.SIGKILL
    program.kill()
    assert program.poll() == -signal.SIGKILL
    program.stdout.close()


def test_no_program_outlives_what_forked_it(tmp_path) -> None:
    """Whether the tests end it or kill it."""
    path = script(tmp_path, WAITS)
    for how in (Forks.end, lambda forks: os.kill(forks.pid, signal.SIGKILL)):
        forks = Forks(modules=["os"])
        argv = [sys.executable, str(path)]
        program = forks.start(argv, env={}, stdout=subprocess.PIPE)
        assert program.stdout.readline() == "up\n"
        seen = psutil.Process(program.pid)
        how(forks)
        assert program.wait(20) < 0
        psutil.wait_procs([seen], timeout=20)
        assert not seen.is_running()
        program.stdout.close()
        forks.end()
