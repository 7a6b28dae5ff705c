"""A real S3 server and the nodes on it and on the disk, as processes."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psutil
from attrs import define

from tests.bench.storage.nodes import FOOLSCAP, DiskNode, Grid
from tests.storage.conftest import NodeProcess, S3Server, VanillaClient, start_weed

#: What SeaweedFS cuts objects into: with less, it has less to do when the last byte
#: of an object is here.
_CHUNKS = "-filer.maxMB=1"
DISK, NULL, OURS = "disk", "null", "ours"
#: How nice the S3 server is to the others: on AWS it works on other processors.
_NICE = 10


def _make_way(pid: int) -> None:
    """Let the S3 server's process come after the others, where it is in their way."""
    for thread in Path(f"/proc/{pid}/task").iterdir():
        os.setpriority(os.PRIO_PROCESS, int(thread.name), _NICE)
    # It has a session of its own, which Linux may schedule as one.
    group = Path(f"/proc/{pid}/autogroup")
    if group.exists():
        group.write_text(str(_NICE))


@define
class Stage:
    """Everything in *folder*; made and ended by :meth:`running`."""

    folder: Path
    endpoint: str = ""
    _weed: subprocess.Popen[bytes] | None = None
    _made: int = 0

    @contextmanager
    def running(self) -> Iterator[Stage]:
        """With the S3 server."""
        self._weed, self.endpoint = start_weed(self.folder / "weed", _CHUNKS)
        _make_way(self._weed.pid)
        try:
            yield self
        finally:
            # SIGTERM takes it more than ten seconds.
            self._weed.kill()
            self._weed.wait()

    @contextmanager
    def grids(
        self, *names: str, protocol: str, more: tuple[str, ...] = ()
    ) -> Iterator[tuple[Grid, ...]]:
        """Fresh grids that run, one for each name."""
        with ExitStack() as ending:
            made = []
            for name in names:
                grid = self._grid(name, protocol, more if name == OURS else ())
                ending.callback(grid.stop)
                grid.start()
                made.append(grid)
            yield tuple(made)

    def _grid(self, name: str, protocol: str, more: tuple[str, ...]) -> Grid:
        self._made += 1
        place = self.folder / f"{self._made}-{name}"
        force = (FOOLSCAP,) if protocol == "Foolscap" else ()
        client = VanillaClient(self.folder / f"{self._made}-client")
        if name != OURS:
            return Grid(name, DiskNode(place, force), client)
        bucket = self.bucket()
        node = NodeProcess(place, self.endpoint, bucket, (*force, *more))
        return Grid(name, node, client)

    def bucket(self) -> str:
        """A fresh bucket."""
        self._made += 1
        name = f"bucket-{self._made}"
        S3Server(self.endpoint).make_bucket(name)
        return name

    def cpu(self) -> float:
        """CPU seconds that the S3 server used so far."""
        assert self._weed is not None
        times = psutil.Process(self._weed.pid).cpu_times()
        return float(times.user + times.system)
