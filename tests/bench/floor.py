"""The floor: how long tahoe itself takes from nothing to an introducer's furl."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

from lae_localcloud.ports import free_ports

_LOOK_AGAIN = 0.005
_LONGEST = 60.0


class FloorFailed(Exception):
    """tahoe did not make a furl."""


def measure(tahoe: Path, folder: Path) -> float:
    """``tahoe create-introducer`` and ``tahoe run`` until the furl exists (seconds)."""
    (port,) = free_ports(1)
    began = time.monotonic()
    subprocess.run(
        [
            tahoe,
            "create-introducer",
            f"--port=tcp:{port}:interface=127.0.0.1",
            f"--location=tcp:localhost:{port}",
            folder,
        ],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    running = subprocess.Popen(
        [tahoe, "--node-directory", folder, "run", "--allow-stdin-close"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    furl = folder / "private" / "introducer.furl"
    try:
        while not (furl.exists() and furl.stat().st_size):
            if running.poll() is not None or time.monotonic() > began + _LONGEST:
                raise FloorFailed(f"tahoe in {folder} made no furl")
            time.sleep(_LOOK_AGAIN)
        return time.monotonic() - began
    finally:
        if running.poll() is None:
            os.killpg(running.pid, signal.SIGKILL)
        running.wait()
        shutil.rmtree(folder)
