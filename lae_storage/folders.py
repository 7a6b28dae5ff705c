"""Tahoe-LAFS' folders, written from the identity at each start.

Tahoe-LAFS rewrites some of these files in place and without syncing; a host that
dies meanwhile would come back with an empty furl file and so under a furl of its own
making.  The claim is the truth, and these are copies of it.
"""

from __future__ import annotations

from pathlib import Path

from attrs import define

from lae_protocol.host_messages import NodeIdentity, TubIdentity
from lae_storage.agent.volume import Volume, make_private_folder, write_private

#: Announcements that one start may make.  Tahoe-LAFS makes one.
PER_START = 16
#: Seconds: ping an idle client, and let a silent one go.
KEEPALIVE, DISCONNECT = 120, 600


@define(frozen=True)
class Folders:
    """Where the two nodes are, and the furl that both know the introducer by."""

    introducer: Path
    storage: Path
    introducer_furl: str


def write_folders(volume: Volume, identity: NodeIdentity, start: int) -> Folders:
    """Write what makes two node folders those of *identity*; *start* counts from 1."""
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
    # Running clients believe the highest number, so that it must never fall, not even
    # when a power failure empties this file: it comes from the count of starts.
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
    """Safe in a file that ``configparser`` reads, with its interpolation."""
    return " ".join(text.split()).replace("%", "%%")
