"""The unmodified client of PyPI, in its own environment; its imports are forked."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import IO

from tests import forks
from tests.forks import Forked

TAHOE = Path(__file__).parents[1] / ".client-venv/bin/tahoe"


def tahoe(
    *words: str | Path, data: bytes = b"", timeout: float = 250
) -> subprocess.CompletedProcess[bytes]:
    """Run a command to its end."""
    forked = forks.of_tahoe(TAHOE.with_name("python"))
    return forked.run([TAHOE, *words], env=os.environ, data=data, timeout=timeout)


def start_tahoe(*words: str | Path, log: IO[bytes] | int) -> Forked:
    """Begin to run a command, and wait for nothing."""
    forked = forks.of_tahoe(TAHOE.with_name("python"))
    return forked.start([TAHOE, *words], env=os.environ, stdout=log, stderr=log)
