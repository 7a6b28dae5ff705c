"""An ssh server on loopback for one test, with keys and a configuration of its own."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from attrs import define

from lae_localcloud.ports import free_ports
from tests.deploy.machine import Machine
from tests.end_to_end.process import until

SSHD = Path("/usr/sbin/sshd")

_SERVER = """\
ListenAddress 127.0.0.1:{port}
HostKey {folder}/host
AuthorizedKeysFile {folder}/user.pub
PidFile none
UsePAM no
StrictModes no
PermitRootLogin prohibit-password
PasswordAuthentication no
LogLevel ERROR
"""
_CLIENT = """\
Host the-host
  HostName 127.0.0.1
  Port {port}
  IdentityFile {folder}/user
  IdentitiesOnly yes
  UserKnownHostsFile {folder}/known
"""


def why_not() -> str | None:
    """Why there can be none; None where there can."""
    if not SSHD.exists() or shutil.which("ssh") is None:
        return "openssh-server or ssh is not installed (bootstrap.py would)"
    if os.geteuid() != 0:
        return "sshd of this kind needs root: it has a folder under /run"
    return None


@define
class SshServer:
    """*config* is what ``ssh -F`` wants; the host is called ``the-host``.

    It runs on *machine*, or on this one.
    """

    folder: Path
    machine: Machine | None = None
    _process: subprocess.Popen[bytes] | None = None
    _port: int = 0

    @property
    def config(self) -> Path:
        return self.folder / "config"

    def start(self) -> None:
        """Keys and configurations; then until it takes connections."""
        self.folder.mkdir(mode=0o700)
        for name in ("host", "user"):
            subprocess.run(
                [
                    "ssh-keygen",
                    "-q",
                    "-t",
                    "ed25519",
                    "-N",
                    "",
                    "-f",
                    self.folder / name,
                ],
                check=True,
            )
        (port,) = free_ports(1)
        self._port = port
        values = {"port": port, "folder": self.folder}
        (self.folder / "sshd_config").write_text(_SERVER.format(**values))
        self.config.write_text(_CLIENT.format(**values))
        host = (self.folder / "host.pub").read_text()
        (self.folder / "known").write_text(f"[127.0.0.1]:{port} {host}")
        self.listen()

    def listen(self) -> None:
        """Until it takes connections, at the port that it always has."""
        script = 'mkdir -p -m 755 /run/sshd; exec "$0" -D -e -f "$1"'
        config = str(self.folder / "sshd_config")
        within = () if self.machine is None else self.machine.within
        with (self.folder / "log").open("wb") as log:
            self._process = subprocess.Popen(
                [*within, "sh", "-c", script, str(SSHD), config],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        until(self._listens, "sshd listens", 20)

    def _listens(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, (self.folder / "log").read_text()
        with socket.socket() as tried:
            return tried.connect_ex(("127.0.0.1", self._port)) == 0

    def cut(self) -> None:
        """Cut every connection and take no new one, as if a cable was pulled."""
        assert self.machine is not None
        assert self._process is not None
        self.machine.run("pkill", "-9", "-f", "^sshd: ")
        self._process.wait(10)

    @contextmanager
    def mended(self) -> Iterator[None]:
        """Whatever happens inside, connections are taken again afterwards."""
        try:
            yield
        finally:
            assert self._process is not None
            if self._process.poll() is not None:
                self.listen()

    def stop(self) -> None:
        """No more connections; those that are open go on."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(10)
