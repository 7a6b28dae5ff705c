"""One unit's life: started, started again when it ends, stopped."""

from __future__ import annotations

import os
import secrets
import signal
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.internet.protocol import DatagramProtocol

from lae_localcloud.booter.unit import Unit
from lae_localcloud.child import Child, Program


class _Notified(DatagramProtocol):
    """systemd's end of ``sd_notify``."""

    def __init__(self, ready: Callable[[], None]) -> None:
        self._ready = ready

    def datagramReceived(self, datagram: bytes, addr: Any) -> None:
        """What a service says of itself."""
        del addr
        if b"READY=1" in datagram.split(b"\n"):
            self._ready()


class Service:
    """Runs a unit under *root*.  *say* writes a line to the console.

    When we die it gets SIGKILL: nobody would be left to end it.
    """

    def __init__(
        self,
        reactor: Any,
        unit: Unit,
        root: Path,
        environment: Mapping[str, str],
        say: Callable[[str], None],
    ) -> None:
        self._reactor, self.unit, self._root, self._say = reactor, unit, root, say
        self._environment = {**environment, **dict(unit.environment)}
        self._child: Child | None = None
        self._wanted = False
        self._again: Any = None
        self._notified: Any = None
        self.ready = False
        self.starts = 0

    @property
    def pid(self) -> int | None:
        """Of its first process, while it runs."""
        return self._child.pid if self._child and self._child.running else None

    def start(self) -> None:
        """Run it, until :meth:`stop`."""
        self._wanted = True
        if self.unit.notifies and self._notified is None:
            name = f"s4-notify-{secrets.token_hex(8)}"
            protocol = _Notified(self._on_ready)
            self._notified = self._reactor.listenUNIXDatagram("\0" + name, protocol)
            self._environment["NOTIFY_SOCKET"] = f"@{name}"
        self._run()

    async def stop(self, longest: float) -> None:
        """SIGTERM, then SIGKILL after the unit's own time or *longest* seconds."""
        self._wanted = False
        if self._again is not None and self._again.active():
            self._again.cancel()
        ended: Deferred[None] = succeed(None)
        if self._child is not None:
            ended = self._child.stop(min(longest, self.unit.stop_seconds))
        await ended
        if self._notified is not None:
            notified, self._notified = self._notified, None
            notified.stopListening()

    def kill(self) -> None:
        """Kill -9 of everything it runs; it is started again if its unit says so."""
        if self._child is not None:
            self._child.signal(signal.SIGKILL)

    def _run(self) -> None:
        self.ready = not self.unit.notifies
        self.starts += 1
        program = Program(
            argv=self.unit.argv,
            env={
                "PATH": os.environ.get("PATH", os.defpath),
                "LANG": "C.UTF-8",
                **self._environment,
            },
            cwd=self.unit.directory_under(self._root),
            log=self._root / "console.log",
            death_signal=signal.SIGKILL,
        )
        self._child = Child(self._reactor, program, self._ended)
        self._child.start()
        self._say(f"{self.unit.name}: started, process {self._child.pid}")

    def _on_ready(self) -> None:
        if not self.ready:
            self.ready = True
            self._say(f"{self.unit.name}: ready")

    def _ended(self, how: str) -> None:
        self.ready = False
        self._say(f"{self.unit.name}: {how}")
        failed = how != "ended"
        again = {"no": False, "on-failure": failed, "always": True}[self.unit.restart]
        if self._wanted and again:
            delay = self.unit.restart_seconds
            self._again = self._reactor.callLater(delay, self._run)
