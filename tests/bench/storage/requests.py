"""What one operation of a client costs at S3: requests and bytes."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

from attrs import define

from tests.bench.storage.nodes import Grid

#: The node's own looks, which no operation causes.
_OWN = ("s4/",)


@define(frozen=True)
class Cost:
    """Requests by method, and bytes to S3 and from it, of one operation."""

    operation: str
    methods: dict[str, int]
    sent: int
    received: int

    @property
    def requests(self) -> int:
        """All of them."""
        return sum(self.methods.values())


@define
class Counting:
    """Reads what the node wrote down since it was last read."""

    path: Path
    _at: int = 0

    def since(self, operation: str) -> Cost:
        """The cost of what was done since the last call."""
        lines = self.path.read_text().splitlines() if self.path.exists() else []
        methods: dict[str, int] = {}
        sent = received = 0
        for method, where, out, back in map(json.loads, lines[self._at :]):
            if not where.startswith(_OWN):
                methods[method] = methods.get(method, 0) + 1
                sent += out
                # What a HEAD or a PUT is answered with has no bytes of the object.
                received += back if method == "GET" else 0
        self._at = len(lines)
        return Cost(operation, methods, sent, received)


UPLOAD, READ_KEPT, READ_ALL, READ_LITTLE, WRITE_LITTLE = (
    "100 MB immutable, up",
    "100 MB immutable, down, just stored",
    "100 MB immutable, down from S3",
    "1 KB read in a 100 MB file",
    "1 KB written into a 100 MB MDMF file",
)


def costs(grid: Grid, counting: Counting) -> list[Cost]:
    """Each operation once, on a node that has nothing of it in memory."""
    client, data = grid.client, os.urandom(100_000_000)
    found = []

    def cost(operation: str, work: Callable[[], object]) -> object:
        counting.since("before")
        answer = work()
        found.append(counting.since(operation))
        return answer

    big = cost(UPLOAD, lambda: client.store(data))
    cost(READ_KEPT, lambda: client.ask("GET", f"/uri/{big}"))
    grid.restart()
    cost(READ_ALL, lambda: client.ask("GET", f"/uri/{big}"))
    grid.restart()
    some = {"Range": "bytes=50000000-50000999"}
    cost(READ_LITTLE, lambda: client.ask("GET", f"/uri/{big}", headers=some))
    mutable = client.store(data, "MDMF")
    grid.restart()
    cost(
        WRITE_LITTLE,
        lambda: client.ask("PUT", f"/uri/{mutable}?offset=50000000", os.urandom(1000)),
    )
    cost("1 KB immutable, up", lambda: client.store(os.urandom(1000)))
    small = client.store(os.urandom(1000), "SDMF")
    cost("SDMF overwrite", lambda: client.ask("PUT", f"/uri/{small}", os.urandom(1000)))
    folder = client.ask("POST", "/uri?t=mkdir", b"").decode()
    cost(
        "new file into a directory",
        lambda: client.ask("PUT", f"/uri/{folder}/name", os.urandom(1000)),
    )
    return found
