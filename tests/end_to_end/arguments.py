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
        """Look at what descends from us; the machine may have much else."""
        left = [os.getpid()]
        while left:
            folder = Path(f"/proc/{left.pop()}")
            try:
                line = (folder / "cmdline").read_bytes()
                # Each thread has its own children.
                for thread in (folder / "task").iterdir():
                    left += map(int, (thread / "children").read_text().split())
            except OSError:
                continue
            self.seen.add(line.replace(b"\0", b" ").decode("utf-8", "replace"))
