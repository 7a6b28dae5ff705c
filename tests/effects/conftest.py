"""A world for each test, and no daemon left alive."""

from __future__ import annotations

import pytest

from tests.grid.world import World


@pytest.fixture
def world(tmp_path):
    """A world with a running daemon."""
    made = World(tmp_path / "state")
    made.start()
    yield made
    made.kill()
