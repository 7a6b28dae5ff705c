"""One daemon per journal: an operating system's lock, held for life.

The kernel drops it when the process dies, however it dies; a stopped process keeps
it.  Taking over by force leaves the stopped process its old lock on an unlinked
file: a new file stands at the path, and the epoch (:mod:`.epoch`) turns away whatever
the old process writes when it wakes.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from lae_flapp.journal.errors import JournalInUse


class JournalLock:
    """The lock file beside the journal; holds who has it, for the error's text."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor: int | None = None

    def take(self, holder: str, *, by_force: bool) -> None:
        """Take it; raises :class:`JournalInUse` naming who has it."""
        while not self._try(by_force=by_force):
            # The file was replaced between open and lock: look at the new one.
            continue
        assert self._descriptor is not None
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, holder.encode(), 0)

    def release(self) -> None:
        """Give it back.  The file stays: removing it would race with the next."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _try(self, *, by_force: bool) -> bool:
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
        descriptor = os.open(self._path, flags, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(descriptor, 200, 0).decode("utf-8", "replace")
            os.close(descriptor)
            if not by_force:
                raise JournalInUse(
                    f"another daemon ({holder}) is active on {self._path.stem}"
                ) from None
            self._path.unlink(missing_ok=True)
            return False
        if not self._is_at_path(descriptor):
            os.close(descriptor)
            return False
        self._descriptor = descriptor
        return True

    def _is_at_path(self, descriptor: int) -> bool:
        try:
            return os.path.samestat(os.fstat(descriptor), self._path.stat())
        except FileNotFoundError:
            return False
