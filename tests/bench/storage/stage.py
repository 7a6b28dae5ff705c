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


@contextmanager
def on_processors(of: slice) -> Iterator[None]:
    """What is started meanwhile has only those of our processors; all of them where
    there is one.
    """
    ours = os.sched_getaffinity(0)
    some = sorted(ours)[of] if len(ours) > 1 else ours
    os.sched_setaffinity(0, some)
    try:
        yield
    finally:
        os.sched_setaffinity(0, ours)


#: On AWS the S3 server works on processors that are not the host's: here, on the last.
OF_S3, OF_THE_OTHERS, ALL = slice(-1, None), slice(None, -1), slice(None)


@define
class Stage:
    """Everything in *folder*; made and ended by :meth:`running`.

    The S3 server has a processor of its own unless *shared*.
    """

    folder: Path
    shared: bool = False
    endpoint: str = ""
    _weed: subprocess.Popen[bytes] | None = None
    _made: int = 0

    @contextmanager
    def running(self) -> Iterator[Stage]:
        """With the S3 server."""
        self.folder.mkdir(exist_ok=True)
        with on_processors(ALL if self.shared else OF_S3):
            self._weed, self.endpoint = start_weed(self.folder / "weed", _CHUNKS)
        try:
            with on_processors(ALL if self.shared else OF_THE_OTHERS):
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
