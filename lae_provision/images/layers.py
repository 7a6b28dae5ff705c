"""Layers: what a folder has beyond the layers below, in the same bytes each time.

Owner, time and order of the entries are ours, and a file's mode is one of two, so that
a layer depends on names, contents and who may execute them, and on nothing else.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import stat
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, cast

from attrs import define, field

from lae_provision.deploy.source import digest_of
from lae_provision.images.recipe import EPOCH, NotBuildable

#: Twisted takes a cache of plugins only if it is newer than the plugins.
_NEWER = frozenset({"dropin.cache"})
#: Everybody may write there.
_OPEN_FOLDERS = frozenset({"tmp"})
_LEVEL = 6


@define(frozen=True)
class Layer:
    """A layer's file and its two digests: compressed, and as the host unpacks it."""

    file: Path
    digest: str
    diff_id: str
    size: int


@define(frozen=True)
class Below:
    """What a folder had: each path with what would change if its content did."""

    paths: dict[str, tuple[int, int]]


def look(root: Path) -> Below:
    """Look what the folder has now."""
    return Below({name: _trace(status) for name, status in _walk(root)})


def make_layer(root: Path, below: Below, file: Path) -> Layer:
    """Write what *root* has and *below* had not, with the folders that lead there.

    A path that changed would be in both layers; none may.
    """
    found = dict(_walk(root))
    new: set[str] = set()
    for name, status in found.items():
        before = below.paths.get(name)
        if before is None:
            new |= {name, *_parents(name)}
        elif not stat.S_ISDIR(status.st_mode) and before != _trace(status):
            raise NotBuildable(f"{name} changed after its layer was made")
    with file.open("wb") as raw, gzip.GzipFile("", "wb", _LEVEL, raw, 0) as packed:
        out = _Hashed(packed)
        with tarfile.open(
            fileobj=cast("IO[bytes]", out), mode="w|", format=tarfile.GNU_FORMAT
        ) as archive:
            for name in sorted(new):
                _add(archive, root / name, name, found[name])
    return Layer(
        file,
        f"sha256:{digest_of(file)}",
        f"sha256:{out.hasher.hexdigest()}",
        file.stat().st_size,
    )


def unpack_layer(file: Path, root: Path) -> None:
    """Put a layer that we made into *root*, with the times and modes that it has."""
    with tarfile.open(file, "r|gz") as archive:
        archive.extractall(root, filter="tar")


@define
class _Hashed:
    """Hands on what is written, and hashes it."""

    to: gzip.GzipFile
    hasher: Any = field(factory=hashlib.sha256)

    def write(self, data: bytes) -> int:
        self.hasher.update(data)
        return self.to.write(data)


def _add(archive: tarfile.TarFile, path: Path, name: str, status: Any) -> None:
    entry = tarfile.TarInfo(name)
    entry.mtime = EPOCH + 1 if path.name in _NEWER else EPOCH
    entry.mode = 0o755
    if stat.S_ISDIR(status.st_mode):
        entry.type = tarfile.DIRTYPE
        entry.mode = 0o1777 if name in _OPEN_FOLDERS else 0o755
    elif stat.S_ISLNK(status.st_mode):
        entry.type = tarfile.SYMTYPE
        entry.linkname = str(path.readlink())
        entry.mode = 0o777
    elif stat.S_ISREG(status.st_mode):
        entry.size = status.st_size
        entry.mode = 0o755 if status.st_mode & stat.S_IXUSR else 0o644
        with path.open("rb") as content:
            archive.addfile(entry, content)
        return
    else:
        raise NotBuildable(f"{name} is neither file, folder nor link")
    archive.addfile(entry)


def _walk(root: Path) -> Iterator[tuple[str, os.stat_result]]:
    """Each path below *root*, without following links."""
    for folder, folders, files in os.walk(root):
        for name in (*folders, *files):
            path = Path(folder, name)
            yield str(path.relative_to(root)), path.lstat()


def _parents(name: str) -> Iterator[str]:
    while name := name.rpartition("/")[0]:
        yield name


def _trace(status: os.stat_result) -> tuple[int, int]:
    return status.st_size, status.st_mtime_ns
