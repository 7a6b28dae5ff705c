"""The two commands, as a person types them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from pathlib import Path

from tests.end_to_end.process import until

ROOT = Path(__file__).parents[2]
ENDS_WITHIN = 10.0


def descendants(pid: int) -> set[int]:
    """All processes below one, by what the kernel says now."""
    children: dict[int, set[int]] = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            try:
                stat = (folder / "stat").read_text()
            except OSError:
                continue
            parent = int(stat.rpartition(")")[2].split()[1])
            children.setdefault(parent, set()).add(int(folder.name))
    found: set[int] = set()
    todo = [pid]
    while todo:
        below = children.get(todo.pop(), set()) - found
        found |= below
        todo += below
    return found


def alive(pid: int) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


def signups(state: Path) -> list[dict[str, str]]:
    """What the demo wrote of its signups, once their mail was accepted."""
    path = state / "demo.json"
    if not path.exists():
        return []
    told: list[dict[str, str]] = json.loads(path.read_text())["signups"]
    return told


def test_make_demo_ends_whole(tmp_path) -> None:
    """``make demo`` in the background, with SIGINT ignored: SIGTERM to make ends every
    process within ten seconds, a customer's host as well.
    """
    state, out = tmp_path / "state", tmp_path / "out"
    arguments = f"DEMO_ARGS=--signup --state-dir {state}"
    with out.open("wb") as said:
        make = subprocess.Popen(
            ["sh", "-c", 'trap "" INT; exec make -C "$0" demo "$1"', ROOT, arguments],
            stdout=said,
            stderr=said,
            start_new_session=True,
            env={k: v for k, v in os.environ.items() if k != "MAKEFLAGS"},
        )
    try:
        until(lambda: make.poll() is not None or signups(state), "one signup", 180)
        assert make.poll() is None, out.read_text()
        below = descendants(make.pid)
        assert len(below) >= 8, "a launcher, five programs, a store, a host"
        began = time.monotonic()
        make.send_signal(signal.SIGTERM)
        make.wait(60)
        until(lambda: not any(map(alive, below)), "the end of all", ENDS_WITHIN)
        assert time.monotonic() - began < ENDS_WITHIN
        check_says_no_secret(state, out)
    finally:
        if make.poll() is None:
            os.killpg(make.pid, signal.SIGKILL)


def check_says_no_secret(state: Path, out: Path) -> None:
    """What the launcher printed and logged is for everybody's eyes."""
    (signup,) = signups(state)
    said = out.read_text() + (state / "launcher.log").read_text()
    assert signup["introducer_furl"].rpartition("/")[2] not in said
    for path in (state / "config" / "secrets").rglob("*"):
        if path.is_dir():
            continue
        secret = path.read_text().strip()
        if secret.startswith("pb://"):
            secret = secret.rpartition("/")[2]
        assert len(secret) > 8
        assert secret not in said, path.name
