"""A fleet for each test."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lae_protocol.process.crash import on_crash_point
from tests.rollout.fleet import Fleet

#: Hundreds of commits are written here; a disk would set the pace.
MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None


@pytest.fixture
def new_fleet() -> Iterator[Callable[[int], Fleet]]:
    """Make a fleet of so many hosts, with a running daemon."""
    made: list[Fleet] = []

    def new(many: int) -> Fleet:
        folder = tempfile.mkdtemp(prefix="s4-fleet-", dir=MEMORY)
        fleet = Fleet(Path(folder) / "journal")
        fleet.start()
        made.append(fleet)
        for _ in range(many):
            fleet.add_host()
        return fleet

    yield new
    on_crash_point(None)
    for fleet in made:
        fleet.stop()
        shutil.rmtree(fleet.folder.parent)
