"""Writes a benchmark's section of ``docs/benchmarks.rst``, and nobody else's."""

from __future__ import annotations

import os
import platform
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from textwrap import fill

DOCUMENT = Path(__file__).parents[2] / "docs" / "benchmarks.rst"


def replaced(document: str, name: str, section: str) -> str:
    """Put a section between its markers, which are added at the end if missing.

    Raises ValueError where only one marker is there, or one is doubled.
    """
    begin, end = f".. {name}: begin\n", f".. {name}: end\n"
    counts = document.count(begin), document.count(end)
    inside = f"{begin}\n{section.strip()}\n\n{end}"
    match counts:
        case (0, 0):
            return f"{document.rstrip()}\n\n{inside}".lstrip()
        case (1, 1) if document.index(begin) < document.index(end):
            before, rest = document.split(begin)
            return before + inside + rest.split(end)[1]
    raise ValueError(f"the markers of {name} are broken: {counts}")


def write(name: str, section: str, document: Path = DOCUMENT) -> None:
    """Replace the section in the file."""
    document.write_text(
        replaced(document.read_text("utf-8"), name, section), encoding="utf-8"
    )


def machine() -> str:
    """When and where: a paragraph of the section."""
    now = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    cores, load = len(os.sched_getaffinity(0)), os.getloadavg()[0]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    text = (
        f"Measured {now} at commit {_commit()} on {cores} cores of {_cpu()}, "
        f"{memory:.0f} GiB, {platform.system()} {platform.release()}, "
        f"Python {platform.python_version()}; load average at the start {load:.2f}."
    )
    return fill(text, 88) + "\n"


def _cpu() -> str:
    for line in Path("/proc/cpuinfo").read_text("utf-8").splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.machine()


def _commit() -> str:
    done = subprocess.run(
        ["git", "describe", "--always", "--dirty"],
        cwd=DOCUMENT.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout.strip() or "unknown"
