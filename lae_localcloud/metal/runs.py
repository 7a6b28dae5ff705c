"""The runs of metal clouds on this machine: each holds a lock while it lives.

What one that was killed has left is removed by the next one that starts.  Mounts and
loop devices need nothing: they are in the instances' own namespaces and end with them.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO

from attrs import define

from lae_localcloud.metal.cgroups import all_groups
from lae_localcloud.metal.namespace import Namespace, all_namespaces

_FOLDER = Path("/run/s4-metal")
_MARK = "s4m-"
#: Seconds that killed processes get to be gone.
_GONE_WITHIN = 10.0
_LOOK_AGAIN = 0.05  # s


@define(frozen=True)
class Run:
    """This one; *prefix* begins the names of all that it makes outside its folder."""

    prefix: str
    _lock: IO[str]

    def end(self) -> None:
        """Everything of it is removed, and its mark too."""
        remove_all_of(self.prefix)
        Path(self._lock.name).unlink(missing_ok=True)
        self._lock.close()


def new_prefix() -> str:
    """For the names of one run; nobody else has the same."""
    return f"{_MARK}{secrets.token_hex(3)}"


def begin_run(prefix: str, folder: Path = _FOLDER) -> Run:
    """Remove what dead runs left, and begin this one.  Blocks."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as door:
        fcntl.flock(door, fcntl.LOCK_EX)
        for mark in folder.glob(f"{_MARK}*"):
            with mark.open() as held:
                if _locks(held):
                    remove_all_of(mark.name)
                    mark.unlink()
        mine = (folder / prefix).open("w")
        fcntl.flock(mine, fcntl.LOCK_EX)
        return Run(prefix, mine)


def _locks(held: IO[str]) -> bool:
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def remove_all_of(prefix: str) -> None:
    """Processes, namespaces, control groups.  Blocks."""
    namespaces = [n for n in all_namespaces() if n.name.startswith(f"{prefix}-")]
    _end_processes(namespaces)
    for namespace in namespaces:
        namespace.remove()
    for groups in all_groups(prefix):
        _wait_for(groups.remove)


def _end_processes(namespaces: list[Namespace]) -> None:
    def all_ended() -> bool:
        left = [pid for n in namespaces for pid in n.processes()]
        for pid in left:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        return not left

    _wait_for(all_ended)


def _wait_for(is_so: Callable[[], bool]) -> None:
    end = time.monotonic() + _GONE_WITHIN
    while not is_so() and time.monotonic() < end:
        time.sleep(_LOOK_AGAIN)
