"""Litestream restores one life's journal into a file."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from pathlib import Path

from twisted.internet.threads import deferToThread

from lae_flapp.backup.litestream_run import program
from lae_flapp.disaster.reasons import (
    BackupIsCut,
    BackupIsDamaged,
    BucketAway,
    CannotRebuild,
)
from lae_flapp.disaster.shelf import Replica

#: What Litestream calls the database; nothing lies there.
_NAME = "/journal.sqlite"
#: What its complaints have in them, and what that means; the first one counts.
_MEANINGS: tuple[tuple[str, type[CannotRebuild]], ...] = (
    ("operation error", BucketAway),
    ("dial tcp", BucketAway),
    ("non-contiguous", BackupIsCut),
    ("no matching backup", BackupIsCut),
    ("cannot calc restore plan", BackupIsCut),
    ("unexpected EOF", BackupIsCut),
)


async def fetch_journal(replica: Replica, into: Path) -> None:
    """Restore the newest state that the backup has into the file *into*, a new one.

    Raises :class:`CannotRebuild` kinds, and leaves nothing then.
    """
    await deferToThread(_restore, replica, into)


def _restore(replica: Replica, into: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "litestream.yml"
        database = {"path": _NAME, "replica": dict(replica.said)}
        # JSON is YAML.
        config.write_text(json.dumps({"dbs": [database]}))
        argv = (program(), "restore", "-no-expand-env", "-config", str(config))
        done = subprocess.run(  # noqa: S603  (our own arguments)
            (*argv, "-o", str(into), _NAME),
            env={"PATH": os.defpath, "HOME": folder, **replica.environment},
            capture_output=True,
            text=True,
            check=False,
        )
    if done.returncode == 0 and into.exists():
        into.chmod(0o600)
        return
    for left in into.parent.glob(f"{into.name}*"):
        left.unlink()
    raise meaning_of(done.stderr)


def meaning_of(said: str) -> CannotRebuild:
    """What Litestream's complaint means.  Pure."""
    lines = [line for line in said.splitlines() if line.strip()]
    last = lines[-1].strip() if lines else "it says nothing"
    for words, kind in _MEANINGS:
        if words in said:
            return kind(f"Litestream cannot restore the journal: {last}")
    return BackupIsDamaged(f"Litestream cannot restore the journal: {last}")
