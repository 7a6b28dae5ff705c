"""The host may vanish at any moment: what was acknowledged is in S3."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pytest

pytestmark = pytest.mark.end_to_end
GRID = Callable[..., tuple[Any, Any]]


@pytest.mark.parametrize("foolscap", [False, True], ids=["gbs", "foolscap"])
def test_vanilla_client_stores_and_reads(grid: GRID, foolscap: bool) -> None:
    """An unmodified client stores and reads files of each kind, also from a new host."""
    node, client = grid(foolscap=foolscap)
    small, large = os.urandom(3000), os.urandom(20_000_000)
    client.find_node()
    tiny = client.store(b"in the capability itself")
    first, big = client.store(small), client.store(large)
    sdmf, mdmf = client.store(small, "SDMF"), client.store(large, "MDMF")
    client.ask("PUT", f"/uri/{sdmf}", b"overwritten")
    client.ask("PUT", f"/uri/{mdmf}?offset=7000000", b"changed in the middle")
    changed = large[:7_000_000] + b"changed in the middle" + large[7_000_021:]
    expected = {first: small, big: large, sdmf: b"overwritten", mdmf: changed}
    for cap, data in expected.items():
        assert client.ask("GET", f"/uri/{cap}") == data
    node.lose_host()
    node.start()
    client.find_node()
    for cap, data in expected.items():
        assert client.ask("GET", f"/uri/{cap}") == data
    client.ask("PUT", f"/uri/{sdmf}", b"and again")
    assert client.ask("GET", f"/uri/{sdmf}") == b"and again"
    assert client.ask("GET", f"/uri/{tiny}") == b"in the capability itself"
