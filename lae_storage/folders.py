"""Tahoe-LAFS' folders, written from the identity at each start.

Tahoe-LAFS rewrites some of these files in place and without syncing.  A host that dies
during that would start with an empty furl file, and so make a furl of its own.  So the
claim on the volume counts, and the folders are copies.
"""

from __future__ import annotations

from pathlib import Path

from attrs import define

from lae_protocol.host_messages import NodeIdentity, TubIdentity
from lae_storage.agent.volume import Volume, make_private_folder, write_private

#: Announcements that one start may make.  Tahoe-LAFS makes one.
PER_START = 16
#: The node pings a client that was idle for so long.
KEEPALIVE = 120  # s
#: The node closes a connection whose client was silent for so long.
DISCONNECT = 600  # s


@define(frozen=True)
class Folders:
    """The folders of the two nodes, and the introducer's furl."""

    introducer: Path
    storage: Path
    introducer_furl: str


def write_folders(volume: Volume, identity: NodeIdentity, start: int) -> Folders:
    """Write both nodes' folders for *identity*; *start* counts from 1."""
    furl = furl_of(identity.introducer)
    _write_tub(volume.introducer, identity.introducer, identity.nickname, "")
    write_private(volume.introducer / "private" / "introducer.furl", furl + "\n")

    storage = volume.storage
    _write_tub(storage, identity.storage, identity.nickname, STORAGE_SECTIONS)
    private = storage / "private"
    write_private(private / "storage.furl", furl_of(identity.storage) + "\n")
    write_private(private / "node.privkey", identity.signing_key.reveal() + "\n")
    write_private(private / "secret", identity.lease_secret.reveal() + "\n")
    write_private(private / "introducers.yaml", _introducers_yaml(furl))
    write_private(storage / "permutation-seed", identity.permutation_seed + "\n")
    # Clients believe the announcement with the highest number, so the number must never
    # fall, even if a power failure empties this file: so the count of starts gives it.
    number = identity.announcement_seqnum + start * PER_START
    write_private(storage / "announcement-seqnum", f"{number}\n")
    return Folders(volume.introducer, storage, furl)


def furl_of(tub: TubIdentity) -> str:
    """The furl as Tahoe-LAFS itself writes it: with ``tcp:`` before the host."""
    return f"pb://{tub.tub_id}@{tub.location}/{tub.swissnum.reveal()}"


STORAGE_SECTIONS = """
[storage]
enabled = true

[client]
shares.needed = 1
shares.happy = 1
shares.total = 1
"""


def _write_tub(folder: Path, tub: TubIdentity, nickname: str, sections: str) -> None:
    make_private_folder(folder / "private")
    folder.chmod(0o700)
    write_private(folder / "private" / "node.pem", tub.pem.reveal())
    write_private(
        folder / "tahoe.cfg",
        f"""# Written at each start by the host's agent.
[node]
nickname = {_one_line(nickname)}
tub.port = {tub.port}
tub.location = {tub.location}
timeout.keepalive = {KEEPALIVE}
timeout.disconnect = {DISCONNECT}
{sections}""",
    )


def _introducers_yaml(furl: str) -> str:
    return f"introducers:\n  own:\n    furl: {furl}\n"


def _one_line(text: str) -> str:
    """Make *text* safe for ``configparser`` with interpolation."""
    return " ".join(text.split()).replace("%", "%%")
