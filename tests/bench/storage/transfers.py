"""Whole files up and down, each node in turn, in an order that goes round."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Sequence
from statistics import median

from attrs import Factory, define

from tests.bench.storage.nodes import Grid, in_turn

#: What is measured of a file, as the tables call it.
UP, DOWN, AGAIN = "up", "down", "down from S3"


@define(frozen=True)
class Stored:
    """Where a file is, and the hash of its bytes."""

    cap: str
    sha256: bytes


@define
class Transfers:
    """Seconds, by grid, of one size over one protocol."""

    megabytes: float
    protocol: str
    up: dict[str, list[float]] = Factory(dict)
    down: dict[str, list[float]] = Factory(dict)
    #: Down from nodes that were started since, so that ours has nothing of it.
    again: dict[str, list[float]] = Factory(dict)
    stored: dict[str, list[Stored]] = Factory(dict)
    #: The node's own CPU seconds, up and down together.
    cpu: dict[str, list[float]] = Factory(dict)

    def speed(self, direction: str, name: str) -> float:
        """The median's megabytes per second."""
        return self.megabytes / median(self._of(direction)[name])

    def ratio(self, direction: str, name: str, to: str) -> float:
        """How much faster than *to*: the ratio of the medians."""
        return self.speed(direction, name) / self.speed(direction, to)

    def _of(self, direction: str) -> dict[str, list[float]]:
        return {UP: self.up, DOWN: self.down, AGAIN: self.again}[direction]


def alternate(
    grids: Sequence[Grid], megabytes: float, protocol: str, times: int
) -> Transfers:
    """Store a fresh file and read it back *times* times on each grid.

    Raises ValueError where what comes back is not what was stored.
    """
    results = Transfers(megabytes, protocol)
    for turn in range(times):
        for grid in in_turn(grids, turn):
            data = os.urandom(int(megabytes * 1e6))
            used = grid.cpu()
            began = time.monotonic()
            cap = grid.client.store(data)
            stored = time.monotonic()
            back = grid.client.ask("GET", f"/uri/{cap}")
            read = time.monotonic()
            if back != data:
                raise ValueError(f"{grid.name} did not give back what it was given")
            file = Stored(cap, hashlib.sha256(data).digest())
            results.stored.setdefault(grid.name, []).append(file)
            results.up.setdefault(grid.name, []).append(stored - began)
            results.down.setdefault(grid.name, []).append(read - stored)
            results.cpu.setdefault(grid.name, []).append(grid.cpu() - used)
    return results


def read_again(grids: Sequence[Grid], all_of_them: Sequence[Transfers]) -> None:
    """Read every file once more after a restart of each node, and note the seconds.

    Raises ValueError where what comes back is not what was stored.
    """
    for grid in grids:
        grid.restart()
    for results in all_of_them:
        for turn in range(len(results.stored[grids[0].name])):
            for grid in in_turn(grids, turn):
                file = results.stored[grid.name][turn]
                began = time.monotonic()
                back = grid.client.ask("GET", f"/uri/{file.cap}")
                took = time.monotonic() - began
                if hashlib.sha256(back).digest() != file.sha256:
                    raise ValueError(f"{grid.name} gave back something else")
                results.again.setdefault(grid.name, []).append(took)
