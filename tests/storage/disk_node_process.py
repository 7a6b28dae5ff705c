"""Upstream's storage node on a disk as a process, unmodified:

    python tests/storage/disk_node_process.py FOLDER PORT [force-foolscap]

Prints one line of JSON, what a client needs to find it, when it serves.
"""

from __future__ import annotations

import sys
from pathlib import Path

from allmydata.client import create_client
from running_node import prepare, run


def main(folder: Path, port: str, *more: str) -> None:
    """Run until killed, or told to end."""
    prepare(folder, port, foolscap="force-foolscap" in more)
    run(folder, lambda: create_client(str(folder)))


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
