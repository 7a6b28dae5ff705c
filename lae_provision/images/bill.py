"""An image's list of parts: what Python has installed, and Debian's packages."""

from __future__ import annotations

import json
import uuid
from urllib.parse import quote

from lae_provision.images.debian import Package
from lae_provision.images.recipe import ARCHITECTURE

_SPACE = uuid.UUID("1f1e0f5c-3a2f-5d0b-9a54-0a3e3d7a6f5e")


def add_debian(told: str, packages: tuple[Package, ...], suite: str) -> str:
    """Add *packages* to the CycloneDX list *told*."""
    whole = json.loads(told)
    whole["components"] = [
        *(part for part in whole["components"] if part["name"] != "python"),
        *(_describe(package, suite) for package in packages),
    ]
    del whole["serialNumber"]
    serial = uuid.uuid5(_SPACE, json.dumps(whole, sort_keys=True))
    return json.dumps({**whole, "serialNumber": f"urn:uuid:{serial}"}, indent=1) + "\n"


def _describe(package: Package, suite: str) -> dict[str, object]:
    version = quote(package.version, safe=".-~")
    purl = f"pkg:deb/debian/{package.name}@{version}?arch={ARCHITECTURE}&distro={suite}"
    return {
        "type": "library",
        "bom-ref": purl,
        "name": package.name,
        "version": package.version,
        "purl": purl,
        "hashes": [{"alg": "SHA-256", "content": package.sha256}],
    }
