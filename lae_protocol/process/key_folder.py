"""Keys of one kind, one to a file in a folder of their own.

The files are called ``0001.key``, ``0002.key`` and so on.  The highest number is the
newest key, which seals or signs; all of them open or verify.  ``0003.next`` is a key
that opens and verifies and does not seal or sign yet, so that every copy of a process
can know it before any copy uses it.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from attrs import define

from lae_protocol.process.settings import SettingsError, read_private
from lae_protocol.secret import Secret

_NAME = re.compile(r"^([0-9]{4})\.(key|next)$")


@define(frozen=True)
class KeyFile:
    """One key; *waits* is True while it does not seal or sign yet."""

    path: Path
    number: int
    waits: bool

    def read(self) -> Secret:
        """Read it; raises :class:`SettingsError`, which names the file."""
        return read_private(self.path)


@define(frozen=True)
class KeyFolder:
    """The folder that the settings name."""

    folder: Path

    def read(self) -> tuple[Secret, ...]:
        """Read every key, first the one that seals or signs.

        Raises :class:`SettingsError` for a folder without one, for a file that is no
        key, and for a file that others can read.
        """
        return tuple(file.read() for file in self.files())

    def files(self) -> tuple[KeyFile, ...]:
        """List the keys in use, newest first, then those that wait, newest first."""
        found = self.listed()
        if not found or found[0].waits:
            raise SettingsError(f"{self.folder}: there is no key in it (0001.key)")
        return found

    def listed(self) -> tuple[KeyFile, ...]:
        """List the keys as :meth:`files` does, of a folder that may have none.

        Names that begin with a dot are skipped: where a container's secrets are
        mounted, such folders stand beside them.
        """
        try:
            paths = sorted(self.folder.iterdir())
        except OSError as e:
            raise SettingsError(f"{self.folder}: {e.strerror}") from None
        found: dict[int, KeyFile] = {}
        for path in paths:
            if path.name.startswith("."):
                continue
            match = _NAME.match(path.name)
            if match is None:
                raise SettingsError(
                    f"{path}: this is no name of a key (0001.key, 0002.key, ...);"
                    " only keys may lie in this folder"
                )
            number = int(match[1])
            if number in found:
                raise SettingsError(f"{path}: two keys have the number {match[1]}")
            found[number] = KeyFile(path, number, waits=match[2] == "next")
        return tuple(sorted(found.values(), key=lambda f: (f.waits, -f.number)))


def write_key(path: Path, secret: str, owner: os.stat_result) -> None:
    """Write a new key, whole, for *owner* alone; never over another."""
    partial = path.with_name(f".{path.name}.new")
    partial.unlink(missing_ok=True)
    made = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(made, "w", encoding="utf-8") as out:
            os.fchown(out.fileno(), owner.st_uid, owner.st_gid)
            out.write(secret + "\n")
            out.flush()
            os.fsync(out.fileno())
        path.hardlink_to(partial)
    finally:
        partial.unlink(missing_ok=True)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
