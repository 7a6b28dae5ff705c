"""The images of this tree as it is, committed or not, for the local cloud and tests.

They are kept in ``$XDG_CACHE_HOME/s4/images``, named by what they are made of, so that
each is built once for a state of the tree.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lae_provision.images.building import Builder
from lae_provision.images.folder import Image, NoImage, read_image
from lae_provision.images.recipe import NotFetched, read_base, read_recipe
from lae_provision.images.wheels import name_tree, wheels_of_tree

ROOT = Path(__file__).resolve().parents[1]
#: Of each image and layer: the newest.  Who keeps more has other trees.
KEPT = 4
#: The number of this tree's release.
RELEASE = 1


def cache_folder() -> Path:
    """Where this user's caches are, and ours among them."""
    told = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(told) / "s4" / "images"


def image_of_tree(name: str, root: Path = ROOT, cache: Path | None = None) -> Image:
    """The image *name* (``node``, ``service``) of the tree at *root*.

    Raises ``NotBuildable``.  Two processes that ask at the same time build once.
    """
    cache = cache or cache_folder()
    cache.mkdir(parents=True, exist_ok=True)
    made = cache / "made" / f"{name}-{name_tree(root)[:32]}"
    with _locked(cache / "lock"):
        try:
            found = read_image(made)
        except NoImage:
            shutil.rmtree(made, ignore_errors=True)
        else:
            os.utime(made)
            return found
        with tempfile.TemporaryDirectory(dir=cache, prefix="building-") as place:
            _build(name, root, cache, Path(place))
            made.parent.mkdir(exist_ok=True)
            Path(place, "image").rename(made)
        _forget_older(made.parent, f"{name}-*")
        for layer in ("base", "packages"):
            _forget_older(cache / "layers", f"{layer}-*.json")
        return read_image(made)


def _build(name: str, root: Path, cache: Path, place: Path) -> None:
    """Take Debian's packages of the last look, if the mirror still has them."""
    recipes = root / "config" / "containers"
    wanted = read_recipe(recipes, name)
    wheelhouse = cache / "wheelhouse"
    wheels = wheels_of_tree(root, wanted.requirements, place / "wheel", wheelhouse)
    builder = Builder(read_base(recipes), cache)
    try:
        builder.build(wanted, wheels, place / "image", RELEASE, update=False)
    except NotFetched:
        shutil.rmtree(place / "image", ignore_errors=True)
        builder.build(wanted, wheels, place / "image", RELEASE)


def _forget_older(folder: Path, pattern: str) -> None:
    """Remove what was not used for the longest time, with the file beside."""
    found = sorted(folder.glob(pattern), key=lambda p: p.stat().st_mtime)
    for path in found[:-KEPT]:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
            path.with_suffix("").unlink(missing_ok=True)


@contextmanager
def _locked(file: Path) -> Iterator[None]:
    with file.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield
