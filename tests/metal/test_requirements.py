"""Who cannot have machines is told so in one line, and what to do."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from lae_localcloud.command import localcloud
from lae_localcloud.metal import requirements


@pytest.mark.parametrize("part", ["aws", "demo"])
def test_without_root(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, part: str
) -> None:
    """Nothing is begun: the line names root, and the command to say."""
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    state = tmp_path / "state"
    argv = [part, "--level", "metal", "--state-dir", str(state)]
    done = CliRunner().invoke(localcloud, argv)
    assert done.exit_code == 1
    (line,) = done.output.splitlines()
    assert "needs root" in line
    assert "sudo make demo LEVEL=metal" in line
    assert not state.exists()


def test_without_a_program(monkeypatch: pytest.MonkeyPatch) -> None:
    """The packages that are missing are named as apt-get wants them."""
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(shutil, "which", lambda name: None if name == "nft" else "/x")
    reason = requirements.why_not()
    assert reason is not None
    assert reason.endswith("apt-get install nftables")
