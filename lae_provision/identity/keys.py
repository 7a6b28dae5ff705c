"""The keys of a node, made by us before Tahoe-LAFS ever starts.

Tahoe-LAFS is not installed beside the daemon, so its formats are written here; a test
has Tahoe-LAFS read them.
"""

from __future__ import annotations

import secrets

from attrs import define, evolve
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from foolscap.api import Tub

from lae_protocol.host_messages import NodeIdentity, TubIdentity
from lae_protocol.ids import base32
from lae_protocol.secret import Secret
from lae_provision.doors import IdentityRequest

#: Room for as many announcements of one generation as there are seconds in a century.
ANNOUNCEMENTS_PER_GENERATION = 2**32

#: Foolscap's own length of a swissnum: 160 bits.
SWISSNUM_BYTES = 20


@define(frozen=True)
class TubKey:
    """A Tub's certificate and private key in one PEM text, and the id they make."""

    tub_id: str
    pem: Secret


def make_tub_key() -> TubKey:
    """Fresh; takes 50 to 130 ms of a processor, so call it in a thread."""
    tub = Tub()
    return TubKey(tub.getTubID(), Secret(tub.getCertData().decode("ascii")))


def new_identity(
    request: IdentityRequest, introducer: TubKey, storage: TubKey
) -> NodeIdentity:
    """A grid of its own, on these two Tub keys."""
    node_key = Ed25519PrivateKey.generate()
    return NodeIdentity(
        format=1,
        signup_id=request.signup_id,
        generation=request.generation,
        grid_label=request.grid_label,
        nickname=request.nickname,
        introducer=_tub(introducer, request, request.introducer_port),
        storage=_tub(storage, request, request.storage_port),
        # What a node that starts without a seed would choose: its public key.
        permutation_seed=base32(node_key.public_key().public_bytes_raw()),
        signing_key=Secret("priv-v0-" + base32(node_key.private_bytes_raw())),
        announcement_seqnum=first_announcement(request.generation),
        lease_secret=Secret(base32(secrets.token_bytes(32))),
    )


def at_generation(identity: NodeIdentity, generation: int) -> NodeIdentity:
    """The same grid, as the host of *generation* gets it.

    Only the announcement's number differs: running clients believe the highest.
    """
    return evolve(
        identity,
        generation=generation,
        announcement_seqnum=first_announcement(generation),
    )


def first_announcement(generation: int) -> int:
    """Where the announcements of a host generation begin to count; never a clock."""
    return generation * ANNOUNCEMENTS_PER_GENERATION


def _tub(key: TubKey, request: IdentityRequest, port: int) -> TubIdentity:
    interface = f":interface={request.listen}" if request.listen else ""
    return TubIdentity(
        tub_id=key.tub_id,
        pem=key.pem,
        swissnum=Secret(base32(secrets.token_bytes(SWISSNUM_BYTES))),
        location=f"tcp:{request.host}:{port}",
        port=f"tcp:{port}{interface}",
    )
