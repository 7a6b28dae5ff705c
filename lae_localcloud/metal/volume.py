"""An instance's root volume: a file with a file system, as large as was asked for."""

from __future__ import annotations

import os
from pathlib import Path

from lae_localcloud.metal.namespace import said

_GIB = 1 << 30


def make_volume(path: Path, gib: int) -> None:
    """Make it, sparse; it takes room only for what is written to it.  Blocks."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as volume:
        volume.truncate(gib * _GIB)
    late = "lazy_itable_init=1,lazy_journal_init=1,nodiscard"
    said("mkfs.ext4", "-q", "-m", "0", "-E", late, str(path))
