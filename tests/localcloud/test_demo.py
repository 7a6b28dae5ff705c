"""The demo's supervisor, with small programs; and the state file."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lae_localcloud.demo.parent import Parent
from lae_localcloud.demo.state import (
    DemoSignup,
    DemoState,
    Endpoints,
    Timeline,
)
from lae_localcloud.state_folder import (
    StateFolderUsed,
    prepare_state_folder,
)

SCRIPT = Path(__file__).with_name("demo_of_dummies.py")


def wait_for(what: Callable[[], Any], seconds: float = 10.0) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.02)
    return found


def exists(pid: int) -> bool:
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False
    return status.rpartition(")")[2].split()[0] != "Z"


class Dummies:
    """A launcher of dummies, with SIGINT ignored as in a background job."""

    def __init__(
        self, folder: Path, *named: str, make: bool = False, background: bool = True
    ) -> None:
        self.folder = folder
        argv = [sys.executable, str(SCRIPT), str(folder), *named]
        if make:
            (folder / "Makefile").write_text(f"demo:\n\t@exec {shlex.join(argv)}\n")
            argv = ["make", "-C", str(folder), "demo"]
        ignore = ("trap '' INT; " if background else "") + "exec " + shlex.join(argv)
        self.process = subprocess.Popen(
            ["sh", "-c", ignore],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def ready(self) -> None:
        assert self.process.stdout is not None
        assert any("all ready" in line for line in self.process.stdout)

    def pids(self) -> list[int]:
        lines = (self.folder / "pids").read_text().splitlines()
        return [int(line.split()[1]) for line in lines]

    def ended(self) -> str:
        """What it said when it ended; it has ten seconds."""
        _, text = self.process.communicate(timeout=10)
        assert not [p for p in self.pids() if exists(p)]
        return text


@pytest.fixture
def started(tmp_path: Path) -> Iterator[Callable[..., Dummies]]:
    made: list[Dummies] = []

    def start(*named: str, **options: Any) -> Dummies:
        made.append(Dummies(tmp_path, *named, **options))
        return made[-1]

    yield start
    for dummies in made:
        if dummies.process.poll() is None:
            dummies.process.kill()
            dummies.process.wait()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_every_process(started: Any, number: int) -> None:
    """Each signal ends all, grandchildren as well."""
    dummies = started("a=good", "b=parent")
    dummies.ready()
    assert len(dummies.pids()) == 3
    dummies.process.send_signal(number)
    dummies.ended()
    assert dummies.process.returncode == 0


def test_the_stubborn_are_killed(started: Any) -> None:
    """A program that ignores SIGTERM is gone within ten seconds all the same."""
    dummies = started("a=good", "b=stubborn")
    dummies.ready()
    dummies.process.terminate()
    dummies.ended()


def test_a_killed_launcher_leaves_nothing(started: Any) -> None:
    """Kill -9 of the launcher ends its programs: the kernel tells them."""
    dummies = started("a=good", "b=good")
    dummies.ready()
    dummies.process.kill()
    wait_for(lambda: not [p for p in dummies.pids() if exists(p)])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_to_make_alone_ends_all(started: Any, number: int) -> None:
    """Make, told alone to end, takes the demo with it, whatever the signal."""
    dummies = started("a=good", make=True, background=False)
    dummies.ready()
    os.kill(dummies.process.pid, number)
    dummies.ended()


def test_a_program_that_dies_is_named(started: Any) -> None:
    """The dead program's name and last words are said, and the demo ends with 1."""
    dummies = started("a=good", "b=mortal")
    dummies.ready()
    (dummies.folder / "b.die").touch()
    text = dummies.ended()
    assert "b ended with exit code 1" in text
    assert "the last words of b" in text
    assert dummies.process.returncode == 1


def test_a_program_that_never_gets_ready_is_named(started: Any) -> None:
    """What fails at its start ends the demo, and what was to come after never runs."""
    dummies = started("a=good", "b=broken", "c=good")
    text = dummies.ended()
    assert "no such thing as b" in text
    assert "c" not in (dummies.folder / "pids").read_text()
    assert dummies.process.returncode == 1


def test_a_service_is_started_again(started: Any) -> None:
    """A program that may be restarted is, and everything else goes on."""
    dummies = started("a=good", "b=fragile")
    dummies.ready()
    (dummies.folder / "b.die").touch()
    wait_for(lambda: len(dummies.pids()) == 3)
    dummies.process.terminate()
    assert "b is started again" in dummies.ended()


STATUS = "Name:\tmake\nState:\tS (sleeping)\nSigCgt:\t{:016x}\n"


def test_a_make_that_stops_catching_is_ending(tmp_path: Path) -> None:
    """Make's own handler is off once it has been told; another parent says nothing."""
    status = tmp_path / "7" / "status"
    status.parent.mkdir()
    status.write_text(STATUS.format(0x4003))
    parent = Parent(tmp_path, 7)
    assert not parent.wants_us_to_end()
    status.write_text(STATUS.format(0x4002))
    assert parent.wants_us_to_end()
    status.unlink()
    assert parent.wants_us_to_end()
    assert not Parent(tmp_path, 7).wants_us_to_end()


ENDPOINTS = Endpoints(
    site_url="http://localhost:1",
    aws_endpoint="http://127.0.0.1:2",
    s3_endpoint="http://127.0.0.1:3",
    stripe_endpoint="http://127.0.0.1:4",
    maildir="/m",
    access_key="AKIA",
    secret_key="s3cr3t",
    region="eu-west-1",
    operator_furl_file="/o",
    state_dir="/s",
)


def test_the_state_file_is_private_and_whole(tmp_path: Path) -> None:
    """The file has every endpoint, and a signup whole, once; only we can read it."""
    state = DemoState(tmp_path / "demo.json", ENDPOINTS)
    state.write(control_url="http://127.0.0.1:5")
    signup = DemoSignup(
        "su1", "pb://x@localhost:1/y", "local-g1", "i-1", Timeline(1, 2, 3, 4, 5, 6)
    )
    state.add(signup)
    state.add(signup)
    read = json.loads((tmp_path / "demo.json").read_text())
    assert read["site_url"] == "http://localhost:1"
    assert read["control_url"] == "http://127.0.0.1:5"
    assert [s["timeline"]["mail_accepted"] for s in read["signups"]] == [6]
    assert (tmp_path / "demo.json").stat().st_mode & 0o777 == 0o600
    assert [p.name for p in tmp_path.iterdir()] == ["demo.json"]
    assert "s3cr3t" not in repr(ENDPOINTS)
    assert "pb://" not in repr(signup)


def test_a_used_state_folder_is_refused_or_cleaned(tmp_path: Path) -> None:
    """An earlier run's folder is emptied only when asked, a stranger's never."""
    ours = prepare_state_folder(tmp_path / "ours", clean=False)
    (ours / "left").touch()
    with pytest.raises(StateFolderUsed, match="earlier run"):
        prepare_state_folder(ours, clean=False)
    prepare_state_folder(ours, clean=True)
    assert not (ours / "left").exists()
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    (theirs / "thesis.txt").touch()
    with pytest.raises(StateFolderUsed, match="not empty"):
        prepare_state_folder(theirs, clean=True)
    assert (theirs / "thesis.txt").exists()
