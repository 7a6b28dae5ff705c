"""What the journal cannot give back, sealed to the offline recovery keys.

It is a list of files as they lay on the daemon's machine: its settings, what they name,
and what the daemon's folder has beside the journal.  The whole list is one document,
encrypted with ``age``.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable
from pathlib import Path

import pyrage
from attrs import define, field

from lae_protocol.secret import Secret
from lae_provision.errors import Refused

FORMAT = 1
#: Permissions that a file may have; none of them lets others write.
_MODES = 0o755


@define(frozen=True)
class KeptFile:
    """A file at its absolute *path*, with its permissions."""

    path: Path
    mode: int
    body: bytes = field(repr=False)


def seal_keepsakes(files: Iterable[KeptFile], recipients: tuple[str, ...]) -> bytes:
    """Encrypt them to the public halves (``age1…``) of the recovery keys."""
    told = [
        {
            "path": str(file.path),
            "mode": file.mode & _MODES,
            "body": base64.b64encode(file.body).decode("ascii"),
        }
        for file in sorted(files, key=lambda file: file.path)
    ]
    plain = json.dumps({"format": FORMAT, "files": told}).encode()
    to = [pyrage.x25519.Recipient.from_str(one) for one in recipients]
    sealed: bytes = pyrage.encrypt(plain, to)
    return sealed


def open_keepsakes(sealed: bytes, recovery_key: Secret) -> tuple[KeptFile, ...]:
    """Open them with the private half (``AGE-SECRET-KEY-1…``).

    Raises :class:`~lae_provision.errors.Refused` for another key, and for what is
    damaged or of a newer format.
    """
    try:
        identity = pyrage.x25519.Identity.from_str(recovery_key.reveal())
        plain = pyrage.decrypt(sealed, [identity])
    except (pyrage.DecryptError, pyrage.IdentityError, ValueError):
        raise Refused("keepsakes", "the recovery key does not open them") from None
    try:
        said = json.loads(plain)
        if said["format"] != FORMAT:
            raise Refused("keepsakes-format", "they are of a newer release's format")
        return tuple(map(_file, said["files"]))
    except (ValueError, KeyError, TypeError):
        raise Refused("keepsakes", "they cannot be read") from None


def _file(said: dict[str, object]) -> KeptFile:
    path = Path(str(said["path"]))
    if not path.is_absolute() or ".." in path.parts:
        raise ValueError("no absolute path")
    body = base64.b64decode(str(said["body"]), validate=True)
    mode = said["mode"]
    if not isinstance(mode, int):
        raise TypeError("no permissions")
    return KeptFile(path, mode & _MODES, body)
