"""A twin of :class:`~lae_provision.doors.IIdentities`: right shapes, no real keys."""

from __future__ import annotations

import secrets

from attrs import define

from lae_protocol import wire
from lae_protocol.host_messages import NodeIdentity, TubIdentity
from lae_protocol.ids import base32
from lae_protocol.secret import Secret
from lae_provision.doors import (
    IdentityRequest,
    IIdentities,
    MadeIdentity,
    Sealed,
    identity_key,
)
from lae_provision.errors import Refused
from tests.twins.doors import Line

_SEAL = b"sealed in memory\0"


def masked(text: bytes) -> bytes:
    """Hide *text* from a search for its secrets; masking twice gives it back."""
    return bytes(byte ^ 0x5A for byte in text)


class MemorySealer:
    """See :class:`~lae_provision.doors.Sealer`; binds the context, hides nothing."""

    def seal(self, plain: bytes, context: str) -> bytes:
        """See there."""
        return _SEAL + context.encode() + b"\0" + masked(plain)

    def unseal(self, sealed: bytes, context: str) -> bytes:
        """See there."""
        head = _SEAL + context.encode() + b"\0"
        if not sealed.startswith(head):
            raise Refused("WrongSeal", "not sealed for this")
        return masked(sealed.removeprefix(head))

    def is_newest(self, sealed: bytes) -> bool:
        """See there."""
        return sealed.startswith(_SEAL)


@define(frozen=True)
class MemoryIdentities(IIdentities):
    """See :class:`~lae_provision.doors.IIdentities`."""

    line: Line

    async def make(self, request: IdentityRequest) -> MadeIdentity:
        """See there."""

        def effect() -> MadeIdentity:
            identity = _fresh(request)
            key = identity_key(request.signup_id, request.generation)
            body = MemorySealer().seal(wire.encode(identity), key)
            return MadeIdentity(identity, Sealed(key, body))

        return await self.line.call("identities.make", effect)

    async def open(self, sealed: Sealed) -> NodeIdentity:
        """See there."""

        def effect() -> NodeIdentity:
            plain = MemorySealer().unseal(sealed.body, sealed.key)
            identity: NodeIdentity = wire.decode(NodeIdentity, plain)
            return identity

        return await self.line.call("identities.open", effect)


def _fresh(request: IdentityRequest) -> NodeIdentity:
    return NodeIdentity(
        format=1,
        signup_id=request.signup_id,
        generation=request.generation,
        grid_label=request.grid_label,
        nickname=request.nickname,
        introducer=_tub(request.host, request.introducer_port, request.listen),
        storage=_tub(request.host, request.storage_port, request.listen),
        permutation_seed=base32(secrets.token_bytes(20)),
        signing_key=Secret("priv-v0-" + base32(secrets.token_bytes(32))),
        announcement_seqnum=request.generation * 2**32,
        lease_secret=Secret(base32(secrets.token_bytes(32))),
    )


def _tub(host: str, port: int, listen: str | None) -> TubIdentity:
    return TubIdentity(
        tub_id=base32(secrets.token_bytes(20)),
        pem=Secret("PEM " + base32(secrets.token_bytes(32))),
        swissnum=Secret(base32(secrets.token_bytes(20))),
        location=f"tcp:{host}:{port}",
        port=f"tcp:{port}" + (f":interface={listen}" if listen else ""),
    )
