"""An image's folder is whole, or it is none."""

from __future__ import annotations

from pathlib import Path

import pytest

from lae_provision.images.folder import Image, NoImage, read_image
from tests.images.small import small_image


@pytest.fixture
def image(tmp_path: Path) -> Image:
    return small_image(tmp_path)


def test_what_was_written_is_read(image: Image) -> None:
    """The same digests, sizes and labels."""
    assert read_image(image.folder) == image
    assert image.labels["org.opencontainers.image.version"] == "1.0"


@pytest.mark.parametrize("part", ["layer", "config", "gone", "manifest"])
def test_a_folder_that_changed_has_no_image(image: Image, part: str) -> None:
    """A changed or missing blob is told by its name, and nothing is pushed of it."""
    match part:
        case "layer":
            file = image.layers[0].file
            file.write_bytes(file.read_bytes() + b"x")
            wrong = f"{file.name} changed since"
        case "config":
            file = image.folder / image.config.digest.removeprefix("sha256:")
            file.write_bytes(image.config.data.replace(b"10001", b"00000"))
            wrong = f"{file.name} changed since"
        case "gone":
            image.layers[0].file.unlink()
            wrong = "No such file"
        case _:
            (image.folder / "manifest.json").write_text("[]")
            wrong = str(image.folder)
    with pytest.raises(NoImage, match=wrong):
        read_image(image.folder)
