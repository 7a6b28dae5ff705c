"""The nodes that are compared: upstream's on the disk, and ours on a real S3 server.

Each is a process of its own with a vanilla client of its own, and is asked by that
client alone; they differ only in where the shares go.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psutil
from attrs import define, field

from tests.client_tahoe import TAHOE
from tests.storage.conftest import NodeProcess, VanillaClient, free_ports

_DISK_NODE = Path(__file__).parents[2] / "storage" / "disk_node_process.py"
FOOLSCAP = "force-foolscap"


@define
class DiskNode:
    """Upstream's storage node as PyPI has it, with its shares under *folder*."""

    folder: Path
    more: tuple[str, ...] = ()
    port: int = field(factory=lambda: free_ports(1)[0])
    found: dict[str, Any] = field(factory=dict)
    process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        """Start it; it serves when this returns."""
        python = TAHOE.with_name("python")
        self.process = subprocess.Popen(
            [python, _DISK_NODE, self.folder, str(self.port), *self.more],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, "the disk node did not start"
        self.found = json.loads(line)

    def kill(self) -> None:
        """End it at once."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            assert self.process.stdout is not None
            self.process.stdout.close()
            self.process = None


def in_turn(grids: Sequence[Grid], turn: int) -> list[Grid]:
    """All of them, each turn another first."""
    first = turn % len(grids)
    return [*grids[first:], *grids[:first]]


@define
class Grid:
    """A node and its client; *name* stands in the tables."""

    name: str
    node: DiskNode | NodeProcess
    client: VanillaClient

    def start(self) -> None:
        """Run both; the client has found the node when this returns."""
        self.node.start()
        foolscap = FOOLSCAP in self.node.more
        self.client.start(self.node.found, foolscap=foolscap)
        self.client.find_node()

    def restart(self) -> None:
        """Kill the node and start it again; the client has found it when this
        returns.
        """
        self.node.kill()
        self.node.start()
        self.client.find_node()

    def stop(self) -> None:
        """End both."""
        self.client.stop()
        self.node.kill()

    def cpu(self) -> float:
        """CPU seconds that the node used so far."""
        times = self._node().cpu_times()
        return float(times.user + times.system)

    def memory(self) -> float:
        """The node's resident MiB."""
        rss: int = self._node().memory_info().rss
        return rss / 2**20

    def _node(self) -> psutil.Process:
        assert self.node.process is not None
        return psutil.Process(self.node.process.pid)
