"""Two hosts on one bucket by mistake: one of them stops, and nothing is lost."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

#: Seconds in which the first of two hosts must have stopped.
STOPPED = 30


@pytest.mark.end_to_end
def test_the_older_host_stops_and_the_newer_has_everything(
    grid: Callable[..., tuple[Any, Any]], tmp_path: Path
) -> None:
    """Within 30 seconds the older host acknowledges nothing more; what it had
    acknowledged by then, also after the newer one's start, the newer one serves.
    """
    older, client = grid()
    stored = {}
    client.find_node()
    newer = type(older)(tmp_path / "newer", older.endpoint, older.bucket)
    second = type(client)(tmp_path / "second")
    try:
        newer.start()
        began, ended = time.monotonic(), None
        while ended is None:
            assert time.monotonic() < began + STOPPED
            data = os.urandom(2000)
            for kind in ("CHK", "SDMF"):
                try:
                    stored[client.store(data, kind)] = data
                except OSError:
                    ended = time.monotonic()
        assert len(stored) > 2
        second.start(newer.found, foolscap=False)
        for cap, data in stored.items():
            asking = f"/uri/{cap}"
            assert second.until(lambda asking=asking: second.ask("GET", asking)) == data
            with pytest.raises(OSError, match="HTTP Error"):
                client.ask("GET", asking)
    finally:
        second.stop()
        newer.kill()
