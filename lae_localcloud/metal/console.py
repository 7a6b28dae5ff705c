"""An instance's console: a terminal whose every word is kept, as EC2 keeps it."""

from __future__ import annotations

import os
import pty
import tty
from pathlib import Path
from typing import Any

from twisted.internet.interfaces import IReadDescriptor
from twisted.python.failure import Failure
from zope.interface import implementer

_CHUNK = 65_536  # bytes


@implementer(IReadDescriptor)
class Console:
    """Made for one power-on: *terminal* is the file descriptor that the instance gets.

    What is said goes to the end of the file *log*.
    """

    def __init__(self, reactor: Any, log: Path) -> None:
        self._reactor = reactor
        self._ours, self.terminal = pty.openpty()
        # No echo, no signals of keys, line ends as they come.
        tty.setraw(self.terminal)
        os.set_blocking(self._ours, False)
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        self._log = os.open(log, flags, 0o600)
        reactor.addReader(self)

    def started(self) -> None:
        """The instance has the terminal: our own end of it is not needed any more."""
        os.close(self.terminal)

    def fileno(self) -> int:
        """For the reactor."""
        return self._ours

    def doRead(self) -> None:
        """For the reactor: there is something, or everybody has closed it."""
        if self._ours < 0:
            return
        try:
            data = os.read(self._ours, _CHUNK)
        except BlockingIOError:
            return
        except OSError:
            self.close()
            return
        os.write(self._log, data)

    def connectionLost(self, reason: Failure) -> None:
        """For the reactor: it ends."""
        del reason
        self.close()

    def logPrefix(self) -> str:
        """For the reactor."""
        return "console"

    def close(self) -> None:
        """Nobody listens any more; a second time does nothing."""
        if self._ours >= 0:
            self._reactor.removeReader(self)
            os.close(self._ours)
            os.close(self._log)
            self._ours = -1
