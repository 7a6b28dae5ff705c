"""What this process may take of its host, and the folder it takes it in."""

from __future__ import annotations

import shutil
from pathlib import Path

from attrs import define

#: Bytes on a disk with room.
MOST_SPOOL, MOST_KEPT = 8 * 1024**3, 256 * 1024**2


@define(frozen=True)
class Limits:
    """Bytes of memory for reads, and of disk: for unfinished uploads together, and for
    shares that were just stored.
    """

    read_memory: int = 32 * 1024 * 1024
    spool: int = MOST_SPOOL
    kept: int = MOST_KEPT


def fitting(free: int) -> Limits:
    """The limits on a disk with so many bytes free: an eighth of it is for others.

    Of the rest an eighth at most is for what was just stored.
    """
    ours = free - free // 8
    kept = min(MOST_KEPT, ours // 8)
    return Limits(spool=min(MOST_SPOOL, ours - kept), kept=kept)


def limits_in(folder: Path) -> Limits:
    """The limits on the disk that *folder* is to be on; it need not be there yet."""
    there = next(path for path in (folder, *folder.parents) if path.exists())
    return fitting(shutil.disk_usage(there).free)


def clear_cache(folder: Path) -> None:
    """Nothing that an earlier process left is of use: S3 has all that counts."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for left in (*folder.glob("upload-*"), folder / "shares"):
        if left.is_dir():
            shutil.rmtree(left, ignore_errors=True)
        else:
            left.unlink(missing_ok=True)
