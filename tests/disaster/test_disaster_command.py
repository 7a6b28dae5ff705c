"""``lae disaster``, typed wrongly, and on a backup that is no good."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pyrage
import pytest
from click.testing import CliRunner

from lae_flapp.backup.witnessed import Drill, drills_prefix
from lae_protocol.process.command import main
from tests.disaster.ground import HOME, Machine, tree

KEYS = {"AWS_ACCESS_KEY_ID": "AKIATEST", "AWS_SECRET_ACCESS_KEY": "not a secret"}


@pytest.fixture
def key_file(machine: Machine, tmp_path: Path) -> Path:
    path = tmp_path / "recovery.key"
    path.write_text(f"# public key: age1...\n{machine.key}\n")
    return path


def typed(*arguments: object) -> tuple[int, str]:
    """In this process, as far as it comes without a reactor."""
    told = CliRunner().invoke(main, ["disaster", *map(str, arguments)], env=KEYS)
    assert told.exception is None or isinstance(told.exception, SystemExit)
    return told.exit_code, told.output


def lae(verb: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    """A process of its own: its reactor runs once."""
    program = Path(sys.executable).with_name("lae")
    return subprocess.run(
        [str(program), "disaster", verb, *map(str, arguments)],
        check=False,
        capture_output=True,
        text=True,
        env={"PATH": os.defpath, **KEYS},
        timeout=120,
    )


def place(machine: Machine, key_file: Path) -> list[object]:
    return [
        *("--copy", machine.bucket, "--deployment", HOME.deployment),
        *("--recovery-key", key_file),
    ]


def test_typed_wrongly(machine, key_file, tmp_path) -> None:
    """A bucket and a copy at once, neither of them, a life that is none, a file without
    a key, and a recovery that nobody confirms: each ends in a line, before anything is
    done.
    """
    of_backup = place(machine, key_file)
    none = tmp_path / "none"
    none.write_text("no key\n")
    before = tree(tmp_path)
    for code, words, arguments in (
        (2, "say --bucket, or --copy", ["drill", *of_backup, "--bucket", "b"]),
        (2, "say --bucket, or --copy", ["drill", *of_backup[2:]]),
        (1, "no name of a daemon's life", ["drill", *of_backup, "--life", "newest"]),
        (1, "has no AGE-SECRET-KEY-1", ["drill", *of_backup[:-1], none]),
        (2, "--yes", ["recover", *of_backup]),
        (2, "--customer and --cap go", ["drill", *of_backup, "--customer", "su"]),
    ):
        assert (typed(*arguments)[0], words in typed(*arguments)[1]) == (code, True)
    assert tree(tmp_path) == before


def test_a_drill_that_fails_is_written_down(machine, key_file, tmp_path) -> None:
    """What was wrong has its name in the exit, and in the bucket, where the daemon
    reads it; the folder to build in is as it was, and the key stands nowhere.
    """
    other = tmp_path / "other.key"
    other.write_text(str(pyrage.x25519.Identity.generate()))
    arguments = [*place(machine, other), "--into", tmp_path / "into", "--json"]
    done = lae("drill", *arguments)
    assert done.returncode == 4
    assert "wrong-recovery-key: " in done.stderr
    assert "AGE-SECRET-KEY" not in done.stdout + done.stderr
    assert not (tmp_path / "into").exists()
    [record] = (machine.bucket / drills_prefix(HOME.deployment)).iterdir()
    drill = Drill.from_json(record.read_bytes())
    assert (drill.outcome, drill.life) == ("wrong-recovery-key", "")
    assert json.loads(record.read_text())["at"] == drill.at.isoformat()


def test_a_dry_run_of_a_recovery(machine, key_file, tmp_path) -> None:
    """On the machine that is not gone even a dry run is refused."""
    before = tree(tmp_path)
    done = lae("recover", *place(machine, key_file), "--dry-run")
    assert done.returncode == 4
    assert "target-taken: there is a journal" in done.stderr
    assert tree(tmp_path) == before
