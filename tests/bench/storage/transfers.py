"""Whole files up and down, each node in turn, in an order that goes round."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from statistics import median

from attrs import Factory, define

from tests.bench.storage.nodes import Grid


@define
class Transfers:
    """Seconds, by grid, of one size over one protocol."""

    megabytes: float
    protocol: str
    up: dict[str, list[float]] = Factory(dict)
    down: dict[str, list[float]] = Factory(dict)
    #: The node's own CPU seconds, up and down together.
    cpu: dict[str, list[float]] = Factory(dict)

    def speed(self, direction: str, name: str) -> float:
        """The median's megabytes per second."""
        return self.megabytes / median(self._of(direction)[name])

    def ratio(self, direction: str, name: str, to: str) -> float:
        """How much faster than *to*: the ratio of the medians."""
        return self.speed(direction, name) / self.speed(direction, to)

    def _of(self, direction: str) -> dict[str, list[float]]:
        return self.up if direction == "up" else self.down


def alternate(
    grids: Sequence[Grid], megabytes: float, protocol: str, times: int
) -> Transfers:
    """Store a fresh file and read it back *times* times on each grid.

    Raises ValueError where what comes back is not what was stored.
    """
    results = Transfers(megabytes, protocol)
    for turn in range(times):
        first = turn % len(grids)
        for grid in [*grids[first:], *grids[:first]]:
            data = os.urandom(int(megabytes * 1e6))
            used = grid.cpu()
            began = time.monotonic()
            cap = grid.client.store(data)
            stored = time.monotonic()
            back = grid.client.ask("GET", f"/uri/{cap}")
            read = time.monotonic()
            if back != data:
                raise ValueError(f"{grid.name} did not give back what it was given")
            results.up.setdefault(grid.name, []).append(stored - began)
            results.down.setdefault(grid.name, []).append(read - stored)
            results.cpu.setdefault(grid.name, []).append(grid.cpu() - used)
    return results
