"""The command lines of every process that ran under a test, for whoever looks for
secrets in them: anybody on the machine may read those.
"""

from __future__ import annotations

import os
import threading
from pathlib import Path

_BETWEEN_LOOKS = 0.2


class Arguments:
    """Collects them from the kernel, in a thread, as long as the run lasts."""

    def __init__(self) -> None:
        self.seen: set[str] = set()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """The run is over."""
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._over.wait(_BETWEEN_LOOKS):
            self._once()

    def _once(self) -> None:
        parents: dict[int, int] = {}
        lines: dict[int, str] = {}
        for folder in Path("/proc").iterdir():
            if not folder.name.isdecimal():
                continue
            try:
                stat = (folder / "stat").read_text()
                line = (folder / "cmdline").read_bytes()
            except OSError:
                continue
            pid = int(folder.name)
            parents[pid] = int(stat.rpartition(")")[2].split()[1])
            lines[pid] = line.replace(b"\0", b" ").decode("utf-8", "replace")
        for pid, line in lines.items():
            if _descends(pid, parents):
                self.seen.add(line)


def _descends(pid: int, parents: dict[int, int]) -> bool:
    while pid in parents and pid != 1:
        if pid == os.getpid():
            return True
        pid = parents[pid]
    return False
