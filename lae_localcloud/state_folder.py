"""The folder of one run: fresh, private, and recognisable as ours."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

_MARK = ".s4-localcloud"


class StateFolderUsed(Exception):
    """There is something in the folder.  Name another one, or have it emptied."""


def prepare_state_folder(folder: Path, *, clean: bool) -> Path:
    """Make it, 0700; with *clean*, empty one that an earlier run left.

    What was not made by us is never deleted.  Raises :class:`StateFolderUsed`.
    """
    folder = folder.resolve()
    if folder.exists() and any(folder.iterdir()):
        if not (folder / _MARK).exists():
            raise StateFolderUsed(f"{folder} is not empty, and not of an earlier run")
        if not clean:
            raise StateFolderUsed(
                f"{folder} holds an earlier run, which the local cloud has forgotten:"
                " remove it, or say --clean"
            )
        shutil.rmtree(folder)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.chmod(0o700)
    (folder / _MARK).touch()
    return folder


def write_private(path: Path, text: str) -> None:
    """Write a file that only we can read, whole or not at all."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as out:
        out.write(text)
    temporary.replace(path)
