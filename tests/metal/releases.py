"""The hosts' image again, as other releases: of the same layers, pushed and signed.  A
program, since the doors of AWS need a reactor: ``python -m tests.metal.releases FACTS
FOLDER`` writes their names.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from attrs import evolve
from twisted.internet.defer import Deferred
from twisted.internet.task import react

from lae_localcloud.demo.image import ship
from lae_localcloud.images import RELEASE, image_of_tree
from lae_provision.hosts.programs import RELEASE_LABEL
from lae_provision.images.folder import Image, write_image

#: What each release runs; None is what the image runs.
RELEASES: dict[str, tuple[int, list[str] | None]] = {
    "next": (RELEASE + 1, None),
    "broken": (RELEASE + 2, ["/opt/s4/bin/python", "-c", "raise SystemExit(1)"]),
}


def release(
    image: Image, folder: Path, number: int, entrypoint: list[str] | None
) -> Image:
    """The image as a release of this number, in the new folder."""
    told = json.loads(image.config.data)
    told["config"]["Labels"][RELEASE_LABEL] = str(number)
    if entrypoint is not None:
        told["config"]["Entrypoint"] = entrypoint
    folder.mkdir()
    data = json.dumps(told, sort_keys=True).encode()
    config = evolve(image.config, data=data)
    return write_image(folder, config, {one.digest: one for one in image.layers})


def main(facts_file: Path, folder: Path) -> None:
    """Push them, and say what they are called."""
    facts, image = json.loads(facts_file.read_text()), image_of_tree("node")

    async def shipped(reactor: Any) -> None:
        named = {}
        for what, (number, entrypoint) in RELEASES.items():
            made = release(image, folder / what, number, entrypoint)
            named[what] = (await ship(reactor, facts, made, lambda _: None))[0].text
        sys.stdout.write(json.dumps(named))

    react(lambda reactor: Deferred.fromCoroutine(shipped(reactor)))


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
