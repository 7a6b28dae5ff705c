"""The host may vanish at any moment: what was acknowledged is in S3."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Callable
from typing import Any, Self

import pytest
from attrs import define, field

pytestmark = pytest.mark.end_to_end
GRID = Callable[..., tuple[Any, Any]]


def _lose_host(node: Any) -> None:
    """kill -9, everything but the node's identity gone, and started anew."""
    node.kill()
    shutil.rmtree(node.folder / "uploads", ignore_errors=True)
    shutil.rmtree(node.folder / "storage", ignore_errors=True)
    node.start()


@pytest.mark.parametrize("foolscap", [False, True], ids=["gbs", "foolscap"])
def test_vanilla_client_stores_and_reads(grid: GRID, foolscap: bool) -> None:
    """An unmodified client stores and reads files of each kind, also from a new host."""
    node, client = grid(foolscap=foolscap)
    small, large = os.urandom(3000), os.urandom(20_000_000)
    tiny = client.until(lambda: client.store(b"in the capability itself"))
    first, big = client.until(lambda: client.store(small)), client.store(large)
    sdmf, mdmf = client.store(small, "SDMF"), client.store(large, "MDMF")
    client.ask("PUT", f"/uri/{sdmf}", b"overwritten")
    client.ask("PUT", f"/uri/{mdmf}?offset=7000000", b"changed in the middle")
    changed = large[:7_000_000] + b"changed in the middle" + large[7_000_021:]
    expected = {first: small, big: large, sdmf: b"overwritten", mdmf: changed}
    for cap, data in expected.items():
        assert client.ask("GET", f"/uri/{cap}") == data
    _lose_host(node)
    for cap, data in expected.items():
        assert client.until(lambda cap=cap: client.ask("GET", f"/uri/{cap}")) == data
    client.ask("PUT", f"/uri/{sdmf}", b"and again")
    assert client.ask("GET", f"/uri/{sdmf}") == b"and again"
    assert client.ask("GET", f"/uri/{tiny}") == b"in the capability itself"


@define
class Load:
    """A client's work on its files, and what of it was acknowledged."""

    client: Any
    cap: str
    stored: dict[str, bytes] = field(factory=dict)
    tried: int = 0
    acknowledged: int = 0
    over: threading.Event = field(factory=threading.Event)
    workers: list[threading.Thread] = field(factory=list)

    def store(self) -> None:
        """Store new files, one after the other."""
        while not self.over.is_set():
            data = os.urandom(200_000)
            try:
                self.stored[self.client.store(data)] = data
            except OSError:
                self.over.wait(0.05)

    def change(self) -> None:
        """Write a growing number into one file."""
        while not self.over.is_set():
            self.tried += 1
            try:
                self.client.ask("PUT", f"/uri/{self.cap}", b"%d" % self.tried)
            except OSError:
                self.over.wait(0.05)
            else:
                self.acknowledged = self.tried

    def until_some_is_done(self) -> None:
        """Wait until a few operations of each kind are acknowledged."""
        changed, stored = self.acknowledged, len(self.stored)
        for _ in range(600):
            self.over.wait(0.05)
            if self.acknowledged > changed + 2 and len(self.stored) > stored + 2:
                return
        raise AssertionError("nothing goes on")

    def __enter__(self) -> Self:
        self.workers = [threading.Thread(target=w) for w in (self.store, self.change)]
        for worker in self.workers:
            worker.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        for worker in self.workers:
            worker.join()


def test_killed_under_load(grid: GRID) -> None:
    """Killed while files are stored and changed, a node loses nothing acknowledged."""
    node, client = grid()
    cap = client.until(lambda: client.store(b"0", "SDMF"))
    with Load(client, cap) as load:
        for _ in range(3):
            load.until_some_is_done()
            _lose_host(node)
    value = int(client.until(lambda: client.ask("GET", f"/uri/{cap}")))
    # A change that was not acknowledged may have happened, an acknowledged one did.
    assert load.acknowledged <= value <= load.tried
    for file, data in load.stored.items():
        assert client.ask("GET", f"/uri/{file}") == data
    client.ask("PUT", f"/uri/{cap}", b"after")
    assert client.ask("GET", f"/uri/{cap}") == b"after"
