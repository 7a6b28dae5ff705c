"""A small image, made without Debian and PyPI."""

from __future__ import annotations

from pathlib import Path

from lae_provision.hosts.programs import RELEASE_LABEL
from lae_provision.images.folder import Image, write_image
from lae_provision.images.layers import Below, make_layer
from lae_provision.images.manifest import make_config
from lae_provision.images.recipe import EPOCH, HealthCheck, Recipe

RECIPE = Recipe(
    "node",
    "node",
    (),
    ("/bin/true",),
    (),
    (),
    HealthCheck(("/bin/true",), 30, 5, 60, 3),
)


def small_image(
    folder: Path, content: str = "hello", version: str = "1.0", release: int = 1
) -> Image:
    """An image of one file in a new folder below *folder*."""
    root = folder / f"root-{version}"
    root.mkdir()
    (root / "file").write_text(content)
    into = folder / f"image-{version}"
    into.mkdir()
    layers = {"all": make_layer(root, Below({}), into / "layer")}
    labels = {
        "org.opencontainers.image.title": "node",
        "org.opencontainers.image.version": version,
        RELEASE_LABEL: str(release),
    }
    return write_image(into, make_config(RECIPE, layers, labels, EPOCH), layers)
