"""A customer's laptop: an unmodified tahoe of PyPI, in its own environment."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
import urllib.request
from pathlib import Path
from typing import Any

from attrs import define, field

from lae_localcloud.customer.mailbox import ReadyMail
from lae_localcloud.ports import free_ports

_LOOK_AGAIN = 0.05


class LaptopTrouble(Exception):
    """tahoe failed; the text has its words."""


@define
class Laptop:
    """A client node in *folder*, run by *tahoe* (the path of the program).

    *prefix* goes before each command: words that run it elsewhere, such as in the
    network of a customer.
    """

    folder: Path
    tahoe: Path
    prefix: tuple[str, ...] = ()
    _running: subprocess.Popen[bytes] | None = None
    _port: int = field(factory=lambda: free_ports(1)[0])

    def join(self, mail: ReadyMail) -> None:
        """Run the mail's own command that makes a client, for a folder and a port of
        this laptop.
        """
        _, *arguments = mail.create_client
        any_port = arguments.index("--webport") + 1
        arguments[any_port] = f"tcp:{self._port}:interface=127.0.0.1"
        self._tahoe(*arguments[:-1], str(self.folder))

    def start(self, seconds: float = 60.0) -> None:
        """Run the client until it is connected to its storage server."""
        self.folder.joinpath("run.log").touch()
        with self.folder.joinpath("run.log").open("ab") as log:
            self._running = subprocess.Popen(  # noqa: S603  (our own tahoe)
                [
                    *self.prefix,
                    self.tahoe,
                    "--node-directory",
                    self.folder,
                    "run",
                    "--allow-stdin-close",
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self._environment(),
                start_new_session=True,
            )
        self.wait_for_server(seconds)

    def wait_for_server(self, seconds: float, since: float = 0.0) -> None:
        """Look at the client's welcome page until a storage server is connected, and
        was heard of after *since* (seconds of the epoch).

        The client asks for versions each second: of one that was away for a moment it
        may learn so after it is back.
        """
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if self._running is not None and self._running.poll() is not None:
                raise LaptopTrouble(f"tahoe ended:\n{self._log()}")
            if any(
                server["connection_status"].lower().startswith("connected")
                and (server["last_received_data"] or 0.0) >= since
                for server in self._welcome().get("servers", ())
            ):
                return
            time.sleep(_LOOK_AGAIN)
        raise LaptopTrouble(f"no storage server within {seconds:g} s:\n{self._log()}")

    @property
    def url(self) -> str:
        """The client's own web server, for programs on this laptop."""
        return f"http://127.0.0.1:{self._port}"

    def put(self, source: Path, target: str = "") -> str:
        """Upload one file, to a name or (without one) for its cap alone; the cap."""
        return self._tahoe("put", str(source), *([target] if target else [])).strip()

    def get(self, source: str, target: Path) -> None:
        """Download one file."""
        self._tahoe("get", source, str(target))

    def copy(self, source: str, target: str) -> None:
        """Copy a directory, up or down."""
        self._tahoe("cp", "--recursive", source, target)

    def create_alias(self, name: str) -> str:
        """Make a directory with a name; its rootcap, which the customer keeps."""
        self._tahoe("create-alias", name)
        aliases = (self.folder / "private" / "aliases").read_text("utf-8")
        (cap,) = [
            line.split(": ", 1)[1]
            for line in aliases.splitlines()
            if line.startswith(f"{name}: ")
        ]
        return cap

    def add_alias(self, name: str, cap: str) -> None:
        """Use a rootcap that was kept."""
        self._tahoe("add-alias", name, cap)

    def stop(self) -> None:
        """End the client."""
        running, self._running = self._running, None
        if running is not None and running.poll() is None:
            os.killpg(running.pid, signal.SIGKILL)
            running.wait()

    def lose(self) -> None:
        """The laptop is gone, with all that was on it."""
        self.stop()
        shutil.rmtree(self.folder)

    def _welcome(self) -> dict[str, Any]:
        url = f"http://127.0.0.1:{self._port}/?t=json"
        try:
            if self.prefix:
                # Its loopback is not ours.
                page = self._curl(url)
            else:
                with urllib.request.urlopen(url, timeout=5) as opened:
                    page = opened.read()
            told: dict[str, Any] = json.loads(page)
        except (OSError, ValueError):
            return {}
        return told

    def _curl(self, url: str) -> bytes:
        return subprocess.run(  # noqa: S603  (our own words)
            [*self.prefix, "curl", "-s", "-m", "5", url],
            stdout=subprocess.PIPE,
            check=False,
        ).stdout

    def _tahoe(self, *arguments: str) -> str:
        done = subprocess.run(  # noqa: S603
            [*self.prefix, self.tahoe, "--node-directory", self.folder, *arguments]
            if arguments[0] != "create-client"
            else [*self.prefix, self.tahoe, *arguments],
            capture_output=True,
            text=True,
            env=self._environment(),
            timeout=300,
            check=False,
        )
        if done.returncode:
            raise LaptopTrouble(
                f"tahoe {arguments[0]} exited with {done.returncode}:\n"
                f"{done.stdout}{done.stderr}{self._log()}"
            )
        return done.stdout

    def _log(self) -> str:
        path = self.folder / "run.log"
        return path.read_text("utf-8", "replace")[-2000:] if path.exists() else ""

    @staticmethod
    def _environment() -> dict[str, str]:
        """Nothing of ours: no PYTHONPATH, no virtual environment of S4."""
        kept = ("HOME", "LANG", "LC_ALL", "PATH", "TMPDIR")
        return {name: os.environ[name] for name in kept if name in os.environ}
