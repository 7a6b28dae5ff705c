"""Write a new migration: the difference between the tables as declared and as the
newest migration makes them.  For developers::

    python -m lae_flapp.journal.revision 0002 "what it adds"

Read and correct what it wrote; triggers and moves of data are not seen by it.
"""

from __future__ import annotations

import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from alembic import command

from lae_flapp.journal import opening, sqlite


def write(name: str, message: str) -> None:
    """Write ``migrations/versions/<name>_<message>.py``."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "journal"
        engine = sqlite.engine(path, writes=True, connections=1)
        opening.upgrade(path, engine, datetime.now(UTC))
        config = opening.configuration()
        with engine.begin() as connection:
            config.attributes["connection"] = connection
            command.revision(config, message, autogenerate=True, rev_id=name)
        engine.dispose()


if __name__ == "__main__":
    write(*sys.argv[1:3])
