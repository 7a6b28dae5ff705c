"""Control groups of an instance: its memory, and which devices its root reaches."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from attrs import define

_MOUNTED = Path("/sys/fs/cgroup")
#: What a container has: null, zero, full, random, urandom; terminals.
_DEVICES = ("c 1:3", "c 1:5", "c 1:7", "c 1:8", "c 1:9", "c 5:*", "c 136:*")


@define(frozen=True)
class Groups:
    """The groups of one name, in each hierarchy that this machine has.

    With version 2 alone the kernel has no list of devices to write to: there the
    instance's root is trusted not to make nodes of this machine's disks.
    """

    name: str
    mounted: Path = _MOUNTED

    @property
    def _unified(self) -> Path:
        hybrid = self.mounted / "unified"
        return (hybrid if hybrid.exists() else self.mounted) / self.name

    def _old(self, controller: str) -> Path | None:
        place = self.mounted / controller
        return place / self.name if place.exists() else None

    @property
    def joined_first(self) -> tuple[Path, ...]:
        """The groups that an instance is in from its beginning."""
        memory = self._old("memory")
        return (self._unified,) if memory is None else (self._unified, memory)

    @property
    def devices(self) -> Path | None:
        """The group that it joins once everything is mounted."""
        return self._old("devices")

    def make(self, memory: int) -> None:
        """Make them; *memory* is in bytes."""
        for folder in self._all():
            folder.mkdir(exist_ok=True)
        old = self._old("memory")
        if old is not None:
            (old / "memory.limit_in_bytes").write_text(str(memory))
        elif (self._unified / "memory.max").exists():
            (self._unified / "memory.max").write_text(str(memory))
        devices = self.devices
        if devices is not None:
            (devices / "devices.deny").write_text("a")
            for device in _DEVICES:
                (devices / "devices.allow").write_text(f"{device} rwm")

    def remove(self) -> bool:
        """Remove those that are empty by now; whether all are gone."""
        for top in self._all():
            # Ended processes may still be on their way out.
            for folder, _, _ in os.walk(top, topdown=False):
                try:
                    Path(folder).rmdir()
                except OSError:
                    return False
        return True

    def _all(self) -> Iterator[Path]:
        yield from self.joined_first
        if self.devices is not None:
            yield self.devices


def all_groups(prefix: str, mounted: Path = _MOUNTED) -> list[Groups]:
    """Those whose names begin so."""
    hierarchies = ("", "unified", "memory", "devices")
    found = (p for h in hierarchies for p in (mounted / h).glob(f"{prefix}-*"))
    return [Groups(name, mounted) for name in sorted({p.name for p in found})]
