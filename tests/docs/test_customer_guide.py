"""The customer guide's own commands, run with the unmodified tahoe of PyPI."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import time
import urllib.request
from pathlib import Path

import pytest

from lae_localcloud.ports import free_ports
from tests.docs.reading import ROOT, Block, blocks

GUIDE = ROOT / "docs" / "customer-guide.rst"

#: Sections that are read on another computer than the first.
LOST, SECOND = "If you lose the laptop", "A second device"

#: What the guide's commands have that a test must do otherwise.
INSTALL = "pipx install tahoe-lafs"
OWN_PORT = "tahoe create-client "


class Computer:
    """One of the customer's computers: a home of its own, and a client that runs."""

    def __init__(self, home: Path, client_bin: Path) -> None:
        self.home, self.client_bin = home, client_bin
        self.running: subprocess.Popen | None = None
        (self.port,) = free_ports(1)
        home.mkdir()

    @property
    def environment(self) -> dict[str, str]:
        path = f"{self.client_bin}:{os.environ['PATH']}"
        return {"HOME": str(self.home), "PATH": path, "LANG": "C.UTF-8"}

    def type(self, command: str) -> str:
        """What the command prints; it must succeed."""
        done = subprocess.run(
            ["bash", "-c", command],
            check=False,
            cwd=self.home,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
        return done.stdout

    def leave_running(self, command: str) -> None:
        """As in a window of its own; until it is connected to the grid."""
        log = self.home.with_suffix(".log")
        with log.open("wb") as out:
            self.running = subprocess.Popen(
                ["bash", "-c", f"exec {command}"],
                cwd=self.home,
                env=self.environment,
                stdin=subprocess.PIPE,
                stdout=out,
                stderr=out,
            )
        end = time.monotonic() + 60
        while time.monotonic() < end:
            assert self.running.poll() is None, f"{command} ended"
            seen = self._welcome()
            if '"connection_status": "connected' in seen.lower():
                return
            time.sleep(0.2)
        raise AssertionError(f"not connected in a minute: {seen}\n{log.read_text()}")

    def _welcome(self) -> str:
        url = f"http://127.0.0.1:{self.port}/?t=json"
        try:
            with urllib.request.urlopen(url, timeout=5) as page:
                text: str = page.read().decode("utf-8")
        except OSError as e:
            return str(e)
        return text

    def lose(self) -> None:
        """It is gone, with all that was on it."""
        self.off()
        shutil.rmtree(self.home)

    def off(self) -> None:
        running, self.running = self.running, None
        if running is not None:
            running.send_signal(signal.SIGKILL)
            running.wait()
            running.stdin.close()


class Reader:
    """Follows the guide from its first command to its last."""

    def __init__(self, folder: Path, client_bin: Path, furl: str) -> None:
        self.folder, self.client_bin = folder, client_bin
        self.placeholders = {"FURL": furl}
        self.told: list[tuple[str, str, str]] = []
        self.computers = [self.new_computer()]

    @property
    def computer(self) -> Computer:
        return self.computers[-1]

    def new_computer(self) -> Computer:
        names = {path.name for path in self.folder.iterdir()}
        return Computer(self.folder / f"home-{len(names)}", self.client_bin)

    def read(self, block: Block) -> None:
        for command in block.commands:
            self.obey(block.section, command)

    def obey(self, section: str, command: str) -> None:
        typed = command
        for placeholder, meant in self.placeholders.items():
            typed = typed.replace(placeholder, meant)
        # The guide's port, 3456, may be taken on a test's machine.
        own = f"{OWN_PORT}--webport=tcp:{self.computer.port}:interface=127.0.0.1 "
        typed = typed.replace(OWN_PORT, own)
        if command == INSTALL:
            typed = "tahoe --version"
        if command.startswith("tahoe run "):
            self.computer.leave_running(typed)
            return
        said = self.computer.type(typed)
        self.told.append((section, command, said))
        if command.endswith("list-aliases"):
            (self.placeholders["ROOTCAP"],) = re.findall(r"URI:DIR2:\S+", said)

    def heard(self, section: str, ending: str) -> str:
        (said,) = [
            s for sec, c, s in self.told if sec == section and c.endswith(ending)
        ]
        return said


@pytest.fixture
def reader(demo, client_bin, tmp_path):
    reading = Reader(tmp_path, client_bin, demo.signup["introducer_furl"])
    yield reading
    for computer in reading.computers:
        computer.off()


@pytest.mark.end_to_end
def test_every_command_of_the_guide(reader):
    """Joining, storing, backing up, losing the laptop, and a second device."""
    home = reader.computer.home
    (home / "Documents" / "old").mkdir(parents=True)
    paper = os.urandom(100_000)
    (home / "Documents" / "old" / "paper.bin").write_bytes(paper)
    (home / "letter.txt").write_text("dear reader", "utf-8")
    section = ""
    for block in blocks(GUIDE):
        if block.section != section:
            section = block.section
            if section == LOST:
                assert (home / "letter-again.txt").read_text("utf-8") == "dear reader"
                reader.computer.lose()
            if section in {LOST, SECOND}:
                reader.computers.append(reader.new_computer())
        reader.read(block)

    assert "Latest" in reader.heard(LOST, "ls home:")
    first, second = reader.computers[1:]
    back = first.home / "restored" / "Latest" / "old" / "paper.bin"
    assert back.read_bytes() == paper
    assert (second.home / "letter.txt").read_text("utf-8") == "dear reader"


def test_the_guide_has_no_command_that_is_not_run():
    """Every code block of the guide is one of shell commands."""
    directives = re.findall(r"code-block:: (\S+)", GUIDE.read_text("utf-8"))
    assert set(directives) == {"shell"}
    assert len(directives) == len(list(blocks(GUIDE)))
