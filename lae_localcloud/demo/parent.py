"""Notices that the ``make`` that started us was told to end.

On SIGTERM make tells its children.  On SIGHUP or SIGINT sent to make alone (not by a
terminal, which tells everybody) it waits for them to end by themselves, and says
nothing: all that shows is that it no longer catches the signal.
"""

from __future__ import annotations

import os
import re
import signal
from pathlib import Path

_WATCHED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Parent:
    """The process that started us, as it was then."""

    def __init__(self, proc: Path = Path("/proc"), pid: int | None = None) -> None:
        self._status = proc / str(pid or os.getppid()) / "status"
        self._caught = self._now()

    def wants_us_to_end(self) -> bool:
        """Tell whether it is a make that is ending, or gone."""
        if self._caught is None:
            return False
        now = self._now()
        return now is None or bool(self._caught & ~now)

    def _now(self) -> int | None:
        """The watched signals that it catches, as bits; None where it is no make."""
        try:
            status = self._status.read_text()
        except OSError:
            return None
        name = re.search(r"^Name:\s*(\S+)", status, re.MULTILINE)
        caught = re.search(r"^SigCgt:\s*([0-9a-f]+)", status, re.MULTILINE)
        ended = re.search(r"^State:\s*[ZX]", status, re.MULTILINE)
        if name is None or caught is None or ended or "make" not in name[1]:
            return None
        return int(caught[1], 16) & sum(1 << (s - 1) for s in _WATCHED)
