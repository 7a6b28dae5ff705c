"""Reads Ignition (spec 3) and writes what it names under an instance's directory.

Strict, as Ignition is: what it would refuse is refused, and so is what this booter
cannot do (a file fetched over the network, a user, a file system).
"""

from __future__ import annotations

import base64
import binascii
import gzip
import hashlib
import json
import re
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote_to_bytes

from attrs import define, field

_DATA_URL = re.compile(r"data:[^,]*?(?P<base64>;base64)?,(?P<data>.*)", re.DOTALL)
_VERSION = re.compile(r"3\.[0-5]\.0")


class NotIgnition(ValueError):
    """User-data that a CoreOS would not boot, or that this booter cannot."""


@define(frozen=True)
class NamedFile:
    """A file to be written.  *path* is absolute in the instance."""

    path: str
    mode: int
    data: bytes = field(repr=False)


@define(frozen=True)
class Provision:
    """All that is to be there after the first boot.  *units* are (name, contents)."""

    files: tuple[NamedFile, ...]
    directories: tuple[tuple[str, int], ...]
    units: tuple[tuple[str, str], ...]

    def write(self, root: Path) -> None:
        """Write it all under *root*."""
        for path, mode in self.directories:
            place = _under(root, path)
            place.mkdir(parents=True, exist_ok=True)
            place.chmod(mode)
        for named in self.files:
            place = _under(root, named.path)
            place.parent.mkdir(parents=True, exist_ok=True)
            place.touch(0o600)
            place.chmod(0o600)
            place.write_bytes(named.data)
            place.chmod(named.mode)


def parse(user_data: bytes) -> Provision:
    """Read user-data; raises :class:`NotIgnition`, whose text tells no content."""
    try:
        document = json.loads(user_data)
    except ValueError:
        raise NotIgnition("the user-data is not JSON") from None
    top = _keys(document, "the document", {"ignition", "storage", "systemd"})
    about = _keys(top.get("ignition"), "ignition", {"version"})
    if not _VERSION.fullmatch(str(about.get("version"))):
        raise NotIgnition("ignition.version is not 3.0.0 to 3.5.0")
    storage = _keys(top.get("storage", {}), "storage", {"files", "directories"})
    systemd = _keys(top.get("systemd", {}), "systemd", {"units"})
    return Provision(
        tuple(_file(f) for f in _list(storage, "files")),
        tuple(_directory(d) for d in _list(storage, "directories")),
        tuple(u for e in _list(systemd, "units") if (u := _unit(e)) is not None),
    )


def _keys(value: Any, what: str, known: set[str]) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise NotIgnition(f"{what} is not an object")
    unknown = set(value) - known
    if unknown:
        raise NotIgnition(
            f"{what}: this booter does not do {', '.join(sorted(unknown))}"
        )
    return value


def _list(value: dict[str, Any], name: str) -> list[Any]:
    found = value.get(name, [])
    if not isinstance(found, list):
        raise NotIgnition(f"{name} is not a list")
    return found


def _path(entry: dict[str, Any]) -> str:
    path = str(entry.get("path"))
    if not path.startswith("/") or ".." in PurePosixPath(path).parts:
        raise NotIgnition("a path that is not absolute")
    return path


def _mode(entry: dict[str, Any], default: int) -> int:
    mode = entry.get("mode", default)
    if type(mode) is not int or not 0 <= mode <= 0o7777:  # noqa: PLR2004  (all bits)
        raise NotIgnition("a mode is a number of permission bits, in decimal")
    return mode


def _directory(value: Any) -> tuple[str, int]:
    entry = _keys(value, "a directory", {"path", "mode", "overwrite"})
    return _path(entry), _mode(entry, 0o755)


def _file(value: Any) -> NamedFile:
    entry = _keys(value, "a file", {"path", "mode", "overwrite", "contents"})
    contents = _keys(
        entry.get("contents", {}), "contents", {"source", "compression", "verification"}
    )
    data = _data(str(contents.get("source", "data:,")))
    if contents.get("compression") == "gzip":
        data = gzip.decompress(data)
    verification = _keys(contents.get("verification", {}), "verification", {"hash"})
    wanted = verification.get("hash")
    if wanted is not None:
        kind, _, digest = str(wanted).partition("-")
        if kind not in ("sha512", "sha256"):
            raise NotIgnition("a hash is sha512-… or sha256-…")
        if hashlib.new(kind, data).hexdigest() != digest:
            raise NotIgnition("a file's hash does not match")
    return NamedFile(_path(entry), _mode(entry, 0o644), data)


def _data(source: str) -> bytes:
    found = _DATA_URL.fullmatch(source)
    if found is None:
        raise NotIgnition("a file's source is no data: URL")
    raw = unquote_to_bytes(found["data"])
    if found["base64"] is None:
        return raw
    try:
        return base64.b64decode(raw, validate=True)
    except binascii.Error:
        raise NotIgnition("a data: URL is not base64") from None


def _unit(value: Any) -> tuple[str, str] | None:
    """A unit that is to run; None for one that is only there."""
    entry = _keys(value, "a unit", {"name", "enabled", "contents", "mask"})
    name, contents = str(entry.get("name")), entry.get("contents")
    if not re.fullmatch(r"[\w@.-]+\.service", name) or not isinstance(contents, str):
        raise NotIgnition("a unit needs a name that ends in .service, and contents")
    return (name, contents) if entry.get("enabled") and not entry.get("mask") else None


def _under(root: Path, path: str) -> Path:
    return root / path.lstrip("/")
