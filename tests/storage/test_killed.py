"""A few of the kills of ``make test-kill``."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Any

import pytest

from tests.storage.killing.run import PROTOCOLS, WRITES, Killing

KILLS = 6


@pytest.mark.timeout(600)
@pytest.mark.end_to_end
def test_killed_at_random_moments_under_load(tmp_path: Path, seaweed: Any) -> None:
    """Killed while two clients, one of each protocol, store, change and read files of
    all sizes, a node loses nothing acknowledged, tears nothing, and leaves nothing.
    """
    seed = secrets.token_hex(4)
    print("seed", seed)  # noqa: T201  (pytest shows it where the test fails)
    result = Killing(seed, KILLS, tmp_path, seaweed).run()
    assert result.kills == KILLS
    assert result.losses == []
    counts = result.ledger.counts
    for protocol in PROTOCOLS:
        for what in WRITES:
            assert counts[f"{protocol} {what}"] > 0, counts
    assert counts["gbs lease"] > 0
