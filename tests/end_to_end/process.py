"""One process of S4 under a test's hand: started, killed, stopped, continued."""

from __future__ import annotations

import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from lae_localcloud import leash
from lae_localcloud.demo.program import FileAppears, Program
from lae_localcloud.models.wrong import VARIABLE
from tests import forks

#: Nobody waits for ever; the machine may be shared with many.
PATIENCE = 90.0
_KEPT = ("PATH", "HOME", "LANG", "TMPDIR", "SSL_CERT_FILE", VARIABLE)


def until(
    holds: Callable[[], Any],
    what: str,
    seconds: float = PATIENCE,
    pause: float = 0.05,
) -> Any:
    """Look until it holds; what it answered then."""
    end = time.monotonic() + seconds
    while not (found := holds()):
        assert time.monotonic() < end, f"{what}: not within {seconds:g} s"
        time.sleep(pause)
    return found


def _execute(
    argv: Sequence[str], *, env: Mapping[str, str], stdout: IO[Any], stderr: IO[Any]
) -> subprocess.Popen[bytes]:
    """As systemd would."""
    signum, parent = str(int(signal.SIGTERM)), str(os.getpid())
    return subprocess.Popen(
        [sys.executable, "-I", "-S", leash.__file__, signum, parent, "--", *argv],
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=stderr,
        env=env,
    )


class Process:
    """A program on a leash: it ends with us, and its group can be ended whole.

    *forked*: started without the imports that take long (tests/forks.py).
    """

    def __init__(
        self,
        name: str,
        program: Program,
        log: Path,
        env: Mapping[str, str],
        *,
        forked: bool,
    ) -> None:
        self.name, self.log, self._program = name, log, program
        self._notified = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        address = f"s4-test-{secrets.token_hex(8)}"
        self._notified.bind("\0" + address)
        kept = {key: os.environ[key] for key in _KEPT if key in os.environ}
        given = {**kept, **program.env, **env, "NOTIFY_SOCKET": "@" + address}
        start = forks.ours().start if forked else _execute
        self.started = time.monotonic()
        with log.open("ab") as out:
            self._popen = start(program.argv, env=given, stdout=out, stderr=out)

    @property
    def pid(self) -> int:
        return self._popen.pid

    @property
    def code(self) -> int | None:
        """What it ended with (-9: by SIGKILL); None while it runs."""
        return self._popen.poll()

    def ready(self, seconds: float = PATIENCE) -> Process:
        """Wait until it says so; a program that ends before that fails the test."""
        assert self.ready_or_ended(seconds), self.words()
        return self

    def ready_or_ended(self, seconds: float = PATIENCE) -> bool:
        """Whether it became ready; False when it ended first."""
        until(lambda: self._says_ready() or self.code is not None, self.name, seconds)
        return self.code is None

    def _says_ready(self) -> bool:
        if isinstance(self._program.ready, FileAppears):
            return self._program.ready.path.exists()
        self._notified.settimeout(0.2)
        try:
            return b"READY=1" in self._notified.recv(4096).split(b"\n")
        except TimeoutError:
            return False

    def send(self, number: int) -> None:
        """A signal, to this process alone."""
        self._popen.send_signal(number)

    def kill(self) -> None:
        """``kill -9``."""
        self.send(signal.SIGKILL)
        self.ended()

    def ended(self, seconds: float = PATIENCE) -> int:
        """Wait for its end; its exit code."""
        try:
            return self._popen.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self.name} still runs: {self.words()}") from None

    def stop(self, seconds: float = 20.0) -> int:
        """SIGTERM, to it and what it started; SIGKILL to what is left after that."""
        if self.code is None:
            self.send(signal.SIGCONT)
            self.send(signal.SIGTERM)
            try:
                self._popen.wait(seconds)
            except subprocess.TimeoutExpired:
                os.killpg(self.pid, signal.SIGKILL)
                self._popen.wait()
        self._notified.close()
        return self._popen.wait()

    def words(self) -> str:
        """Its last ones."""
        return f"{self.name}: " + self.log.read_text("utf-8", "replace")[-3000:]
