"""One power-on of an instance: from the switch to the end of its PID 1."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

from attrs import define
from twisted.internet.defer import Deferred, succeed
from twisted.internet.protocol import ProcessProtocol
from twisted.python.failure import Failure

from lae_localcloud.child import leashed
from lae_localcloud.metal.console import Console

_BOOT = Path(__file__).with_name("boot.sh")
#: What boot.sh exits with when it cannot go on.
_NOT_BOOTED = 90
#: systemd's signals to its PID 1: poweroff.target and reboot.target.
_POWER_OFF, _REBOOT = signal.SIGRTMIN + 4, signal.SIGRTMIN + 5

Ending = Literal["rebooted", "powered off", "crashed", "not booted"]


@define(frozen=True)
class Hardware:
    """What boot.sh needs: see there."""

    root: Path
    disk: Path
    volume: Path
    namespace: Path
    groups: tuple[Path, ...]
    devices: Path | None
    resolver: str
    hostname: str

    def environment(self) -> Mapping[str, str]:
        """By the names that boot.sh has for them."""
        return {
            "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
            "LANG": "C.UTF-8",
            "CGROUPS": " ".join(map(str, self.groups)),
            "DEVICES": str(self.devices or ""),
            "NETNS": str(self.namespace),
            "VOLUME": str(self.volume),
            "DISK": str(self.disk),
            "ROOT": str(self.root),
            "RESOLVER": self.resolver,
            "HOSTNAME": self.hostname,
        }


class Power(ProcessProtocol):
    """Ours is the process that waits for PID 1; *on_end* hears how that ended.

    When we die it is killed, and all of the instance with it.
    """

    def __init__(self, reactor: Any, on_end: Callable[[Ending], None]) -> None:
        self._reactor, self._on_end = reactor, on_end
        self._waiting: list[Deferred[None]] = []
        self._pid = 0
        self._console: Console | None = None

    def turn_on(self, hardware: Hardware, log: Path) -> None:
        """Start it; raises OSError where that is impossible."""
        self._console = Console(self._reactor, log)
        terminal = self._console.terminal
        nothing = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
        argv = leashed(["/bin/sh", str(_BOOT), "outside"], signal.SIGKILL)
        try:
            started = self._reactor.spawnProcess(
                self,
                argv[0],
                argv,
                env=dict(hardware.environment()),
                path="/",
                childFDs={0: nothing, 1: terminal, 2: terminal},
            )
        finally:
            os.close(nothing)
            self._console.started()
        self._pid = started.pid

    @property
    def is_on(self) -> bool:
        """Whether it runs."""
        return self._pid > 0

    @property
    def init(self) -> int | None:
        """The instance's PID 1, by our own number for it."""
        if not self._pid:
            return None
        children = Path(f"/proc/{self._pid}/task/{self._pid}/children")
        try:
            found = children.read_text().split()
        except OSError:
            return None
        return int(found[0]) if found else None

    def press(self) -> None:
        """The button: the system shuts down in its own time."""
        self._signal(_POWER_OFF)

    def press_reset(self) -> None:
        """It shuts down and comes back, in its own time."""
        self._signal(_REBOOT)

    def pull(self) -> None:
        """The plug: nothing in it runs a moment longer."""
        self._signal(signal.SIGKILL)
        if self._pid and self.init is None:
            # Before there is a PID 1.
            os.kill(self._pid, signal.SIGKILL)

    def ended(self) -> Deferred[None]:
        """Fires when nothing of it runs any more."""
        if not self._pid:
            return succeed(None)
        waiting: Deferred[None] = Deferred()
        self._waiting.append(waiting)
        return waiting

    def processEnded(self, reason: Failure) -> None:
        """Twisted's word that it is over."""
        self._pid = 0
        if self._console is not None:
            # What was said last is still to be read.
            self._console.doRead()
            self._console.close()
        waiting, self._waiting = self._waiting, []
        for one in waiting:
            one.callback(None)
        self._on_end(how_it_ended(reason.value))

    def _signal(self, number: int) -> None:
        init = self.init
        if init is not None:
            try:
                os.kill(init, number)
            except ProcessLookupError:
                # It ended by itself a moment ago.
                return


def how_it_ended(reason: Any) -> Ending:
    """The kernel's word: what a PID 1 asked for, it is killed by (reboot(2))."""
    if getattr(reason, "signal", None) == signal.SIGHUP:
        return "rebooted"
    if getattr(reason, "signal", None) == signal.SIGINT:
        return "powered off"
    if getattr(reason, "exitCode", None) == _NOT_BOOTED:
        return "not booted"
    return "crashed"
