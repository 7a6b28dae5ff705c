"""A daemon that cannot start ends, with its reason in the log and a status to tell."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

#: The daemon as twistd starts it: services first, then the reactor.
PROGRAM = """
import sys
from pathlib import Path
from types import SimpleNamespace
from twisted.internet import reactor
from twisted.python import log
from lae_flapp.wiring.daemon import Daemon
log.startLogging(sys.stdout)
settings = SimpleNamespace(state=Path(sys.argv[1]))
Daemon(
    reactor=reactor,
    settings=settings,
    secrets=None,
    plans=(),
    take_over=False,
    registry=None,
    steady=None,
).startService()
reactor.run()
"""


def test_state_that_cannot_be_made(tmp_path: Path) -> None:
    """A state folder that cannot be made ends the process with 1, before it runs."""
    (tmp_path / "file").touch()
    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(tmp_path / "file" / "state")],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 1
    assert "cannot start: NotADirectoryError" in ended.stdout
