"""Tells podman whether the node serves: ``python -I health.py [STATE_FOLDER]``.

The introducer is asked for its Tub as any client asks, in the clear, before TLS.  A
node that is not well is killed, so it is told here what a new start may mend.  The
process is new each time, so it imports the standard library alone.
"""

from __future__ import annotations

import json
import re
import socket
import sys
from pathlib import Path

STATE_FOLDER = "/var/lib/s4"
PATIENCE = 5.0  # s
#: ``tcp:PORT``, perhaps with ``:interface=ADDRESS``.
_PORT = re.compile(r"tcp:(\d+)(?::interface=([0-9.]+))?")


def say_problem(folder: Path) -> str | None:
    """What is wrong, in a line; None if the node serves."""
    try:
        claimed = json.loads((folder / "claimed.json").read_text("utf-8"))
        tub = claimed["identity"]["introducer"]
        match = _PORT.fullmatch(tub["port"])
        name = tub["tub_id"].encode("ascii")
    except FileNotFoundError:
        return "the host has not claimed its identity yet"
    except (ValueError, KeyError, TypeError):
        return "claimed.json is damaged"
    if match is None:
        return "claimed.json names no port"
    try:
        return _ask(match[2] or "127.0.0.1", int(match[1]), name)
    except OSError as e:
        return f"the introducer does not answer: {e.strerror or e}"


def _ask(host: str, port: int, tub: bytes) -> str | None:
    asking = (
        b"GET /id/%s HTTP/1.1\r\nHost: localhost\r\nUpgrade: TLS/1.0\r\n"
        b"Connection: Upgrade\r\n\r\n" % tub
    )
    try:
        with socket.create_connection((host, port), PATIENCE) as connection:
            connection.sendall(asking)
            answer = connection.recv(64)
    except (ConnectionResetError, BrokenPipeError):
        answer = b""
    # A crowd is turned away without a word: the node is busy, and lives.
    if not answer or answer.startswith(b"HTTP/1.1 101 "):
        return None
    return "the introducer answers, but not for this grid"


if __name__ == "__main__":
    problem = say_problem(Path(sys.argv[1] if len(sys.argv) > 1 else STATE_FOLDER))
    if problem is not None:
        sys.stderr.write(problem + "\n")
        raise SystemExit(1)
