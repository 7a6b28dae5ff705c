"""The commands of the page about ``lae``, and the shapes of what they print."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.reading import ROOT, blocks

PAGE = ROOT / "docs" / "lae.rst"
BIN = Path(sys.executable).parent


@pytest.fixture(scope="module")
def typed(demo, tmp_path_factory) -> dict[str, str]:
    """What each command of the page prints, in their order, against a demo; each
    succeeds.
    """
    folder = tmp_path_factory.mktemp("lae")
    meanings = {
        "/etc/s4/daemon.yaml": str(demo.state / "config" / "daemon.yaml"),
        "/etc/s4/site.yaml": str(demo.state / "config" / "site.yaml"),
        "/etc/s4/operator.furl": demo.facts["operator_furl_file"],
        "/run/s4": str(folder),
        "SIGNUP": demo.signup["signup_id"],
    }
    environment = {
        "PATH": f"{BIN}:{os.environ['PATH']}",
        "HOME": str(folder),
        "LANG": "C.UTF-8",
    }
    said = {}
    for block in blocks(PAGE):
        for command in block.commands:
            meant = command
            for name, meaning in meanings.items():
                meant = meant.replace(name, meaning)
            if meant.startswith("export "):
                name, _, value = meant.removeprefix("export ").partition("=")
                environment[name] = value
                continue
            done = subprocess.run(
                ["bash", "-c", meant],
                check=False,
                cwd=folder,
                env=environment,
                capture_output=True,
                text=True,
                timeout=60,
            )
            assert done.returncode == 0, f"{meant}\n{done.stdout}{done.stderr}"
            said[command] = done.stdout
    return said


@pytest.mark.end_to_end
def test_every_command_of_the_page(typed):
    """Each says something, and a dry run what would be, or that there is nothing."""
    assert len(typed) > 40
    for command, told in typed.items():
        assert told or ">" in command, command
        if "--dry-run" in command:
            assert told.startswith(("Would ", "No such ")), command


@pytest.mark.end_to_end
def test_json_is_as_documented(typed):
    """What ``--json`` prints has the keys that the page shows, and no others."""
    commands = [command for command in typed if "--json" in command]
    examples = [json.loads(block.text) for block in blocks(PAGE, "json")]
    for command, documented in zip(commands, examples, strict=True):
        assert _shape(json.loads(typed[command])) == _shape(documented), command


def _shape(value):
    """Names and nesting alone; of a list its first member's."""
    if isinstance(value, dict):
        return {key: _shape(one) for key, one in sorted(value.items())}
    if isinstance(value, list):
        return [_shape(value[0])] if value else []
    return None
