"""The commands of README and the operations manual, run against a running demo."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from lae_localcloud.ports import free_ports
from tests.docs.reading import ROOT, blocks

OPERATIONS = ROOT / "docs" / "operations.rst"
BIN = Path(sys.executable).parent


class Machine:
    """A machine on which an operator types; what the manual's paths mean there."""

    def __init__(self, folder: Path, demo, deployment: str = "local") -> None:
        self.folder, self.demo, self.deployment = folder, demo, deployment
        self.etc = demo.state / "config"
        for name in ("run", "log", "state", "etc"):
            (folder / name).mkdir(mode=0o700)
        # Settings of the demo, but for a folder and ports of their own: two daemons
        # cannot share a journal.
        self.daemon = self._settings("daemon", self._apart)
        self.site = self._settings("site", self._elsewhere)
        self.environment = {
            "PATH": f"{BIN}:{os.environ['PATH']}",
            "HOME": str(folder),
            "LANG": "C.UTF-8",
            # An administrator's, for `lae account`.
            "AWS_ACCESS_KEY_ID": demo.facts["access_key"],
            "AWS_SECRET_ACCESS_KEY": demo.facts["secret_key"],
            # The account owner's, for `lae stripe`.
            "STRIPE_API_KEY": (demo.state / "stripe" / "secret-key").read_text(),
        }

    @property
    def meanings(self) -> dict[str, str]:
        return {
            "/etc/s4/daemon.yaml": str(self.daemon),
            "/etc/s4/site.yaml": str(self.site),
            "/etc/s4/operator.furl": self.demo.facts["operator_furl_file"],
            "/etc/s4/": f"{self.folder / 'etc'}/",
            "/var/lib/s4": str(self.folder / "state" / "daemon"),
            "/run/s4": str(self.folder / "run"),
            "/var/log/s4": str(self.folder / "log"),
            "SIGNUP": self.demo.signup["signup_id"],
        }

    def type(self, command: str) -> str:
        """What it prints; it must succeed.  What is exported stays so."""
        for name, meaning in self.meanings.items():
            command = command.replace(name, meaning)
        exported = re.fullmatch(r"export (\w+)=(\S+)", command)
        if exported:
            self.environment[exported[1]] = exported[2]
            return ""
        done = subprocess.run(
            ["bash", "-c", command],
            check=False,
            cwd=ROOT,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
        return done.stdout

    def pid(self, name: str) -> int | None:
        path = self.folder / "run" / f"{name}.pid"
        return int(path.read_text("ascii")) if path.exists() else None

    def wait_for(self, what, holds) -> None:
        end = time.monotonic() + 40
        while not holds():
            assert time.monotonic() < end, what
            time.sleep(0.1)

    def log(self, name: str) -> str:
        path = self.folder / "log" / f"{name}.log"
        return path.read_text("utf-8") if path.exists() else ""

    def _settings(self, name, change) -> Path:
        settings = yaml.safe_load((self.etc / f"{name}.yaml").read_text("utf-8"))
        change(settings)
        # Beside the demo's own, since secrets are named relative to the file.
        path = self.etc / f"{name}-of-the-manual.yaml"
        path.write_text(yaml.safe_dump(settings), "utf-8")
        return path

    def _apart(self, settings) -> None:
        settings["deployment"] = self.deployment
        settings["state"] = str(self.folder / "state" / "daemon")
        for tub in ("private_tub", "hosts_tub"):
            (port,) = free_ports(1)
            settings[tub] = {
                "listen": f"tcp:{port}:interface=127.0.0.1",
                "location": f"localhost:{port}",
            }

    @staticmethod
    def _elsewhere(settings) -> None:
        (port,) = free_ports(1)
        settings["listen"] = f"tcp:{port}:interface=127.0.0.1"


@pytest.fixture
def machine(demo, tmp_path):
    # Of the demo's deployment a daemon would adopt the demo's customers, whom its own
    # journal does not know, and make them hosts anew.
    made = Machine(tmp_path, demo, "manual")
    yield made
    for name in ("site", "daemon"):
        pid = made.pid(name)
        if pid is not None:
            os.kill(pid, 9)


@pytest.mark.end_to_end
def test_every_command_of_the_manual(machine):
    """Checking settings, starting, looking after customers, stopping."""
    typed = []
    for block in blocks(OPERATIONS):
        for command in block.commands:
            said = machine.type(command)
            typed.append(command.split()[0])
            if command.startswith("twistd"):
                name = "daemon" if "lae-flapp" in command else "site"
                ready = "ready: " if name == "daemon" else "starting on"
                machine.wait_for(
                    f"{name} is not up:\n{machine.log(name)}",
                    lambda name=name, ready=ready: ready in machine.log(name),
                )
            elif command.startswith("kill"):
                name = re.search(r"(\w+)\.pid", command)[1]
                machine.wait_for(
                    f"{name} does not end", lambda name=name: not machine.pid(name)
                )
            elif "--json" in command:
                json.loads(said)
            elif command.startswith("lae config check"):
                assert ": good (" in said
    assert {"lae", "twistd", "kill", "export"} == set(typed)


@pytest.mark.parametrize("document", ["README.rst", "docs/development.rst"])
def test_make_has_what_is_named(document):
    """Each ``make`` of a document is one that the Makefile knows."""
    commands = [c for b in blocks(ROOT / document) for c in b.commands]
    assert commands
    for command in commands:
        assert command.startswith("make ")
        # What would be run; running it here would run this test again.
        dry = command.replace("make ", "make --dry-run ", 1)
        done = subprocess.run(
            ["bash", "-c", dry], cwd=ROOT, capture_output=True, check=False
        )
        assert done.returncode == 0, done.stderr
