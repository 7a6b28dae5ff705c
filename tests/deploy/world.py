"""A host to deploy to, with a whole cloud around it, and a tree to release from."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import requests
import yaml
from attrs import define, field

from lae_localcloud.demo.configuration import _example
from lae_localcloud.ports import free_range
from lae_localcloud.state_folder import write_private
from lae_protocol.process.crash import VARIABLE
from lae_provision.deploy import tested
from tests.deploy.machine import ROOT, Machine
from tests.deploy.ssh import SshServer
from tests.docs.reading import blocks
from tests.end_to_end.process import until
from tests.end_to_end.stack import Stack

BIN = Path(sys.executable).parent
_SECONDS = 400


@define
class Tree:
    """A clone of this checkout as it is now, changes included; each test commits."""

    folder: Path

    @classmethod
    def new(cls, folder: Path) -> Tree:
        """One commit, on which the tests are said to have passed."""
        folder.mkdir()
        listed = subprocess.run(
            ["git", "ls-files", "-co", "--exclude-standard", "-z"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        )
        for name in listed.stdout.split("\0"):
            if name and (ROOT / name).is_file() and not name.startswith("tests/"):
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(ROOT / name, folder / name)
        tree = cls(folder)
        tree.git("init", "-q", "-b", "main")
        # Wheels of dependencies are kept for the next run, as for the next release.
        (ROOT / "build" / "wheelhouse").mkdir(parents=True, exist_ok=True)
        (folder / "build").mkdir()
        (folder / "build" / "wheelhouse").symlink_to(ROOT / "build" / "wheelhouse")
        tree.commit("the first")
        return tree

    def git(self, *argv: str) -> str:
        """Run git there."""
        who = ("-c", "user.name=tests", "-c", "user.email=tests@example.org")
        done = subprocess.run(
            ["git", "-C", str(self.folder), *who, *argv],
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout.strip()

    def commit(self, message: str) -> str:
        """Commit all, and stamp it as ``make test`` does; the commit."""
        self.git("add", "-A")
        self.git("commit", "-q", "--allow-empty", "-m", message)
        tested.begin(self.folder)
        assert tested.passed(self.folder)
        return self.git("rev-parse", "HEAD")

    def write(self, name: str, text: str) -> None:
        """Replace or make a file."""
        (self.folder / name).write_text(text, "utf-8")

    def change(self, name: str, old: str, new: str) -> None:
        """Change a file in one place."""
        text = (self.folder / name).read_text("utf-8")
        assert text.count(old) == 1, (name, old)
        self.write(name, text.replace(old, new))


_OPERATOR = {
    "PATH": f"{BIN}:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME": "/root",
    "LANG": "C.UTF-8",
    "USER": "operator",
    "LOGNAME": "operator",
}


def _mark() -> dict[str, str]:
    """By which the tests know at their end what they started."""
    return {k: v for k, v in os.environ.items() if k.startswith("S4_TEST")}


def manual(section: str) -> list[str]:
    """The commands of a section of the operations manual."""
    return [
        command.removeprefix("$ ")
        for block in blocks(ROOT / "docs" / "operations.rst", "console")
        if block.section == section
        for command in block.commands
    ]


@define
class World:
    """All of it."""

    stack: Stack
    machine: Machine
    tree: Tree
    ssh: SshServer
    #: What the first installation said.
    first: Any = None
    #: Where the site's two copies have their metrics.
    site_metrics: tuple[int, int] = field(factory=lambda: free_range(2))

    @property
    def site_url(self) -> str:
        return self.stack.layout.site_url

    def lae(self, *argv: str, crash_at: str = "") -> Any:
        """``lae deploy ...`` on the machine itself; the finished process."""
        env = {**_OPERATOR, **_mark(), **({VARIABLE: crash_at} if crash_at else {})}
        return self.machine.run(
            *(str(BIN / "lae"), "deploy", *argv),
            check=False,
            env=env,
            timeout=_SECONDS,
            stdin=subprocess.DEVNULL,
        )

    def type(self, command: str) -> Any:
        """A command of the manual, typed in the tree of an operator far away."""
        config = f"the-host --ssh-config {self.ssh.config}"
        command = command.replace("s4.example.org", config)
        if " first " in command:
            # Where the cloud around it expects the site.
            command += f" --listen 127.0.0.1:{self.stack.layout.site_port}"
        return subprocess.run(
            ["bash", "-c", command],
            check=False,
            cwd=self.tree.folder,
            env={**_OPERATOR, **_mark()},
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            stdin=subprocess.DEVNULL,
        )

    def release(self, *argv: str, crash_at: str = "") -> Any:
        """``lae deploy release`` of the tree."""
        return self.lae(
            "release", "--source", str(self.tree.folder), *argv, crash_at=crash_at
        )

    def settings(self, folder: Path) -> Path:
        """The folder that an operator has: settings, and all that they name."""
        layout = self.stack.layout
        shutil.copytree(layout.config, folder)
        daemon = yaml.safe_load((folder / "daemon.yaml").read_text("utf-8"))
        shutil.copy(daemon["mail"]["trust_root"], folder / "ca.pem")
        (folder / "ca.pem").chmod(0o644)
        daemon |= {"state": "/var/lib/s4", "plans_file": "plans.yaml"}
        daemon["mail"]["trust_root"] = "ca.pem"
        write_private(folder / "daemon.yaml", yaml.safe_dump(daemon))
        secret = (layout.stripe / "webhook-secret-0").read_text().strip()
        (folder / "secrets" / "webhook-secrets").mkdir(exist_ok=True)
        webhook = folder / "secrets" / "webhook-secrets" / "0001.key"
        write_private(webhook, secret + "\n")
        site = _example("site") | {
            "site_url": layout.site_url,
            "listen": "systemd:domain=INET:index=0",
            "metrics_listen": f"tcp:{self.site_metrics[0]}:interface=127.0.0.1",
            "checkout_origins": [layout.stripe_endpoint()],
        }
        write_private(folder / "site.yaml", yaml.safe_dump(site))
        (folder / "plans.yaml").chmod(0o644)
        for name in ("daemon-impatient.yaml",):
            (folder / name).unlink(missing_ok=True)
        return folder

    def health(self) -> dict[str, Any]:
        """What the site says of itself."""
        told: dict[str, Any] = requests.get(
            f"{self.site_url}/health", timeout=15
        ).json()
        return told

    def until_open(self) -> None:
        """Wait until the site takes signups: a copy asks its daemon now and then."""
        until(lambda: self.health()["signups_open"], "signups are open")
