"""64 clients at once, reading and writing."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path
from statistics import median

from attrs import define

from tests.bench.figures import percentile
from tests.bench.storage.nodes import Grid, in_turn
from tests.storage.conftest import TAHOE

_PROGRAM = Path(__file__).with_name("many_clients.py")
CLIENTS = 64


@define(frozen=True)
class Crowd:
    """What 64 clients had of one node: MB/s together, seconds, and errors."""

    name: str
    speed: float
    p50: float
    p99: float
    errors: int


def together(grids: Sequence[Grid], rounds: int, times: int) -> list[Crowd]:
    """Each grid's node under 64 clients, *times* times in turn; medians."""
    runs: dict[str, list[Crowd]] = {grid.name: [] for grid in grids}
    for turn in range(times):
        for grid in in_turn(grids, turn):
            runs[grid.name].append(_once(grid, rounds))
    return [
        Crowd(
            name,
            median(c.speed for c in each),
            median(c.p50 for c in each),
            median(c.p99 for c in each),
            sum(c.errors for c in each),
        )
        for name, each in runs.items()
    ]


def _once(grid: Grid, rounds: int) -> Crowd:
    (server,) = grid.node.found.values()
    nurl = server["ann"]["anonymous-storage-NURLs"][0]
    done = subprocess.run(
        [TAHOE.with_name("python"), _PROGRAM, nurl, str(CLIENTS), str(rounds)],
        capture_output=True,
        text=True,
        check=True,
    )
    said = json.loads(done.stdout)
    took = said["took"]
    return Crowd(
        grid.name,
        said["bytes"] / said["seconds"] / 1e6,
        percentile(took, 50),
        percentile(took, 99),
        len(said["errors"]),
    )
