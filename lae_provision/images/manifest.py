"""An image's two documents, in the one form that their digests are of.  Pure.

Docker's format of 2016 (schema 2), which every registry and engine reads: OCI's has no
place for a health check.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from attrs import define

from lae_provision.images.layers import Layer
from lae_provision.images.recipe import (
    ARCHITECTURE,
    PREFIX,
    STATE_FOLDER,
    USER,
    HealthCheck,
    Recipe,
)

MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
CONFIG = "application/vnd.docker.container.image.v1+json"
LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"

_NANO = 1_000_000_000


@define(frozen=True)
class Document:
    """A document as its bytes are stored; its digest names it."""

    data: bytes
    media_type: str

    @property
    def digest(self) -> str:
        """The name of these bytes."""
        return digest_of_bytes(self.data)


def digest_of_bytes(data: bytes) -> str:
    """The digest by which registries name these bytes."""
    return "sha256:" + hashlib.sha256(data).hexdigest()


def make_config(
    recipe: Recipe,
    layers: Mapping[str, Layer],
    labels: Mapping[str, str],
    created: int,
) -> Document:
    """What the engine runs; *layers* from the bottom up, each with what it is."""
    when = datetime.fromtimestamp(created, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    told = {
        "architecture": ARCHITECTURE,
        "os": "linux",
        "created": when,
        "config": {
            "User": f"{USER}:{USER}",
            "Env": [
                f"PATH={PREFIX}/bin:/usr/bin",
                "LANG=C.UTF-8",
                f"HOME={STATE_FOLDER}",
                "PYTHONDONTWRITEBYTECODE=1",
            ],
            "Entrypoint": list(recipe.entrypoint),
            "Cmd": list(recipe.command),
            "WorkingDir": "/",
            "StopSignal": "SIGTERM",
            "Healthcheck": _healthcheck(recipe.healthcheck),
            "Labels": dict(labels),
        },
        "rootfs": {
            "type": "layers",
            "diff_ids": [layer.diff_id for layer in layers.values()],
        },
        "history": [{"created": when, "created_by": what} for what in layers],
    }
    return Document(_as_bytes(told), CONFIG)


def make_manifest(config: Document, layers: Mapping[str, Layer]) -> Document:
    """What a registry stores under the image's digest."""
    told = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": {
            "mediaType": CONFIG,
            "size": len(config.data),
            "digest": config.digest,
        },
        "layers": [
            {"mediaType": LAYER, "size": layer.size, "digest": layer.digest}
            for layer in layers.values()
        ],
    }
    return Document(_as_bytes(told), MANIFEST)


def _healthcheck(check: HealthCheck) -> dict[str, Any]:
    return {
        "Test": ["CMD", *check.command],
        "Interval": check.every * _NANO,
        "Timeout": check.patience * _NANO,
        "StartPeriod": check.after * _NANO,
        "Retries": check.failures,
    }


def _as_bytes(told: object) -> bytes:
    return json.dumps(told, sort_keys=True, separators=(",", ":")).encode()
