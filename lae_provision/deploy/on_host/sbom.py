"""Lists what a release consists of: ``sbom.py REQUIREMENTS``, as CycloneDX 1.6 JSON.

Standard library only: the script is sent to the release's python by standard input, and
reads what is installed beside that python.  The hashes are those by which pip took the
packages, from *REQUIREMENTS*.  It prints the same for the same installation.
"""

from __future__ import annotations

import json
import platform
import re
import sys
import sysconfig
import uuid
from importlib import metadata
from pathlib import Path
from typing import Any

_SPACE = uuid.UUID("9f1c9bb8-5d0b-4c55-9a54-0a3e3d7a6f5e")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def list_components(requirements: str) -> dict[str, Any]:
    """Describe all that this Python has installed, S4 apart as what it is about."""
    hashes = _read_hashes(requirements)
    found = {_canonical(d.metadata["Name"]): d for d in list_installed()}
    parts = [_describe(d, hashes.get(name, [])) for name, d in sorted(found.items())]
    (ours,) = [p for p in parts if p["name"] == "s4"]
    python = {
        "type": "platform",
        "bom-ref": "python",
        "name": "python",
        "version": platform.python_version(),
    }
    whole: dict[str, Any] = {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": {**ours, "type": "application"}},
        "components": [*(p for p in parts if p is not ours), python],
        "dependencies": [
            {"ref": _purl(d), "dependsOn": _list_needs(d, found)}
            for _, d in sorted(found.items())
        ],
    }
    serial = uuid.uuid5(_SPACE, json.dumps(whole, sort_keys=True))
    return {**whole, "serialNumber": f"urn:uuid:{serial}"}


def list_installed() -> list[metadata.Distribution]:
    """All that is installed, but for what setuptools brings along for itself."""
    places = {sysconfig.get_path(name) for name in ("purelib", "platlib")}
    return list(metadata.distributions(path=sorted(places)))


def _describe(found: metadata.Distribution, hashes: list[str]) -> dict[str, Any]:
    name = _canonical(found.metadata["Name"])
    told: dict[str, Any] = {
        "type": "library",
        "bom-ref": _purl(found),
        "name": name,
        "version": found.version,
        "purl": _purl(found),
    }
    if licence := _read_licence(found):
        told["licenses"] = [licence]
    if hashes:
        told["hashes"] = [{"alg": "SHA-256", "content": one} for one in hashes]
    return told


def _read_licence(found: metadata.Distribution) -> dict[str, Any] | None:
    """The licence as the package says it: an expression, a classifier, or its words."""
    told = found.metadata
    if "License-Expression" in told:
        return {"expression": told["License-Expression"]}
    for line in told.get_all("Classifier") or []:
        if line.startswith("License :: ") and not line.endswith("OSI Approved"):
            return {"license": {"name": line.rpartition(" :: ")[2]}}
    (words,) = told.get_all("License") or [""]
    words = words.strip()
    # Some packages have the whole text there.
    return {"license": {"name": words}} if words and "\n" not in words else None


def _list_needs(
    found: metadata.Distribution, installed: dict[str, metadata.Distribution]
) -> list[str]:
    """The installed packages that this one may ask for."""
    needs = set()
    for line in found.requires or []:
        match = _NAME.match(line)
        name = _canonical(match[0]) if match else ""
        if name in installed and "extra ==" not in line:
            needs.add(_purl(installed[name]))
    return sorted(needs)


def _read_hashes(requirements: str) -> dict[str, list[str]]:
    hashes = {}
    for line in requirements.replace("\\\n", " ").splitlines():
        if match := _NAME.match(line):
            digests = re.findall(r"--hash=sha256:([0-9a-f]{64})", line)
            hashes[_canonical(match[0])] = digests
    return hashes


def _purl(found: metadata.Distribution) -> str:
    version = found.version.replace("+", "%2B")
    return f"pkg:pypi/{_canonical(found.metadata['Name'])}@{version}"


def _canonical(name: str) -> str:
    """One spelling (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


if __name__ == "__main__":
    text = Path(sys.argv[1]).read_text("utf-8")
    sys.stdout.write(json.dumps(list_components(text), indent=1) + "\n")
