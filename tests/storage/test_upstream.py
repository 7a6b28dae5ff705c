"""Upstream's own tests of storage servers, run against ours."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

TRIAL = Path(__file__).with_name("upstream_trial.py")
#: Upstream's modules, and how many tests each has; none of them is excluded.  What is
#: portable of a third, and why the rest is not, is in ``upstream_storage.py``.
ISTORAGESERVER = ("allmydata.test.test_istorageserver", 69)
STORAGE_HTTP = ("allmydata.test.test_storage_http", 66)
PORTABLE_STORAGE = 54


def _trial(where: str, folder: Path, *module: str) -> str:
    """Run a module's tests; trial's last lines."""
    done = subprocess.run(
        [sys.executable, str(TRIAL), where, "--reporter=text", *module],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
        # Upstream's own profile for busy machines: no deadline of 200 ms for an example.
        env=os.environ | {"TAHOE_LAFS_HYPOTHESIS_PROFILE": "ci"},
    )
    return "\n".join(done.stdout.splitlines()[-200:] + done.stderr.splitlines()[-20:])


def _assert_all_pass(where: str, folder: Path, suite: tuple[str, int]) -> None:
    module, tests = suite
    _assert_passed(_trial(where, folder, module), tests)


def _assert_passed(output: str, tests: int) -> None:
    assert re.search(rf"^Ran {tests} tests in ", output, re.MULTILINE), output
    assert f"PASSED (successes={tests})" in output, output


def test_istorageserver_on_the_twin(tmp_path: Path) -> None:
    """Both protocols pass upstream's tests, on an in-memory bucket that does not show
    at first what was written.
    """
    _assert_all_pass("young", tmp_path, ISTORAGESERVER)


def test_storage_http_on_the_twin(tmp_path: Path) -> None:
    """The HTTP front passes upstream's tests of its own."""
    _assert_all_pass("memory", tmp_path, STORAGE_HTTP)


def test_storage_on_the_twin(tmp_path: Path) -> None:
    """The storage server passes what is portable of upstream's tests of its own."""
    _assert_passed(_trial("storage", tmp_path), PORTABLE_STORAGE)


@pytest.mark.end_to_end
def test_istorageserver_on_seaweedfs(tmp_path: Path, seaweed: Any) -> None:
    """Both protocols pass upstream's tests, on a real S3 server."""
    seaweed.make_bucket("upstream")
    _assert_all_pass(seaweed.endpoint, tmp_path, ISTORAGESERVER)
