"""A running demo with one signup, for the documents' commands."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from attrs import define

from tests.docs.reading import ROOT


@define(frozen=True)
class Demo:
    """Where a running demo is, and its one signup."""

    state: Path
    facts: dict
    process: subprocess.Popen

    @property
    def signup(self) -> dict:
        return self.facts["signups"][0]


@pytest.fixture(scope="session")
def demo(tmp_path_factory):
    """The demo with one signup performed; ended by SIGTERM."""
    state = tmp_path_factory.mktemp("demo") / "state"
    said = (state.parent / "said.log").open("w+")
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "lae_localcloud",
            "demo",
            "--signup",
            "--state-dir",
            state,
        ],
        stdin=subprocess.DEVNULL,
        stdout=said,
        stderr=said,
    )
    try:
        yield Demo(state, _facts(process, state / "demo.json", said), process)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(20)


def _facts(process, path, said) -> dict:
    end = time.monotonic() + 120
    while time.monotonic() < end and process.poll() is None:
        if path.exists():
            facts = json.loads(path.read_text("utf-8"))
            if facts["signups"]:
                return facts
        time.sleep(0.1)
    said.seek(0)
    raise AssertionError(f"the demo did not get ready:\n{said.read()}")


@pytest.fixture(scope="session")
def client_bin() -> Path:
    """Where the unmodified tahoe of PyPI is."""
    folder = ROOT / ".client-venv" / "bin"
    if not (folder / "tahoe").exists():
        pytest.skip("no .client-venv: make install makes it")
    return folder
