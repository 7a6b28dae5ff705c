"""What a request to the registry does, and which right it needs.  Pure.

After "Using Docker images with Amazon ECR" and the Service Authorization Reference.
"""

from __future__ import annotations

import re

from attrs import define

_PATH = re.compile(
    r"/v2/(?P<name>[a-z0-9]+(?:[._/-][a-z0-9]+)*)"
    r"/(?P<kind>blobs/uploads|blobs|manifests|tags)/(?P<reference>[^/]*)"
)
_RIGHTS = {
    ("POST", "blobs/uploads"): "InitiateLayerUpload",
    ("PATCH", "blobs/uploads"): "UploadLayerPart",
    ("GET", "blobs/uploads"): "UploadLayerPart",
    ("PUT", "blobs/uploads"): "CompleteLayerUpload",
    ("HEAD", "blobs"): "BatchCheckLayerAvailability",
    ("GET", "blobs"): "GetDownloadUrlForLayer",
    ("HEAD", "manifests"): "BatchGetImage",
    ("GET", "manifests"): "BatchGetImage",
    ("PUT", "manifests"): "PutImage",
    ("GET", "tags"): "ListImages",
}


@define(frozen=True)
class RegistryCall:
    """One request: ``RegistryCall("PutImage", "s4/node", "v1")``.

    The names are those that :class:`~lae_localcloud.front.trouble.Trouble` looks up.
    """

    action: str
    repository: str
    reference: str
    service: str = "registry"

    @property
    def subject(self) -> str:
        """What a fault's ``contains`` is looked for in."""
        return f"{self.repository}/{self.reference}"

    @property
    def by_tag(self) -> bool:
        """Whether the reference is a tag, and no digest."""
        return ":" not in self.reference


def registry_call_of(method: str, path: str) -> RegistryCall | None:
    """Read it; None for what ECR does not do."""
    if path.rstrip("/") == "/v2":
        return RegistryCall("Ping", "", "")
    found = _PATH.fullmatch(path)
    if found is None:
        return None
    action = _RIGHTS.get((method, found["kind"]))
    if action is None:
        return None
    return RegistryCall(action, found["name"], found["reference"])
