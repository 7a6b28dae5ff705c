"""The agent's files on the host's encrypted volume.

=====================  ====================================================
``agent-key``          the Ed25519 key that the claim is bound to
``claimed.json``       identity, storage place and host furl, as claimed
``starts``             the count of the node's starts, for its announcements
``introducer/``        Tahoe-LAFS' folder, written anew at each start
``storage/``           Tahoe-LAFS' folder, written anew at each start
``program/``           what is said to root: :mod:`lae_storage.agent.wish`
=====================  ====================================================

Files have mode 0600, folders 0700.  A file is written whole or not at all.
"""

from __future__ import annotations

import os
from pathlib import Path

from attrs import define
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from lae_protocol import wire
from lae_protocol.host_messages import Claimed

PRIVATE_FILE = 0o600
PRIVATE_FOLDER = 0o700


class VolumeDamaged(Exception):
    """A file of the agent cannot be read.  Replace the host: no retry helps."""


@define(frozen=True)
class Volume:
    """The state folder."""

    folder: Path

    @property
    def introducer(self) -> Path:
        """The introducer's folder."""
        return self.folder / "introducer"

    @property
    def storage(self) -> Path:
        """The storage node's folder."""
        return self.folder / "storage"

    def agent_key(self) -> Ed25519PrivateKey:
        """Return the agent's key.  A new key is on the volume before it is returned."""
        path = self.folder / "agent-key"
        make_private_folder(self.folder)
        try:
            raw = bytes.fromhex(path.read_text("ascii"))
        except FileNotFoundError:
            key = Ed25519PrivateKey.generate()
            write_private(path, key.private_bytes_raw().hex())
            return key
        except ValueError:
            raise VolumeDamaged("agent-key is not a key: replace the host") from None
        return Ed25519PrivateKey.from_private_bytes(raw)

    def claimed(self) -> Claimed | None:
        """Return what was claimed at the first boot, or None before that."""
        try:
            data = (self.folder / "claimed.json").read_bytes()
        except FileNotFoundError:
            return None
        try:
            found: Claimed = wire.decode(Claimed, data)
        except wire.MalformedMessage as e:
            raise VolumeDamaged(f"claimed.json: {e}") from None
        return found

    def keep(self, claimed: Claimed) -> None:
        """Write what was claimed, so that a reboot claims nothing."""
        text = wire.encode(claimed).decode("utf-8")
        write_private(self.folder / "claimed.json", text)

    def count_start(self) -> int:
        """Count this start, durably, and return its number (from 1)."""
        path = self.folder / "starts"
        try:
            number = int(path.read_text("ascii")) + 1
        except FileNotFoundError:
            number = 1
        except ValueError:
            raise VolumeDamaged("starts is not a number: replace the host") from None
        write_private(path, str(number))
        return number


def make_private_folder(path: Path) -> None:
    """Make a folder that other users cannot read, and its parents."""
    path.mkdir(mode=PRIVATE_FOLDER, parents=True, exist_ok=True)
    path.chmod(PRIVATE_FOLDER)


def write_private(path: Path, text: str) -> None:
    """Write a file whole or not at all: 0600, synced, then renamed into place."""
    beside = path.with_name(path.name + ".new")
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
    with os.fdopen(os.open(beside, flags, PRIVATE_FILE), "w", encoding="utf-8") as out:
        os.fchmod(out.fileno(), PRIVATE_FILE)
        out.write(text)
        out.flush()
        os.fsync(out.fileno())
    beside.replace(path)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
