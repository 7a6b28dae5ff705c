"""Upstream's own tests of storage servers, run against ours."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

TRIAL = Path(__file__).with_name("upstream_trial.py")
#: Upstream's module, and how many tests it has; none of them is excluded.
MODULE, TESTS = "allmydata.test.test_istorageserver", 69


def _trial(where: str, folder: Path) -> str:
    """Run them; trial's last lines."""
    done = subprocess.run(
        [sys.executable, str(TRIAL), where, "--reporter=text", MODULE],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    return "\n".join(done.stdout.splitlines()[-200:] + done.stderr.splitlines()[-20:])


def _assert_all_passed(output: str) -> None:
    assert re.search(rf"^Ran {TESTS} tests in ", output, re.MULTILINE), output
    assert f"PASSED (successes={TESTS})" in output, output


def test_istorageserver_on_the_twin(tmp_path: Path) -> None:
    """Both protocols pass upstream's tests, on the in-memory bucket."""
    _assert_all_passed(_trial("memory", tmp_path))


@pytest.mark.end_to_end
def test_istorageserver_on_seaweedfs(tmp_path: Path, seaweed: Any) -> None:
    """Both protocols pass upstream's tests, on a real S3 server."""
    seaweed.make_bucket("upstream")
    _assert_all_passed(_trial(seaweed.endpoint, tmp_path))
