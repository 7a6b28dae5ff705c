"""Tells podman how the site or daemon in this container is, as ``/health`` says.

``python -I container_health.py [COMMAND_LINE]``.  The container's first process was
told which settings it has, and those say where it serves ``/health``.  The script is
started each time anew, so it imports the standard library alone.
"""

from __future__ import annotations

import re
import sys
from http.client import HTTPConnection, HTTPException
from pathlib import Path

COMMAND_LINE = "/proc/1/cmdline"
PATIENCE = 8.0  # s
_OK = 200
_LISTEN = re.compile(
    r"^metrics_listen: *['\"]?tcp:(?:port=)?(\d+)(?::interface=([0-9.]+))?",
    re.MULTILINE,
)


def say_problem(command_line: Path) -> str | None:
    """What is wrong, in a line; None where all is well, or where nobody can say."""
    words = command_line.read_bytes().decode("utf-8", "replace").split("\0")
    settings, copy = _option(words, "--config"), _option(words, "--copy") or "1"
    if settings is None:
        return "the process was given no --config"
    try:
        found = _LISTEN.search(Path(settings).read_text("utf-8"))
    except OSError as e:
        return f"{settings}: {e.strerror}"
    if found is None:
        # metrics_listen is null: this process tells nobody.
        return None
    return _ask(found[2] or "127.0.0.1", int(found[1]) + int(copy) - 1)


def _option(words: list[str], name: str) -> str | None:
    for word, following in zip(words, [*words[1:], ""], strict=True):
        if word == name:
            return following
        if word.startswith(f"{name}="):
            return word.partition("=")[2]
    return None


def _ask(host: str, port: int) -> str | None:
    asking = HTTPConnection(host, port, timeout=PATIENCE)
    try:
        asking.request("GET", "/health")
        answer = asking.getresponse()
        status, told = answer.status, answer.read(1000)
    except (OSError, HTTPException) as e:
        return f"/health does not answer: {e}"
    finally:
        asking.close()
    return None if status == _OK else told.decode("utf-8", "replace").strip()


if __name__ == "__main__":
    problem = say_problem(Path(sys.argv[1] if len(sys.argv) > 1 else COMMAND_LINE))
    if problem is not None:
        sys.stderr.write(problem + "\n")
        raise SystemExit(1)
