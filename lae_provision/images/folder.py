"""A whole image in a folder, in the layout that skopeo and podman call ``dir:``.

``manifest.json``, each blob under its digest, and ``version``; ``sbom.json`` is ours.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from attrs import define, evolve

from lae_provision.deploy.source import digest_of
from lae_provision.images.layers import Layer
from lae_provision.images.manifest import (
    CONFIG,
    MANIFEST,
    Document,
    digest_of_bytes,
    make_manifest,
)

MANIFEST_FILE = "manifest.json"
BILL_FILE = "sbom.json"


class NoImage(Exception):
    """The folder has no whole image.  Build it anew."""


@define(frozen=True)
class Image:
    """A folder's image.  *config* is inside, too; *layers* from the bottom up."""

    folder: Path
    manifest: Document
    config: Document
    layers: tuple[Layer, ...]

    @property
    def digest(self) -> str:
        """The image's name everywhere."""
        return self.manifest.digest

    @property
    def size(self) -> int:
        """What a host pulls that has none of the layers."""
        return len(self.config.data) + sum(layer.size for layer in self.layers)

    @property
    def labels(self) -> dict[str, str]:
        """What the image says of itself."""
        told: dict[str, str] = json.loads(self.config.data)["config"]["Labels"]
        return told


def write_image(folder: Path, config: Document, layers: Mapping[str, Layer]) -> Image:
    """Put documents and layers into *folder*; what lies there already is moved."""
    placed = []
    for layer in layers.values():
        place = folder / _name(layer.digest)
        if layer.file.parent == folder:
            layer.file.replace(place)
        else:
            shutil.copyfile(layer.file, place)
        placed.append(evolve(layer, file=place))
    (folder / _name(config.digest)).write_bytes(config.data)
    (folder / "version").write_text("Directory Transport Version: 1.1\n", "ascii")
    manifest = make_manifest(config, layers)
    # Last: a folder without it has no image.
    (folder / MANIFEST_FILE).write_bytes(manifest.data)
    return Image(folder, manifest, config, tuple(placed))


def read_image(folder: Path) -> Image:
    """Read what :func:`write_image` wrote; raises :class:`NoImage`.

    Each blob is hashed: what changed since it was made is no part of the image.
    """
    try:
        manifest = Document((folder / MANIFEST_FILE).read_bytes(), MANIFEST)
        told = json.loads(manifest.data)
        config = Document(
            (folder / _name(told["config"]["digest"])).read_bytes(), CONFIG
        )
        diff_ids = json.loads(config.data)["rootfs"]["diff_ids"]
        layers = tuple(
            _layer(folder, one, diff_id)
            for one, diff_id in zip(told["layers"], diff_ids, strict=True)
        )
        wanted = told["config"]["digest"]
    except (OSError, ValueError, KeyError, TypeError) as e:
        raise NoImage(f"{folder}: {e}") from None
    if digest_of_bytes(config.data) != wanted:
        raise NoImage(f"{folder}: {_name(wanted)} changed since it was made")
    return Image(folder, manifest, config, layers)


def _layer(folder: Path, told: dict[str, Any], diff_id: str) -> Layer:
    file = folder / _name(told["digest"])
    if f"sha256:{digest_of(file)}" != told["digest"]:
        raise ValueError(f"{file.name} changed since it was made")
    return Layer(file, told["digest"], diff_id, file.stat().st_size)


def _name(digest: str) -> str:
    return digest.removeprefix("sha256:")
