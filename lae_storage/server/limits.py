"""What this process may take of its host, and the folder it takes it in."""

from __future__ import annotations

import shutil
from pathlib import Path

from attrs import define


@define(frozen=True)
class Limits:
    """Bytes of memory for reads, and of disk for unfinished uploads together."""

    read_memory: int = 32 * 1024 * 1024
    spool: int = 8 * 1024**3


def clear_cache(folder: Path) -> None:
    """Nothing that an earlier process left is of use: S3 has all that counts."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for left in (*folder.glob("upload-*"), folder / "shares"):
        if left.is_dir():
            shutil.rmtree(left, ignore_errors=True)
        else:
            left.unlink(missing_ok=True)
