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

from lae_protocol.joining import (
    LOST_GRIDSYNC,
    SECOND_GRIDSYNC,
    gridsync_steps,
    tahoe_steps,
)
from tests.docs.reading import ROOT, Block, blocks

GUIDE = ROOT / "docs" / "customer-guide.rst"

#: Sections that are read on another computer than the first.
LOST, SECOND = "If you lose the laptop", "A second device"

#: What a test must do otherwise: it uses the tahoe that is installed already.
INSTALL = "~/s4/bin/pip install tahoe-lafs"
VENV = "python3 -m venv ~/s4"
#: A client of another grid, with settings of its own.
OTHER_GRID = "tahoe create-client --shares-happy 2 --shares-needed 2 --shares-total 4"
#: What the guide calls the file for Gridsync.
GRID_FILE = (
    "the file that is attached to our mail (S4-….json), or the one that your status page"
    " offers (s4-grid.json): both have the same content"
)
MOST_TO_FIRST_FILE = 3  # commands


class Computer:
    """One of the customer's computers: a home of its own, and a client that runs."""

    def __init__(self, home: Path, client_bin: Path) -> None:
        self.home, self.client_bin = home, client_bin
        self.running: subprocess.Popen | None = None
        home.mkdir()

    @property
    def environment(self) -> dict[str, str]:
        path = f"{self.client_bin}:{os.environ['PATH']}"
        return {"HOME": str(self.home), "PATH": path, "LANG": "C.UTF-8"}

    def install(self) -> None:
        """As the installation leaves it: the program in the recipe's folder."""
        (self.home / "s4" / "bin").mkdir(parents=True, exist_ok=True)
        (self.home / "s4" / "bin" / "tahoe").symlink_to(self.client_bin / "tahoe")

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
        try:
            url = (self.home / "s4" / "client" / "node.url").read_text("utf-8").strip()
            with urllib.request.urlopen(f"{url}?t=json", timeout=5) as page:
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
        if INSTALL in command:
            self.computer.install()
            typed = typed.replace(INSTALL, "true").replace(VENV, "true")
        if " run ~/s4" in command:
            self.computer.leave_running(typed)
            return
        said = self.computer.type(typed)
        self.told.append((section, command, said))
        if "list-aliases" in command:
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
    """Joining, storing, backing up, losing the laptop, and a second device: each command
    does what the guide says, and a client of another grid keeps its settings.
    """
    home = reader.computer.home
    (home / "Documents" / "old").mkdir(parents=True)
    paper = os.urandom(100_000)
    (home / "Documents" / "old" / "paper.bin").write_bytes(paper)
    (home / "letter.txt").write_text("dear reader", "utf-8")
    reader.computer.type(OTHER_GRID)
    other_grid = (home / ".tahoe" / "tahoe.cfg").read_bytes()
    section = ""
    for block in blocks(GUIDE):
        if block.section != section:
            section = block.section
            if section == LOST:
                assert (home / "letter-again.txt").read_text("utf-8") == "dear reader"
                kept = home / "s4-rootcap.txt"
                assert reader.placeholders["ROOTCAP"] in kept.read_text("utf-8")
                assert kept.stat().st_mode & 0o077 == 0
                assert (home / ".tahoe" / "tahoe.cfg").read_bytes() == other_grid
                reader.computer.lose()
            if section in {LOST, SECOND}:
                reader.computers.append(reader.new_computer())
        reader.read(block)

    assert "Latest" in reader.heard(LOST, "ls home:")
    first, second = reader.computers[1:]
    back = first.home / "restored" / "Latest" / "old" / "paper.bin"
    assert back.read_bytes() == paper
    assert (second.home / "letter.txt").read_text("utf-8") == "dear reader"


def test_the_guide_has_the_recipe_of_mail_and_page():
    """The guide's commands and words for joining are those of the mail and the page, and
    the third command has stored the first file.
    """
    commands = [c for b in blocks(GUIDE) for c in b.commands]
    recipe = tahoe_steps("FURL")
    assert commands[: len(recipe)] == [step.command for step in recipe]
    assert " put " in recipe[MOST_TO_FIRST_FILE - 1].command
    text = _spoken(GUIDE.read_text("utf-8"))
    for step in recipe:
        assert _spoken(step.words) in text
    for words in (*gridsync_steps(GRID_FILE), SECOND_GRIDSYNC, LOST_GRIDSYNC):
        assert _spoken(words) in text


def _spoken(text: str) -> str:
    """The words alone, without line breaks and markup."""
    return " ".join(text.replace("``", "").split())


def test_the_guide_has_no_command_that_is_not_run():
    """Every code block of the guide is one of shell commands."""
    directives = re.findall(r"code-block:: (\S+)", GUIDE.read_text("utf-8"))
    assert set(directives) == {"shell"}
    assert len(directives) == len(list(blocks(GUIDE)))
