"""One instance of the metal level: its volume, its cable, its power, by itself."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from attrs import define, field
from twisted.internet.defer import DeferredLock
from twisted.web.resource import Resource

from lae_localcloud.front.machines import InstanceState, LaunchOrder
from lae_localcloud.metal.cgroups import Groups
from lae_localcloud.metal.namespace import Namespace
from lae_localcloud.metal.power import Hardware, Power
from lae_localcloud.metal.rules import RESOLVER
from lae_localcloud.metal.volume import make_volume

#: Of a t3.small.
MEMORY = 2 << 30  # bytes
#: Of root in an instance: nothing of ours.
_ENVIRONMENT = ("PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root")
#: EC2 keeps the last 64 KiB of a console.
_CONSOLE_KEPT = 65_536


@define(eq=False)
class Machine:
    """What is known of one instance; *later* is a delayed call that is due."""

    order: LaunchOrder
    folder: Path
    groups: Groups
    namespace: Namespace
    metadata: Resource
    state: InstanceState = "pending"
    power: Power | None = None
    public: str | None = None
    #: Somebody outside has asked for its end: what becomes of it is theirs to say.
    is_told_to_end: bool = False
    later: Any = None
    # What is asked of one instance is done in the order it was asked.
    turn: DeferredLock = field(factory=DeferredLock)

    @property
    def volume(self) -> Path:
        """Its disk."""
        return self.folder / "volume.img"

    @property
    def hostname(self) -> str:
        """As EC2 names it by its private address."""
        return f"ip-{self.order.private_address.replace('.', '-')}"

    def prepare(self) -> None:
        """All that it has before it is first powered on.  Blocks."""
        (self.folder / "disk").mkdir(parents=True)
        make_volume(self.volume, self.order.volume_gib)
        self.say(
            f"a volume of {self.order.volume_gib} GiB, NOT encrypted: a plain file"
        )
        self.groups.make(MEMORY)

    def hardware(self, root: Path) -> Hardware:
        """What it is powered on with."""
        return Hardware(
            root=root,
            disk=self.folder / "disk",
            volume=self.volume,
            namespace=self.namespace.path,
            groups=self.groups.joined_first,
            devices=self.groups.devices,
            resolver=RESOLVER,
            hostname=self.hostname,
        )

    def cancel_later(self) -> None:
        """What was due is not any more."""
        if self.later is not None and self.later.active():
            self.later.cancel()
        self.later = None

    def say(self, line: str) -> None:
        """One line to the console, of the cloud's own."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        descriptor = os.open(self.folder / "console.log", flags, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as out:
            out.write(f"[metal] {line}\r\n")

    def console(self) -> bytes:
        """The end of the console's log."""
        try:
            with (self.folder / "console.log").open("rb") as log:
                log.seek(0, os.SEEK_END)
                log.seek(max(0, log.tell() - _CONSOLE_KEPT))
                return log.read()
        except FileNotFoundError:
            return b""

    def within(self) -> tuple[str, ...]:
        """What goes before a command that shall run in it as root; empty while off."""
        init = None if self.power is None else self.power.init
        if init is None:
            return ()
        spaces = ("-m", "-p", "-i", "-u", "-n", "-C", "-r", "-w")
        return ("nsenter", "-t", str(init), *spaces, "env", "-i", *_ENVIRONMENT)
