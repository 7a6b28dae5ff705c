"""An image's wheels: of a commit, as a release has them, or of a tree as it is."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from lae_provision.deploy.source import (
    Source,
    build_wheel,
    committed_at,
    exported,
    gather_wheels,
    read_pins,
)
from lae_provision.images.building import Wheels
from lae_provision.images.recipe import EPOCH

#: What our wheel is made of.
_MADE_OF = ("setup.py", "pyproject.toml", "README.rst", "docs/lae.1", "requirements")
_PACKAGES = ("lae_*", "twisted", "templates", "config")
_SHORT = 12  # characters of a hash
#: In no wheel, and in no tree of others.
_NOT = frozenset({"__pycache__", "lae_localcloud"})


def wheels_of_commit(source: Source, requirements: str, into: Path) -> Wheels:
    """Our wheel of the committed files alone, and the wheels that it needs."""
    with exported(source) as folder:
        return _gather(
            folder,
            requirements,
            source.suffix,
            committed_at(source),
            into,
            source.root / "build" / "wheelhouse",
        )


def wheels_of_tree(root: Path, requirements: str, into: Path, kept: Path) -> Wheels:
    """The same of a tree that is perhaps not committed: for the local cloud."""
    with tempfile.TemporaryDirectory(prefix="s4-image-") as place:
        folder = Path(place)
        for path in _files_of(root):
            target = folder / path.relative_to(root)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
        suffix = f"+t{name_tree(root)[:_SHORT]}"
        return _gather(folder, requirements, suffix, EPOCH, into, kept)


def name_tree(root: Path) -> str:
    """A name of what wheels are made of, which is another after each change."""
    hashed = hashlib.sha256()
    for path in sorted(_files_of(root)):
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        hashed.update(f"{path.relative_to(root)} {content}\n".encode())
    return hashed.hexdigest()


def _gather(  # noqa: PLR0917  (two callers, above)
    folder: Path, requirements: str, suffix: str, when: int, into: Path, kept: Path
) -> Wheels:
    into.mkdir(parents=True)
    wheel = build_wheel(folder, suffix, when, into)
    wheels, pip = gather_wheels(kept, *read_pins(folder, requirements))
    return Wheels(wheel, wheels, pip, when)


def _files_of(root: Path) -> Iterator[Path]:
    tops = [root / name for name in _MADE_OF]
    tops += [path for name in _PACKAGES for path in root.glob(name)]
    for top in tops:
        for path in (top, *top.rglob("*")):
            inside = path.relative_to(root).parts
            if path.is_file() and not _NOT.intersection(inside):
                yield path
