"""The images of this tree, built once for a state of it and kept outside the clone."""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lae_localcloud.images import image_of_tree
from lae_provision.images.folder import Image
from tests.images.registry_bench import run_cloud


@pytest.fixture(scope="session")
def node_image() -> Image:
    """The node's."""
    return image_of_tree("node")


@pytest.fixture(scope="session")
def service_image() -> Image:
    """The site's and daemon's."""
    return image_of_tree("service")


@pytest.fixture(scope="session")
def node_root(node_image: Image, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its files, as a host unpacks them."""
    return unpacked(node_image, tmp_path_factory.mktemp("node"))


@pytest.fixture(scope="session")
def service_root(
    service_image: Image, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """Its files, as a host unpacks them."""
    return unpacked(service_image, tmp_path_factory.mktemp("service"))


def unpacked(image: Image, folder: Path) -> Path:
    """Unpack the layers one over the other."""
    folder.chmod(0o755)
    for layer in image.layers:
        with tarfile.open(layer.file) as archive:
            archive.extractall(folder, filter="tar")
    return folder


@pytest.fixture(scope="session")
def registry_facts(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[dict[str, Any]]:
    """One local cloud with a registry for all tests here."""
    yield from run_cloud(tmp_path_factory.mktemp("cloud") / "state")
